/** `headrace lint`: reports all problems of a configuration, and starts nothing. */
import type { Command } from "commander";
import { type CheckedFile, checkFile, DEFAULT_CONFIGURATION } from "../console/check_file.ts";
import { EXIT } from "../console/exit_codes.ts";
import { tryTargets } from "../console/live_targets.ts";
import { print, printJson } from "../console/output.ts";

interface LintOptions {
  readonly json?: boolean;
  readonly connect?: boolean;
}

export function addLint(program: Command): void {
  program
    .command("lint")
    .description("Check a configuration without starting anything.")
    .argument("[file]", "file to check", DEFAULT_CONFIGURATION)
    .option("--connect", "try the sinks and sources against their real targets too")
    .option("--json", "print one line of JSON for each problem")
    .addHelpText(
      "after",
      `
Checks keys, names and options, compiles schemas and expressions, and loads the modules of call steps and of kinds. A problem is
told as file:line, place, reason and, for an unknown word, the nearest known one; the exit code is then 78. Warnings leave
the exit code 0: a part of a schema that judges no event (an unknown keyword or format), a file source's path with
* ? or [ (patterns are not supported), secrets in clear text, files that others may read, and tokens without TLS.

With --connect, each sink and source that has a live check is tried within 10 s, and no record is written. If one is
not reached, the exit code is 69.

Examples:
  headrace lint
  headrace lint production.yaml --connect --json`,
    )
    .action(async (file: string, options: LintOptions) => {
      process.exitCode = await lint(file, options);
    });
}

const told = (warnings: number): string =>
  warnings === 0 ? "" : `, ${warnings} ${warnings === 1 ? "warning" : "warnings"}`;

async function lint(file: string, options: LintOptions): Promise<number> {
  const checked = await checkFile(file);
  const problems = checked.kind === "refused" ? checked.problems : [];
  const warnings = checked.kind === "refused" ? [] : checked.warnings;
  const targets = options.connect === true && checked.kind === "sound" ? await targetsOf(checked) : [];
  if (options.json === true) {
    for (const problem of problems) await printJson({ kind: "problem", file, ...problem });
    for (const warning of warnings) await printJson({ kind: "warning", file, ...warning });
    for (const target of targets) await printJson({ kind: "target", file, ...target });
    await printJson({ kind: "summary", file, problems: problems.length, warnings: warnings.length });
  } else {
    for (const { line, path, reason } of problems) await print(`${file}:${line}: ${path}: ${reason}`);
    for (const { line, path, reason } of warnings) await print(`${file}:${line}: ${path}: warning: ${reason}`);
    for (const { line, path, isReached, reason } of targets)
      await print(
        isReached ? `${file}: ${path.slice(1)}: reached` : `${file}:${line}: ${path}: not reached: ${reason}`,
      );
    if (problems.length === 0) await print(`${file}: no problems${told(warnings.length)}`);
  }
  if (problems.length > 0) return EXIT.configuration;
  return targets.every(({ isReached }) => isReached) ? EXIT.ok : EXIT.unavailable;
}

async function targetsOf({ configuration, lineAt }: CheckedFile & { readonly kind: "sound" }) {
  const findings = await tryTargets(configuration);
  return findings.map(({ section, name, reason }) => ({
    ...{ line: lineAt([section, name]), path: `/${section}/${name}`, isReached: reason === undefined },
    ...(reason === undefined ? {} : { reason }),
  }));
}
