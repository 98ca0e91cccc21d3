/** Checks that what a module exports is a kind of source or sink, before anything calls it. Pure. */
import { COMMON_SINK_KEYS, COMMON_SOURCE_KEYS } from "./configuration_raw.ts";
import { shown } from "./configuration_steps.ts";

export type Section = "sources" | "sinks";

interface Shape {
  readonly what: string;
  /** Values that a property may have; a text is the type of its value. */
  readonly required: Readonly<Record<string, string | readonly string[]>>;
  readonly optional: Readonly<Record<string, string | readonly string[]>>;
  /** Keys that every entry of the section has, so that no option of a kind may have such a name. */
  readonly commonKeys: readonly string[];
}

const functions = (...names: readonly string[]) => Object.fromEntries(names.map((name) => [name, "function"]));

const SHAPES: Readonly<Record<Section, Shape>> = {
  sources: {
    what: "a source",
    required: { type: "string", optionsSchema: "object", open: "function" },
    optional: {
      ...functions("warningsOf", "shards", "test"),
      identity: ["position", "message_id"],
      readsOwnMachine: "boolean",
    },
    commonKeys: COMMON_SOURCE_KEYS,
  },
  sinks: {
    what: "a sink",
    required: {
      type: "string",
      delivery: ["transactional", "idempotent", "at_least_once"],
      optionsSchema: "object",
      open: "function",
    },
    optional: {
      ...functions(
        "check",
        "place",
        "clusterProblem",
        "recordsPerRequest",
        "stepTimeoutMs",
        "batch",
        "connect",
        "test",
      ),
      templates: "object",
      keepsDeliveriesApart: "boolean",
      usesStoredBytes: "boolean",
    },
    commonKeys: COMMON_SINK_KEYS,
  },
};

/** The reasons why a value is no kind of the section; none where it is one. */
export function shapeReasons(section: Section, value: unknown): readonly string[] {
  const { what, required, optional, commonKeys } = SHAPES[section];
  if (typeof value !== "object" || value === null)
    return [`${what} must be an object: current value is ${nameOf(value)}`];
  const found = value as Readonly<Record<string, unknown>>;
  const wrong = Object.entries({ ...optional, ...required }).flatMap(([name, must]) => {
    const isAbsent = found[name] === undefined;
    if (isAbsent && !Object.hasOwn(required, name)) return [];
    if (typeof must === "string" ? isOf(must, found[name]) : must.includes(String(found[name]))) return [];
    const current = isAbsent ? "it is missing" : `current value is ${nameOf(found[name])}`;
    return [`${name} must be ${typeof must === "string" ? wordOf(must) : `one of ${must.join(", ")}`}: ${current}`];
  });
  return wrong.length > 0 ? wrong : schemaReasons(found.optionsSchema as Readonly<Record<string, unknown>>, commonKeys);
}

/** An unknown key must be refused: its author would believe in its effect. */
function schemaReasons(schema: Readonly<Record<string, unknown>>, commonKeys: readonly string[]): readonly string[] {
  const taken = Object.keys((schema.properties as object | undefined) ?? {}).filter((key) => commonKeys.includes(key));
  const reasons = taken.map((key) => `optionsSchema must not have the property ${key}: every entry has it already`);
  if (schema.additionalProperties !== false && schema.unevaluatedProperties !== false) {
    reasons.push("optionsSchema must refuse unknown keys: additionalProperties: false is missing");
  }
  return reasons;
}

const isOf = (type: string, value: unknown): boolean => value !== null && typeof value === type;

const wordOf = (type: string): string => (type === "object" ? "an object" : type === "string" ? "text" : `a ${type}`);

const nameOf = (value: unknown): string => (typeof value === "function" ? "a function" : shown(value));
