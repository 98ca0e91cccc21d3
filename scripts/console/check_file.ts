/** Checks a configuration as far as possible without starting anything, for `lint`, `test` and `doctor`. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { createSchemaCompiler, KNOWN_KEYWORDS, warningsOf } from "../../actors/ingest/schema/schema_validator.ts";
import { compilePipeline, type StepSettings } from "../../actors/pipeline/pipeline.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import { checkConfiguration, type LineAt, type Problem } from "../../supervisors/configuration/configuration.ts";
import type { Configuration } from "../../supervisors/configuration/configuration_schema.ts";
import { sourceOf } from "../../supervisors/configuration/kinds.ts";
import { KNOWN_KINDS } from "../../supervisors/configuration/known_kinds.ts";
import { nearest } from "../../supervisors/configuration/nearest_word.ts";
import { checkSink } from "../../supervisors/configuration/sink_check.ts";
import { exposuresOf } from "../../supervisors/security/access/exposures.ts";
import { fileError } from "./exit_codes.ts";

export const DEFAULT_CONFIGURATION = "headrace.yaml";

export type CheckedFile =
  | {
      readonly kind: "sound";
      readonly configuration: Configuration;
      readonly warnings: readonly Problem[];
      readonly lineAt: LineAt;
    }
  | { readonly kind: "refused"; readonly problems: readonly Problem[] };

export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw fileError("read", file, error);
  }
}

/** Reads and checks a file, then compiles its schemas and its pipelines (which loads the modules of `call` steps). */
export async function checkFile(file: string): Promise<CheckedFile> {
  const text = await readText(file);
  const loaded = await checkConfiguration(text, dirname(resolve(file)), KNOWN_KINDS);
  if (loaded.kind === "refused") return loaded;
  const { configuration, lineAt } = loaded;
  const problems = [
    ...(await schemaProblems(configuration, lineAt)),
    ...(await stepProblems(configuration, lineAt)),
    ...(await sinkProblems(configuration, lineAt)),
  ];
  if (problems.length > 0) {
    const { hidden } = configuration;
    return { kind: "refused", problems: problems.map((one) => ({ ...one, reason: hidden.hide(one.reason) })) };
  }
  const warnings = [
    ...loaded.warnings,
    ...schemaWarnings(configuration, lineAt),
    ...sourceWarnings(configuration, lineAt),
    ...(await exposureWarnings(configuration, lineAt)),
  ];
  return { kind: "sound", configuration, warnings, lineAt };
}

/** Warnings for exposed secrets and the data folder, as for a node that is started in the file's folder. */
async function exposureWarnings(configuration: Configuration, lineAt: LineAt): Promise<Problem[]> {
  const { node, folder } = configuration;
  const placed = { ...configuration, node: { ...node, data: resolve(folder, node.data) } };
  const exposures = await exposuresOf(placed);
  return exposures.map(({ path, reason }) => ({ line: lineAt(path), path: `/${path.join("/")}`, reason }));
}

async function schemaProblems(configuration: Configuration, lineAt: LineAt): Promise<Problem[]> {
  const compile = await createSchemaCompiler();
  return Object.entries(configuration.streams).flatMap(([name, { schema }]) => {
    if (schema === undefined) return [];
    try {
      compile(schema, name);
      return [];
    } catch (error) {
      return [problemOf(error, ["streams", name, "schema"], lineAt)];
    }
  });
}

/** Warnings for parts of schemas that judge no event, although their author may expect it. */
function schemaWarnings(configuration: Configuration, lineAt: LineAt): Problem[] {
  return Object.entries(configuration.streams).flatMap(([name, { schema }]) =>
    (schema === undefined ? [] : warningsOf(schema)).map(({ path, reason, unknownKeyword }): Problem => {
      const place = ["streams", name, "schema"];
      const guess = unknownKeyword === undefined ? undefined : nearest(unknownKeyword, KNOWN_KEYWORDS);
      return {
        line: lineAt([...place, ...path.split("/").slice(1)]),
        path: `/${place.join("/")}${path}`,
        reason: `${reason}${guess === undefined ? "" : `: did you mean ${guess}?`}`,
      };
    }),
  );
}

/** Warnings for options of sources that are allowed but probably a mistake. */
function sourceWarnings(configuration: Configuration, lineAt: LineAt): Problem[] {
  return Object.entries(configuration.sources).flatMap(([name, { type, options }]) =>
    (sourceOf(configuration, type)?.warningsOf?.(options as never) ?? []).map(({ key, reason }): Problem => {
      const path = ["sources", name, key];
      return { line: lineAt(path), path: `/${path.join("/")}`, reason };
    }),
  );
}

async function stepProblems(configuration: Configuration, lineAt: LineAt): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const [name, { steps }] of Object.entries(configuration.pipelines)) {
    try {
      await compilePipeline(name, steps as unknown as readonly StepSettings[], configuration.folder);
    } catch (error) {
      const index = /\.steps\[(\d+)\]/.exec(error instanceof Error ? error.message : "")?.[1];
      const at = index === undefined ? [] : ["steps", Number(index)];
      problems.push(problemOf(error, ["pipelines", name, ...at], lineAt));
    }
  }
  return problems;
}

/** Problems of the sinks' options alone, as the node may run on a machine with other folders and disks. */
async function sinkProblems(configuration: Configuration, lineAt: LineAt): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const name of Object.keys(configuration.sinks)) {
    await checkSink(name, configuration, undefined).catch((error: unknown) => {
      problems.push(problemOf(error, ["sinks", name], lineAt));
    });
  }
  return problems;
}

function problemOf(error: unknown, path: readonly (string | number)[], lineAt: LineAt): Problem {
  if (!(error instanceof ConfigurationError)) throw error;
  return { line: lineAt(path), path: `/${path.join("/")}`, reason: error.message };
}
