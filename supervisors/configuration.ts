/**
 * Reads `headrace.yaml`: checks it against its schema and against itself, and fills in what it leaves out. A problem
 * names the line, the reason and, for an unknown key, the nearest known one. Nothing is started here.
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Document, LineCounter, Node } from "yaml";
import { addressProblem } from "../actors/log/redis_connection.ts";
import { loadDriver } from "../deps.ts";
import { ConfigurationError } from "../protocols/errors.ts";
import type { LineAt, Problem } from "./configuration_problem.ts";
import {
  type ClusterConfiguration,
  CONFIGURATION_SCHEMA,
  type Configuration,
  type EventTimeConfiguration,
  type Options,
  type SecurityConfiguration,
  type StreamConfiguration,
} from "./configuration_schema.ts";
import { securityProblems } from "./configuration_security.ts";
import { environmentVariable } from "./environment.ts";
import { nearest } from "./nearest_word.ts";
import { clearSecrets } from "./security/clear_secrets.ts";
import { type Expanded, expandTexts } from "./security/expand_texts.ts";
import { HIDDEN, HiddenTexts } from "./security/hidden_texts.ts";
import type { QuotaTerms } from "./security/quotas.ts";

export type { LineAt, Problem } from "./configuration_problem.ts";

/** The kinds of sources and sinks that exist, each with the schema of its options. */
export interface KnownKinds {
  readonly sources: ReadonlyMap<string, Options>;
  readonly sinks: ReadonlyMap<string, Options>;
}

export type Loaded =
  | {
      readonly kind: "loaded";
      readonly configuration: Configuration;
      readonly lineAt: LineAt;
      /** Secrets in clear text: told, never refused. */
      readonly warnings: readonly Problem[];
    }
  | { readonly kind: "refused"; readonly problems: readonly Problem[] };

