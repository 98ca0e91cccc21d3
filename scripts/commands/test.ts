/** `headrace test`: runs a configuration's pipelines on given events, and compares their outputs. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { checkFile, DEFAULT_CONFIGURATION, readText } from "../console/check_file.ts";
import { EXIT, UsageError } from "../console/exit_codes.ts";
import { print, printAside, printJson } from "../console/output.ts";
import {
  type PipelineTest,
  readPipelineTests,
  runPipelineTest,
  type TestOutcome,
} from "../console/records/pipeline_tests.ts";

interface TestOptions {
  readonly config?: string;
  readonly json?: boolean;
}

export function addTest(program: Command): void {
  program
    .command("test")
    .description("Run the unit tests of pipelines.")
    .argument("[file]", "file of tests (default: headrace.test.yaml)")
    .option("-c, --config <file>", "configuration with the pipelines (default: beside the tests, without .test)")
    .option("--json", "print one line of JSON for each test")
    .addHelpText(
      "after",
      `
A file of tests, headrace.test.yaml beside headrace.yaml:

  tests:
    - name: only hot hosts are kept, in percent
      pipeline: alerts
      given:
        - { host: a, cpu: 0.95 }
        - { host: b, cpu: 0.10 }
      expect:
        - { host: a, percent: 95 }
    - name: a host without cpu is set aside
      pipeline: alerts
      given: [{ host: c }]
      expectFailure: No such key

expectOutputs: { late: [...] } are the events of named outputs.
at: { partition, offset, epoch, timeMs } says where the first given event lies. Exit code 1 when a test fails.

Examples:
  headrace test
  headrace test production.test.yaml --config production.yaml`,
    )
    .action(async (file: string | undefined, options: TestOptions) => {
      process.exitCode = await runTests(file, options);
    });
}

async function runTests(given: string | undefined, options: TestOptions): Promise<number> {
  const file = given ?? testsBeside(options.config ?? DEFAULT_CONFIGURATION);
  const config = options.config ?? file.replace(/\.test(\.ya?ml)$/, "$1");
  if (!existsSync(config) || config === file) {
    throw new UsageError(`Cannot run ${file} as its configuration must be named with --config: there is no ${config}`);
  }
  const checked = await checkFile(config);
  if (checked.kind === "refused") return await refuse(config, checked.problems, options);
  const read = await readPipelineTests(await readText(file), checked.configuration);
  if (read.kind === "refused") return await refuse(file, read.problems, options);
  let failed = 0;
  for (const test of read.tests) {
    const outcome = await runPipelineTest(test, checked.configuration);
    if (outcome.kind === "failed") failed += 1;
    await tell(file, test, outcome, options.json === true);
  }
  const passed = read.tests.length - failed;
  if (options.json === true) await printJson({ kind: "summary", file, passed, failed });
  else await print(`${passed} passed, ${failed} failed`);
  return failed === 0 ? EXIT.ok : EXIT.failed;
}

const testsBeside = (config: string): string => config.replace(/(\.ya?ml)?$/, ".test$1");

async function refuse(
  file: string,
  problems: readonly { readonly line: number; readonly path: string; readonly reason: string }[],
  options: TestOptions,
): Promise<number> {
  for (const problem of problems) {
    if (options.json === true) await printJson({ kind: "problem", file, ...problem });
    else printAside(`${file}:${problem.line}: ${problem.path}: ${problem.reason}`);
  }
  return EXIT.configuration;
}

async function tell(file: string, test: PipelineTest, outcome: TestOutcome, isJson: boolean): Promise<void> {
  const { name, pipeline, line } = test;
  if (isJson) {
    const { kind: result, ...detail } = outcome;
    return await printJson({ kind: "test", name, pipeline, line, result, ...detail });
  }
  if (outcome.kind === "passed") return await print(`ok      ${name}`);
  await print(`FAILED  ${name} (${file}:${line}): ${outcome.reason}`);
  if (outcome.expected !== undefined) await print(`          expected ${JSON.stringify(outcome.expected)}`);
  if (outcome.actual !== undefined) await print(`          actual   ${JSON.stringify(outcome.actual)}`);
}
