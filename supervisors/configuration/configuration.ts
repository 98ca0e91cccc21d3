/**
 * Reads `headrace.yaml`, checks it against its schema and for contradictions, and completes it with defaults. A problem
 * names the line, the reason and, for an unknown key, the nearest known one. Starts nothing.
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Document, LineCounter, Node } from "yaml";
import { loadDriver } from "../../deps.ts";
import { ConfigurationError, RejectedError, reasonOf } from "../../protocols/errors.ts";
import { parseExactJson } from "../../protocols/values/parse_json.ts";
import { clearSecrets } from "../security/secrets/clear_secrets.ts";
import { type Expanded, expandTexts } from "../security/secrets/expand_texts.ts";
import { HIDDEN, HiddenTexts } from "../security/secrets/hidden_texts.ts";
import { complete } from "./complete_configuration.ts";
import { keyWarnings } from "./configuration_keys.ts";
import { type LineAt, type Problem, problemAt } from "./configuration_problem.ts";
import { COMMON_SINK_KEYS, COMMON_SOURCE_KEYS, type KnownKinds, type Raw, without } from "./configuration_raw.ts";
import { referenceProblems, schemaTwice } from "./configuration_references.ts";
import { CONFIGURATION_SCHEMA, type Configuration, type Options } from "./configuration_schema.ts";
import { outputProblems, shown, stepProblems } from "./configuration_steps.ts";
import { environmentVariable } from "./environment.ts";
import { loadOwnKinds } from "./kind_modules.ts";
import { unknownKey } from "./nearest_word.ts";

export type { LineAt, Problem } from "./configuration_problem.ts";
export type { KnownKinds } from "./configuration_raw.ts";

export type Loaded =
  | {
      readonly kind: "loaded";
      readonly configuration: Configuration;
      readonly lineAt: LineAt;
      /** Warnings of secrets in clear text and of keys that are spread over partitions, which are never refused. */
      readonly warnings: readonly Problem[];
    }
  | { readonly kind: "refused"; readonly problems: readonly Problem[] };

/** Reads and checks a file. Throws `ConfigurationError` with every problem, one to a line. */
export async function loadConfiguration(file: string, kinds: KnownKinds): Promise<Configuration> {
  const loaded = await checkConfiguration(await readConfiguration(file), dirname(resolve(file)), kinds);
  if (loaded.kind === "loaded") return loaded.configuration;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    loaded.problems.map((problem) => `${file}:${problem.line}: ${problem.path}: ${problem.reason}`).join("\n"),
  );
}

/** The text of a configuration. Throws `ConfigurationError`. */
export async function readConfiguration(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot read the configuration as the file must be readable: ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

/** A YAML text that was checked against a schema, with the lines of its places. */
export type ReadYaml =
  | { readonly kind: "read"; readonly value: Options; readonly lineAt: LineAt }
  | { readonly kind: "refused"; readonly problems: readonly Problem[] };

/** @param expand puts variables and files into the texts, before the schema checks them */
export async function readYaml(text: string, schema: Options, expand?: Expand): Promise<ReadYaml> {
  const yaml = await loadDriver("yaml");
  const lines: LineCounter = new yaml.LineCounter();
  const document: Document = yaml.parseDocument(text, { lineCounter: lines, uniqueKeys: true, intAsBigInt: true });
  const lineAt: LineAt = (path) => lineOf(document, lines, path);
  const syntax = document.errors.map(
    (error): Problem => ({
      line: error.linePos?.[0].line ?? 0,
      path: "/",
      reason: error.message.split("\n")[0] ?? error.message,
    }),
  );
  if (syntax.length > 0) return { kind: "refused", problems: syntax };
  const written: unknown = withNumbers(document.toJS()) ?? {};
  const expanded = await expand?.(written, lineAt);
  if (expanded !== undefined && expanded.problems.length > 0) return { kind: "refused", problems: expanded.problems };
  const value = (expanded?.value ?? written) as Options;
  const problems = await schemaProblems(schema, value, [], lineAt);
  return problems.length > 0 ? { kind: "refused", problems } : { kind: "read", value, lineAt };
}

/** Turns big integers into numbers, except those beyond 2^53. */
function withNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withNumbers);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withNumbers(one)]));
}

/** @param folder the folder in which relative paths of schema files begin */
export async function checkConfiguration(text: string, folder: string, known: KnownKinds): Promise<Loaded> {
  const hidden = new HiddenTexts();
  let filled: ReadonlySet<string> = new Set();
  let warnings: readonly Problem[] = [];
  const expand: Expand = async (written, lineAt) => {
    warnings = clearSecrets(written, lineAt);
    const expanded = await expandTexts(written, { variable: environmentVariable, folder, lineAt, hidden });
    filled = expanded.filled;
    return expanded;
  };
  const read = await readYaml(text, CONFIGURATION_SCHEMA, expand);
  const tell = (problems: readonly Problem[]): Loaded => ({
    kind: "refused",
    problems: problems.map((problem) => withoutSecrets(problem, filled, hidden)),
  });
  if (read.kind === "refused") return tell(read.problems);
  const { lineAt: at } = read;
  const raw = read.value as unknown as Raw;
  const { kinds, own, problems: unloaded } = await loadOwnKinds(raw, known, folder, at);
  const problems = [
    ...unloaded,
    ...referenceProblems(raw, kinds, at),
    ...stepProblems(raw, at),
    ...outputProblems(raw, at),
    ...schemaTwice(raw, at),
    ...(await optionProblems(raw, kinds, at)),
  ];
  const schemas = await readSchemaFiles(raw, folder, problems, at);
  if (problems.length > 0) return tell(problems);
  const configuration = { ...complete(raw, schemas, folder, hidden), own };
  return { kind: "loaded", configuration, lineAt: at, warnings: [...warnings, ...keyWarnings(raw, at)] };
}