/** Reads and checks a file. Throws `ConfigurationError` with every problem, one to a line. */
export async function loadConfiguration(file: string, kinds: KnownKinds): Promise<Configuration> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot read the configuration as the file must be readable: ${(error as Error).message}`,
      { cause: error },
    );
  }
  const loaded = await checkConfiguration(text, dirname(resolve(file)), kinds);
  if (loaded.kind === "loaded") return loaded.configuration;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    loaded.problems.map((problem) => `${file}:${problem.line}: ${problem.path}: ${problem.reason}`).join("\n"),
  );
}

/** A YAML text read and held against its schema, with the lines of its places. */
export type ReadYaml =
  | { readonly kind: "read"; readonly value: Options; readonly lineAt: LineAt }
  | { readonly kind: "refused"; readonly problems: readonly Problem[] };

/** @param expand makes of the texts as written what they stand for, before the schema sees them */
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

/** Whole numbers as numbers where these are exact, and as big integers beyond 2^53. */
function withNumbers(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withNumbers);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withNumbers(one)]));
}

/** @param folder where relative paths of schema files begin */
export async function checkConfiguration(text: string, folder: string, kinds: KnownKinds): Promise<Loaded> {
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
  const problems = [
    ...referenceProblems(raw, kinds, at),
    ...stepProblems(raw, at),
    ...schemaTwice(raw, at),
    ...(await optionProblems(raw, kinds, at)),
  ];
  const schemas = await readSchemaFiles(raw, folder, problems, at);
  if (problems.length > 0) return tell(problems);
  return { kind: "loaded", configuration: complete(raw, schemas, folder, hidden), lineAt: at, warnings };
}

type Expand = (written: unknown, lineAt: LineAt) => Promise<Pick<Expanded, "value" | "problems">>;

/** Of a place that a variable or a file has filled, the value is not told, however short it is. */
function withoutSecrets(problem: Problem, filled: ReadonlySet<string>, hidden: HiddenTexts): Problem {
  const isFilled = [...filled].some((path) => path === problem.path || path.startsWith(`${problem.path}/`));
  const reason = isFilled ? problem.reason.replace(/(current value is ).*$/s, `$1${HIDDEN}`) : problem.reason;
  return { ...problem, reason: hidden.hide(reason) };
}

type Raw = {
  readonly [Section in "node" | "log" | "limits" | "security" | "cluster"]?: Options;
} & {
  readonly streams?: Readonly<Record<string, Options>>;
  readonly sources?: Readonly<Record<string, Options>>;
  readonly pipelines?: Readonly<Record<string, { from: string; steps?: Options[]; to: string[] }>>;
  readonly sinks?: Readonly<Record<string, Options>>;
};

function lineOf(document: Document, lines: LineCounter, path: readonly (string | number)[]): number {
  for (let length = path.length; length >= 0; length -= 1) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    const range = (node as Node | null | undefined)?.range;
    if (range) return lines.linePos(range[0]).line;
  }
  return 0;
}

/** Problems that a JSON Schema finds, every one of them, with the nearest known key for an unknown one. */
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
        const guess = nearest(unknown, known);
        return {
          line: at([...path, unknown]),
          path: pointer([...path, unknown]),
          reason: `unknown key ${unknown}: ${guess === undefined ? `known keys are ${known.join(", ")}` : `did you mean ${guess}?`}`,
        };
      }
      const allowed = (error.params as { allowedValues?: unknown[] }).allowedValues;
      const detail = allowed === undefined ? "" : `: ${allowed.join(", ")}`;
      return {
        line: at(path),
        path: pointer(path),
        reason: `${error.message ?? "is not valid"}${detail}: current value is ${shown(error.data)}`,
      };
    });
}

const segments = (path: string): string[] =>
  path
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));

const pointer = (path: readonly (string | number)[]): string => `/${path.join("/")}`;

function referenceProblems(raw: Raw, kinds: KnownKinds, at: LineAt): Problem[] {
  const problems: Problem[] = [];
  const expect = (path: readonly (string | number)[], value: string, known: readonly string[], what: string) => {
    if (known.includes(value)) return;
    const guess = nearest(value, known);
    const hint = guess === undefined ? `known ones are [${known.join(", ")}]` : `did you mean ${guess}?`;
    problems.push({ line: at(path), path: pointer(path), reason: `unknown ${what} ${value}: ${hint}` });
  };
  const own = Object.keys(raw.streams ?? {});
  const audit = auditStreamName(raw.security);
  // It may be read like any stream, and is written by the node alone.
  const streams = audit === undefined ? own : [...own, audit];
  if (audit !== undefined && own.includes(audit)) {
    const path = ["streams", audit];
    const reason = `stream ${audit} is the audit's own: give security.audit.stream another name`;
    problems.push({ line: at(path), path: pointer(path), reason });
  }
  const sinks = Object.keys(raw.sinks ?? {});
  for (const [name, source] of Object.entries(raw.sources ?? {})) {
    expect(["sources", name, "stream"], String(source.stream), own, "stream");
    expect(["sources", name, "type"], String(source.type), [...kinds.sources.keys()], "type of source");
  }
  for (const [name, sink] of Object.entries(raw.sinks ?? {})) {
    expect(["sinks", name, "type"], String(sink.type), [...kinds.sinks.keys()], "type of sink");
    if (sink.type === "stream") expect(["sinks", name, "stream"], String(sink.stream), own, "stream");
  }
  for (const [name, pipeline] of Object.entries(raw.pipelines ?? {})) {
    expect(["pipelines", name, "from"], pipeline.from, streams, "stream");
    for (const [index, to] of pipeline.to.entries()) expect(["pipelines", name, "to", index], to, sinks, "sink");
  }
  problems.push(...redisProblems(raw, at), ...securityProblems(raw.security, at));
  if (raw.cluster?.caFile !== undefined && raw.security?.tls === undefined) {
    problems.push({
      line: at(["cluster", "caFile"]),
      path: "/cluster/caFile",
      reason: "nodes show each other the certificates of security.tls: none is configured",
    });
  }
  if (raw.cluster !== undefined && raw.log?.type !== "redis") {
    problems.push({
      line: at(["cluster"]),
      path: "/cluster",
      reason: `nodes of a cluster share a log of type redis: log.type is ${raw.log?.type ?? "lmdb"}`,
    });
  }
  return [...problems, ...sharedSinkProblems(raw, at), ...cycleProblems(raw, at)];
}

/** What may stand in a step beside its one kind. */
const STEP_KEYS: Readonly<Record<string, { readonly beside: readonly string[]; readonly type: "string" | "object" }>> =
  {
    filter: { beside: [], type: "string" },
    map: { beside: ["keep"], type: "object" },
    call: { beside: [], type: "string" },
  };

