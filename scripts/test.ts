/**
 * Runs every test file as its own process with a time limit, two at a time. Files of whole systems come after the others, as
 * they start several processes each: first those that can bear a neighbour, two at a time, then one by one those in which
 * time is a part of the verdict. Such a file that fails is named, and run once more: a true fault fails twice. Counts the
 * tests that uvu reports. A file that ran no test, or did not say how many it ran, counts as a failure: uvu itself passes a
 * file that forgot `test.run()`.
 *
 *   node --import tsx scripts/test.ts [part of a path ...] [--all] [--runtime node|deno|/path/to/a/node]
 *
 * Without `--all` and without a path, the longest files are left to `.ci/run`, and named.
 * A file that cannot run here ends with exit code 77 and a line `SKIPPED: reason`.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { COMPILED_VARIABLE, compileProgram } from "./compiled_program.ts";
import { installPrograms, TEST_PROGRAMS } from "./install_programs.ts";

const FILE_LIMIT_MS = 180_000;
/** A file must end by itself within this time after its report, in ms: an open handle is a fault of the file. */
const END_WITHIN_MS = 10_000;
const SKIPPED_EXIT_CODE = 77;
/** Files of whole systems in which time is no part of the verdict. */
const WHOLE_SYSTEMS = [
  /^test\/(actors\/log\/redis\/redis_(cluster|sentinel)|conformance\/log\/log_redis_cluster)/,
  /^test\/end_to_end\/(cluster\/(cluster_security|replay_cluster)|redis\/redis_|sinks\/http_sinks)/,
  /^test\/scripts\/(commands\/cluster|console\/(cluster\/cluster_drain|local_cluster))/,
];
/** Files that run alone. */
const ALONE = [
  /^test\/end_to_end\/(chaos|cluster|http\/idle_connections|input\/costly_events|node\/(start_stop|stopping))/,
  /^test\/(dashboard\/frozen_page|end_to_end\/(security\/(many_connections|mute_subscribers)|sinks\/sink_faults))/,
];
/** Files of half a minute and more whose rules shorter files show on a smaller scale. */
const LONGEST = [
  /^test\/(actors\/log\/redis\/redis_sentinel|conformance\/log\/log_redis_cluster)/,
  /^test\/(end_to_end\/chaos\/cluster_chaos\.test|simulation\/planted_bugs)/,
];
const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Variables of a file's process, beside those of this process. */
type Environment = Readonly<Record<string, string>>;

interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped?: string;
  readonly output: string;
  readonly tookMs: number;
}

type Place = "together" | "whole systems" | "alone";

/** In which order files run, and how many at a time. */
const ORDER: readonly { readonly place: Place; readonly width: number }[] = [
  { place: "together", width: 2 },
  { place: "whole systems", width: 2 },
  { place: "alone", width: 1 },
];

function placeOf(file: string): Place {
  if (WHOLE_SYSTEMS.some((pattern) => pattern.test(file))) return "whole systems";
  return ALONE.some((pattern) => pattern.test(file)) ? "alone" : "together";
}

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    return entry.name.endsWith(".test.ts") ? [path] : [];
  });
}

function commandFor(runtime: string, file: string): { program: string; args: string[] } {
  if (/(^|\/)deno$/.test(runtime)) return { program: runtime, args: ["run", "-A", "--no-lock", file] };
  const program = runtime === "node" ? process.execPath : runtime;
  return { program, args: ["--import", "tsx", file] };
}

function count(output: string, word: string): number | undefined {
  const found = [...output.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, "gm"))];
  return found.length === 0 ? undefined : found.reduce((sum, match) => sum + Number(match[1]), 0);
}