type Expand = (written: unknown, lineAt: LineAt) => Promise<Pick<Expanded, "value" | "problems">>;

/** Takes the value out of a problem if a variable or a file has filled the place, however short the value is. */
function withoutSecrets(problem: Problem, filled: ReadonlySet<string>, hidden: HiddenTexts): Problem {
  const isFilled = [...filled].some((path) => path === problem.path || path.startsWith(`${problem.path}/`));
  const reason = isFilled ? problem.reason.replace(/(current value is ).*$/s, `$1${HIDDEN}`) : problem.reason;
  return { ...problem, reason: hidden.hide(reason) };
}

function lineOf(document: Document, lines: LineCounter, path: readonly (string | number)[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    const range = (node as Node | null | undefined)?.range;
    if (range) return lines.linePos(range[0]).line;
  }
  return 0;
}

/** All problems that a JSON Schema finds, with the nearest known key for an unknown one. */
async function schemaProblems(
  schema: Options,
  value: unknown,
  prefix: readonly (string | number)[],
  at: LineAt,
): Promise<Problem[]> {
  const { Ajv2020 } = await loadDriver("ajv");
  const ajv = new Ajv2020({ allErrors: true, strict: false, verbose: true, logger: false });
  const validate = ajv.compile(schema);
  if (validate(value)) return [];
  return (validate.errors ?? [])
    .filter((error) => error.keyword !== "oneOf" && error.keyword !== "propertyNames")
    .map((error): Problem => {
      const path = [...prefix, ...segments(error.instancePath)];
      const unknown = (error.params as { additionalProperty?: string }).additionalProperty;
      if (unknown !== undefined) {
        const known = Object.keys((error.parentSchema as { properties?: object }).properties ?? {});
        return problemAt(at, [...path, unknown], unknownKey(unknown, known));
      }
      const allowed = (error.params as { allowedValues?: unknown[] }).allowedValues;
      const detail = allowed === undefined ? "" : `: ${allowed.join(", ")}`;
      return problemAt(at, path, `${error.message ?? "is not valid"}${detail}: current value is ${shown(error.data)}`);
    });
}

const segments = (path: string): string[] =>
  path
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));

async function optionProblems(raw: Raw, kinds: KnownKinds, at: LineAt): Promise<Problem[]> {
  const problems: Problem[] = [];
  const check = async (section: "sources" | "sinks", common: readonly string[]) => {
    for (const [name, options] of Object.entries(raw[section] ?? {})) {
      const schema = kinds[section].get(String(options.type));
      if (schema === undefined) continue;
      problems.push(...(await schemaProblems(schema, without(options, common), [section, name], at)));
    }
  };
  await check("sources", COMMON_SOURCE_KEYS);
  await check("sinks", COMMON_SINK_KEYS);
  return problems;
}

async function readSchemaFiles(
  raw: Raw,
  folder: string,
  problems: Problem[],
  at: LineAt,
): Promise<Map<string, Options>> {
  const { parse } = await loadDriver("yaml");
  const schemas = new Map<string, Options>();
  for (const [name, stream] of Object.entries(raw.streams ?? {})) {
    const file = stream.schemaFile;
    if (typeof file !== "string") continue;
    const refuse = (reason: string) => problems.push(problemAt(at, ["streams", name, "schemaFile"], reason));
    try {
      const place = resolve(folder, file);
      const { size } = await stat(place);
      if (size > SCHEMA_FILE_BYTES_MAX) {
        refuse(`must have at most ${SCHEMA_FILE_BYTES_MAX} bytes: ${file} has ${size}`);
        continue;
      }
      const text = await readFile(place, "utf8");
      const read = exactJsonOf(text) ?? withNumbers(parse(text, { intAsBigInt: true }));
      if (typeof read !== "object" || read === null || Array.isArray(read)) {
        refuse(`must hold a JSON Schema, a map of keywords: it holds ${read === null ? "nothing" : shown(read)}`);
      } else if (Object.keys(read).length === 0) {
        refuse("must hold a JSON Schema with a keyword: an empty one takes every event, as no schema does");
      } else schemas.set(name, read as Options);
    } catch (error) {
      refuse(`cannot be read: ${error instanceof RangeError ? "it nests too deep" : reasonOf(error)}`);
    }
  }
  return schemas;
}

/** Most bytes of a schema file. More than of the schema itself, as a file may hold indentation and descriptions. */
const SCHEMA_FILE_BYTES_MAX = 1_048_576;
const SCHEMA_JSON_LIMITS = { tokensMax: SCHEMA_FILE_BYTES_MAX, depthMax: 1_000 };

/** The value of a JSON text, parsed in a hundredth of YAML's time. Undefined for other YAML and invalid text. */
function exactJsonOf(text: string): unknown {
  try {
    return parseExactJson(text, SCHEMA_JSON_LIMITS);
  } catch (error) {
    if (error instanceof RejectedError) return undefined;
    throw error;
  }
}