/** A step does one thing: a key beside it that nothing reads would be taken for done. */
function stepProblems(raw: Raw, at: LineAt): Problem[] {
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, { steps = [] }]) =>
    steps.flatMap((step, index) => {
      const path = ["pipelines", name, "steps", index];
      return stepReasons(step).map(([key, reason]): Problem => {
        const place = key === undefined ? path : [...path, key];
        return { line: at(place), path: pointer(place), reason };
      });
    }),
  );
}

function stepReasons(step: Options): readonly (readonly [key: string | undefined, reason: string])[] {
  const keys = Object.keys(step);
  const kinds = keys.filter((key) => Object.hasOwn(STEP_KEYS, key));
  const [kind] = kinds;
  const known = [...Object.keys(STEP_KEYS), "keep"];
  const unknown = keys.filter((key) => !known.includes(key));
  if (unknown.length > 0) {
    return unknown.map((key) => {
      const guess = nearest(key, known);
      return [
        key,
        `unknown key ${key}: ${guess === undefined ? `known keys are ${known.join(", ")}` : `did you mean ${guess}?`}`,
      ];
    });
  }
  if (kind === undefined || kinds.length > 1) {
    return [[undefined, `must have exactly one of filter, map and call: current value is ${keys.join(", ")}`]];
  }
  const { beside, type } = STEP_KEYS[kind] ?? { beside: [], type: "string" };
  const ignored = keys.filter((key) => key !== kind && !beside.includes(key));
  if (ignored.length > 0) return ignored.map((key) => [key, `${key} is for a step of map: this one has ${kind}`]);
  return [...typeReasons(step, kind, type)];
}

function typeReasons(step: Options, kind: string, type: "string" | "object"): readonly (readonly [string, string])[] {
  const value = step[kind];
  const reasons: [string, string][] = [];
  if (typeof value !== type || value === null || Array.isArray(value)) {
    reasons.push([
      kind,
      `must be ${type === "string" ? "text" : "a map of expressions"}: current value is ${shown(value)}`,
    ]);
  } else if (type === "object") {
    for (const [field, one] of Object.entries(value as Options)) {
      if (typeof one !== "string")
        reasons.push([kind, `${field} must be an expression, as text: current value is ${shown(one)}`]);
    }
  }
  if (step.keep !== undefined && typeof step.keep !== "boolean") {
    reasons.push(["keep", `must be true or false: current value is ${shown(step.keep)}`]);
  }
  return reasons;
}

const shown = (value: unknown): string =>
  String(JSON.stringify(value, (_key, one) => (typeof one === "bigint" ? String(one) : one))).slice(0, 100);

/** Of two schemas one would be ignored. */
function schemaTwice(raw: Raw, at: LineAt): Problem[] {
  return Object.entries(raw.streams ?? {}).flatMap(([name, { schema, schemaFile }]) => {
    if (schema === undefined || schemaFile === undefined) return [];
    const path = ["streams", name, "schemaFile"];
    return [{ line: at(path), path: pointer(path), reason: "schema is there too: a stream has one of the two" }];
  });
}

/** Where Redis is must be said once, and only where it is used. */
function redisProblems({ log = {} }: Raw, at: LineAt): Problem[] {
  const problemAt = (path: readonly string[], reason: string): Problem[] => [
    { line: at(path), path: pointer(path), reason },
  ];
  if (log.type === "redis") {
    const reason = addressProblem(log);
    return reason === undefined ? [] : problemAt(["log"], reason);
  }
  const { type = "lmdb" } = log;
  return (["url", "urls", "sentinel"] as const).flatMap((key) =>
    log[key] === undefined ? [] : problemAt(["log", key], `${key} is for a log of type redis: log.type is ${type}`),
  );
}

/** A sink has one cursor for each partition, so that exactly one pipeline may feed it. */
function sharedSinkProblems(raw: Raw, at: LineAt): Problem[] {
  const fedBy = new Map<string, string>();
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, pipeline]) =>
    pipeline.to.flatMap((sink, index) => {
      const other = fedBy.get(sink);
      fedBy.set(sink, other ?? name);
      const path = ["pipelines", name, "to", index];
      if (other === undefined) return [];
      return [{ line: at(path), path: pointer(path), reason: `sink ${sink} is fed by pipeline ${other} already` }];
    }),
  );
}

