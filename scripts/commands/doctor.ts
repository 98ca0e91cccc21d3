/**
 * `headrace doctor`: reports what is installed, reachable and misconfigured, with advice for each problem. Changes
 * nothing.
 */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { checkConfiguration } from "../../supervisors/configuration/configuration.ts";
import type { Configuration } from "../../supervisors/configuration/configuration_schema.ts";
import { DEMO_CONFIGURATION } from "../../supervisors/configuration/demo_configuration.ts";
import { KNOWN_KINDS } from "../../supervisors/configuration/known_kinds.ts";
import { checkFile, DEFAULT_CONFIGURATION } from "../console/check_file.ts";
import { type Check, checkMachine } from "../console/doctor/doctor_machine.ts";
import { checkNode, checkPort } from "../console/doctor/doctor_node.ts";
import { checkRedis } from "../console/doctor/doctor_redis.ts";
import { EXIT } from "../console/exit_codes.ts";
import { tryTargets } from "../console/live_targets.ts";
import { addNodeOptions, type NodeOptions } from "../console/node_client.ts";
import { print, printJson } from "../console/output.ts";

interface DoctorOptions extends NodeOptions {
  readonly config?: string;
  readonly json?: boolean;
}

export function addDoctor(program: Command): void {
  addNodeOptions(program.command("doctor").description("Tell what is installed, reachable and misconfigured."))
    .option("-c, --config <file>", `configuration to look at (default: ./${DEFAULT_CONFIGURATION}, or the demo's)`)
    .option("--json", "print one line of JSON for each check")
    .addHelpText(
      "after",
      `
Each line is ok, warn or fail, with what to do. Exit code 1 when anything fails. Nothing is changed or started.

Examples:
  headrace doctor
  headrace doctor --config production.yaml --address https://ingest.example:7070 --json`,
    )
    .action(async (options: DoctorOptions) => {
      process.exitCode = await doctor(options);
    });
}

async function doctor(options: DoctorOptions): Promise<number> {
  const { configuration, checks: lint } = await configure(options.config);
  const node = await checkNode(options);
  const checks = [
    ...lint,
    ...(await checkMachine(configuration)),
    ...node.checks,
    ...(configuration === undefined ? [] : await checkPort(configuration, node)),
    ...(configuration === undefined ? [] : await checkTargets(configuration)),
    ...(configuration?.log.type === "redis" ? await checkRedis(configuration) : []),
  ];
  for (const told of checks) {
    const check = configuration === undefined ? told : (configuration.hidden.hideIn(told) as Check);
    if (options.json === true) await printJson(check);
    else await print([`${check.verdict.padEnd(4)}  ${check.name}: ${check.detail}`, ...adviceOf(check)]);
  }
  return checks.some(({ verdict }) => verdict === "fail") ? EXIT.failed : EXIT.ok;
}

/** The targets as they are seen from this machine. */
async function checkTargets(configuration: Configuration): Promise<readonly Check[]> {
  const findings = await tryTargets(configuration);
  return findings.map(({ section, name: of, reason }): Check => {
    const name = `target of ${section}/${of}`;
    if (reason === undefined) return { name, verdict: "ok", detail: "reached" };
    const advice = "compare its options with the target; a node on another machine may reach it all the same";
    return { name, verdict: "fail", detail: reason, advice };
  });
}

const adviceOf = ({ advice }: Check): readonly string[] => (advice === undefined ? [] : [`      ${advice}`]);

async function configure(
  given: string | undefined,
): Promise<{ readonly configuration: Configuration | undefined; readonly checks: readonly Check[] }> {
  const file = given ?? (existsSync(DEFAULT_CONFIGURATION) ? DEFAULT_CONFIGURATION : undefined);
  if (file === undefined) {
    const demo = await checkConfiguration(DEMO_CONFIGURATION, ".", KNOWN_KINDS);
    const detail = `no ${DEFAULT_CONFIGURATION} here: headrace up would run the demo`;
    const configuration = demo.kind === "loaded" ? demo.configuration : undefined;
    return { configuration, checks: [{ name: "configuration", verdict: "ok", detail }] };
  }
  const checked = await checkFile(file);
  if (checked.kind === "sound") {
    const detail = `${file} has no problems`;
    const exposed = checked.warnings.map(
      ({ line, reason }): Check => ({
        ...{ name: "configuration", verdict: "warn", detail: `${file}:${line}: ${reason}` },
      }),
    );
    return {
      configuration: checked.configuration,
      checks: [{ name: "configuration", verdict: "ok", detail }, ...exposed],
    };
  }
  const [first] = checked.problems;
  const detail = `${file} has ${checked.problems.length} problems, the first at line ${first?.line}: ${first?.reason}`;
  const advice = `see all of them with headrace lint ${file}`;
  return { configuration: undefined, checks: [{ name: "configuration", verdict: "fail", detail, advice }] };
}