function runFile(runtime: string, file: string, environment: Environment): Promise<FileResult> {
  const { program, args } = commandFor(runtime, file);
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment, NO_COLOR: "1", FORCE_COLOR: "0" },
      detached: true,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    // Each file has a process group of its own, so that processes which it left behind end too.
    const endGroup = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    };
    const limit = setTimeout(() => {
      output += `\nended: ran longer than ${FILE_LIMIT_MS} ms\n`;
      endGroup();
    }, FILE_LIMIT_MS);
    let lingering: NodeJS.Timeout | undefined;
    child.stdout.on("data", () => {
      if (lingering !== undefined || !/^\s*Duration:/m.test(output)) return;
      lingering = setTimeout(() => {
        output += `\nended: did not end by itself within ${END_WITHIN_MS} ms of its report\n`;
        endGroup();
      }, END_WITHIN_MS);
    });
    child.on("error", (error) => (output += `\n${error.message}\n`));
    child.on("close", (code) => {
      clearTimeout(limit);
      clearTimeout(lingering);
      endGroup();
      resolve({ file, output, tookMs: performance.now() - startedAt, ...judge(code, output) });
    });
  });
}

function judge(code: number | null, output: string): Pick<FileResult, "passed" | "failed" | "skipped"> {
  const reason = /^SKIPPED: (.*)$/m.exec(output)?.[1];
  if (code === SKIPPED_EXIT_CODE && reason !== undefined) return { passed: 0, failed: 0, skipped: reason };
  const total = count(output, "Total");
  const passed = count(output, "Passed") ?? 0;
  if (total === undefined || total === 0) return { passed, failed: 1 };
  const failed = total - passed - (count(output, "Skipped") ?? 0);
  return { passed, failed: failed === 0 && code !== 0 ? 1 : failed };
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runtime: { type: "string", default: "node" },
      all: { type: "boolean", default: false },
      "no-skips": { type: "boolean", default: false },
    },
  });
  const found = testFiles(join(ROOT, "test"))
    .map((file) => file.slice(ROOT.length))
    .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
    .sort();
  const isLeft = (file: string) =>
    !values.all && positionals.length === 0 && LONGEST.some((pattern) => pattern.test(file));
  const files = found.filter((file) => !isLeft(file));
  for (const file of found.filter(isLeft)) console.log(`left to .ci/run: ${file}`);
  if (positionals.length === 0) for (const reason of installPrograms(TEST_PROGRAMS)) console.log(`missing: ${reason}`);
  const compiled = positionals.length === 0 && values.runtime === "node" ? compileProgram() : undefined;
  if (compiled !== undefined && "failure" in compiled)
    console.log(`not compiled, tests run sources: ${compiled.failure}`);
  const environment = compiled !== undefined && "path" in compiled ? { [COMPILED_VARIABLE]: compiled.path } : {};
  const results: FileResult[] = [];
  const work = async (queue: string[]) => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      let result = await runFile(values.runtime, file, environment);
      if (result.failed > 0 && placeOf(file) !== "together") {
        console.log(`UNSTEADY ${file}: it is run once more, as it failed:\n${result.output.replace(/^/gm, "    ")}`);
        result = await runFile(values.runtime, file, environment);
      }
      results.push(result);
      const verdict = result.skipped !== undefined ? "skipped" : result.failed > 0 ? "FAILED" : "ok";
      console.log(`${verdict.padEnd(8)}${file}  ${result.passed} passed  ${(result.tookMs / 1000).toFixed(1)} s`);
      if (result.failed > 0) console.log(result.output.replace(/^/gm, "    "));
    }
  };
  for (const { place, width } of ORDER) {
    const queue = files.filter((file) => placeOf(file) === place);
    await Promise.all(Array.from({ length: Math.min(width, availableParallelism()) }, () => work(queue)));
  }
  report(results, values["no-skips"]);
}

function report(results: readonly FileResult[], isSkipFailure: boolean): void {
  const skips = results.filter((result) => result.skipped !== undefined);
  for (const { file, skipped } of skips) console.log(`not run: ${file}: ${skipped}`);
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const broken = results.reduce((sum, result) => sum + result.failed, 0);
  const failed = broken + (isSkipFailure ? skips.length : 0) + (results.length === 0 ? 1 : 0);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main();