/** A pipeline whose derived streams lead back to its own input would run for ever (E19). */
function cycleProblems(raw: Raw, at: LineAt): Problem[] {
  const derived = (sink: string): string | undefined => {
    const options = raw.sinks?.[sink];
    return options?.type === "stream" && typeof options.stream === "string" ? options.stream : undefined;
  };
  const next = (stream: string): string[] =>
    Object.values(raw.pipelines ?? {})
      .filter((pipeline) => pipeline.from === stream)
      .flatMap((pipeline) => pipeline.to.flatMap((sink) => derived(sink) ?? []));
  const reaches = (from: string, target: string, seen: Set<string>): boolean =>
    next(from).some((stream) => stream === target || (!seen.has(stream) && reaches(stream, target, seen.add(stream))));
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, pipeline]) => {
    if (!reaches(pipeline.from, pipeline.from, new Set())) return [];
    const path = ["pipelines", name];
    return [
      { line: at(path), path: pointer(path), reason: `stream ${pipeline.from} leads back to itself through pipelines` },
    ];
  });
}

const COMMON_SOURCE_KEYS = ["type", "stream"];
const COMMON_SINK_KEYS = ["type", "start"];

const without = (options: Options, keys: readonly string[]): Options =>
  Object.fromEntries(Object.entries(options).filter(([key]) => !keys.includes(key)));

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
    const path = ["streams", name, "schemaFile"];
    const refuse = (reason: string) => problems.push({ line: at(path), path: pointer(path), reason });
    try {
      const read = withNumbers(parse(await readFile(resolve(folder, file), "utf8"), { intAsBigInt: true }));
      if (typeof read !== "object" || read === null || Array.isArray(read)) {
        refuse(`must hold a JSON Schema, a map of keywords: it holds ${read === null ? "nothing" : shown(read)}`);
      } else if (Object.keys(read).length === 0) {
        refuse("must hold a JSON Schema with a keyword: an empty one takes every event, as no schema does");
      } else schemas.set(name, read as Options);
    } catch (error) {
      refuse(`can not be read: ${(error as Error).message}`);
    }
  }
  return schemas;
}

// Completing ----------------------------------------------------------------------------------------------------------

const UNITS: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 },
  ...{ B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824, TiB: 1_099_511_627_776 },
};

/** A number of bytes or milliseconds, from a number or from text such as `1GiB` or `7d`. */
function quantity(value: unknown, otherwise: number): number {
  if (typeof value === "number") return value;
  const found = /^([0-9.]+) ?([A-Za-z]+)$/.exec(String(value ?? ""));
  return found === null ? otherwise : Number(found[1]) * (UNITS[found[2] ?? ""] ?? 1);
}

function completeEventTime(value: unknown): EventTimeConfiguration {
  if (typeof value === "string") return { pointer: value, unit: "ms" };
  const { pointer: place, unit = "ms" } = value as Partial<EventTimeConfiguration> & { readonly pointer: string };
  return { pointer: place, unit };
}

function completeStream(options: Options, schemaOfFile: Options | undefined): StreamConfiguration {
  const retention = (options.retention ?? {}) as Options;
  const schema = schemaOfFile ?? (options.schema as Options | undefined);
  const { key } = options as { key?: string };
  return {
    ...(schema === undefined ? {} : { schema }),
    ...(key === undefined ? {} : { key }),
    ...(options.eventTime === undefined ? {} : { eventTime: completeEventTime(options.eventTime) }),
    bodyFormats: (options.bodyFormats as StreamConfiguration["bodyFormats"] | undefined) ?? [],
    compatibility: (options.compatibility as StreamConfiguration["compatibility"] | undefined) ?? "backward",
    partitions: (options.partitions as number | undefined) ?? 4,
    durability: (options.durability as StreamConfiguration["durability"] | undefined) ?? "fsync",
    retention: {
      sizeBytes: quantity(retention.size, 1_073_741_824),
      ageMs: quantity(retention.age, 7 * 86_400_000),
      onFull: (retention.onFull as "refuse" | "trim" | undefined) ?? "refuse",
    },
    dedupeWindowMs: quantity(options.dedupeWindow, 86_400_000),
    producersMax: (options.producersMax as number | undefined) ?? 10_000,
  };
}

const mapValues = <From, To>(
  from: Readonly<Record<string, From>> | undefined,
  change: (value: From, name: string) => To,
): Record<string, To> =>
  Object.fromEntries(Object.entries(from ?? {}).map(([name, value]) => [name, change(value, name)]));

function completeCluster(options: Options): ClusterConfiguration {
  const given = options as Partial<ClusterConfiguration>;
  const { advertise, secretFile, secretEnv, caFile } = given;
  return {
    ...(advertise === undefined ? {} : { advertise }),
    ...(secretFile === undefined ? {} : { secretFile }),
    ...(secretEnv === undefined ? {} : { secretEnv }),
    ...(caFile === undefined ? {} : { caFile }),
    zone: given.zone ?? "default",
    capacity: given.capacity ?? 1,
    silentAfterMs: quantity(options.silentAfter, 2_000),
  };
}

function completeSecurity(section: Options | undefined): SecurityConfiguration {
  const { audit, quotas, ...given } = (section ?? {}) as Partial<SecurityConfiguration>;
  const stream = auditStreamName(section);
  return {
    ...{ tokens: [], origins: [], hosts: [], ...given },
    ...(stream === undefined ? {} : { audit: { stream } }),
    ...(quotas === undefined ? {} : { quotas: mapValues(quotas, completeQuota) }),
  };
}

function completeQuota(quota: QuotaTerms): QuotaTerms {
  const { bytesPerSecond, ...given } = quota;
  return bytesPerSecond === undefined ? given : { ...given, bytesPerSecond: quantity(bytesPerSecond, 0) };
}

const auditStreamName = (section: Options | undefined): string | undefined => {
  const audit = section?.audit as { readonly stream?: string } | undefined;
  return audit === undefined ? undefined : (audit.stream ?? "audit");
};

/** It never keeps anybody waiting: what is old makes room for what is new. */
function auditStreamOf(section: Options | undefined): Readonly<Record<string, StreamConfiguration>> {
  const stream = auditStreamName(section);
  if (stream === undefined) return {};
  const { size = "64MiB", age = "30d" } = section?.audit as { readonly size?: unknown; readonly age?: unknown };
  return { [stream]: completeStream({ partitions: 1, retention: { size, age, onFull: "trim" } }, undefined) };
}

function complete(raw: Raw, schemas: ReadonlyMap<string, Options>, folder: string, hidden: HiddenTexts): Configuration {
  const node = (raw.node ?? {}) as Partial<Configuration["node"]>;
  const log = (raw.log ?? {}) as Partial<Configuration["log"]>;
  const limits = (raw.limits ?? {}) as Options;
  return {
    folder,
    hidden,
    node: { host: "127.0.0.1", port: 7070, data: ".headrace", logLevel: "info", ...node },
    log: { type: "lmdb", prefix: "headrace", ...log },
    streams: {
      ...mapValues(raw.streams, (stream, name) => completeStream(stream, schemas.get(name))),
      ...auditStreamOf(raw.security),
    },
    sources: mapValues(raw.sources, (source) => ({
      type: String(source.type),
      stream: String(source.stream),
      options: without(source, COMMON_SOURCE_KEYS),
    })),
    pipelines: mapValues(raw.pipelines, (pipeline) => ({
      from: pipeline.from,
      steps: pipeline.steps ?? [],
      to: pipeline.to,
    })),
    sinks: mapValues(raw.sinks, (sink) => ({
      type: String(sink.type),
      start: (sink.start as "earliest" | "latest" | undefined) ?? "earliest",
      options: without(sink, COMMON_SINK_KEYS),
    })),
    security: completeSecurity(raw.security),
    ...(raw.cluster === undefined ? {} : { cluster: completeCluster(raw.cluster) }),
    limits: {
      connectionsMax: (limits.connectionsMax as number | undefined) ?? 10_000,
      connectionsPerAddressMax: (limits.connectionsPerAddressMax as number | undefined) ?? 1_000,
      appendMemoryBytes: quantity(limits.appendMemory, 268_435_456),
    },
  };
}
