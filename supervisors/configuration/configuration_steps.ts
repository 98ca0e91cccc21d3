/** Checks a step of a pipeline: one kind, only its own keys, and no key that would be ignored. */
import { LATE_OUTPUT } from "../../actors/pipeline/late_event.ts";
import { type LineAt, type Problem, problemAt } from "./configuration_problem.ts";
import { type Raw, streamsOf } from "./configuration_raw.ts";
import type { Options } from "./configuration_schema.ts";
import { unknownKey } from "./nearest_word.ts";
import { duration } from "./schema_words.ts";

/** The keys that may stand in a step beside its kind. */
const STEP_KEYS: Readonly<Record<string, StepKeys>> = {
  filter: { beside: [], type: "string" },
  map: { beside: ["keep"], type: "object" },
  call: { beside: [], type: "string" },
  count: { beside: [], type: "object", fields: ["by", "every"], outputs: [LATE_OUTPUT] },
  join: { beside: [], type: "object", fields: ["on", "within"], outputs: [LATE_OUTPUT] },
};

interface StepKeys {
  readonly beside: readonly string[];
  readonly type: "string" | "object";
  /** The keys of the step's own map; absent where they are names of a user's choice. */
  readonly fields?: readonly string[];
  /** The named outputs of the step; absent for none. */
  readonly outputs?: readonly string[];
}

/** Keys of a step that are durations. */
const DURATIONS: ReadonlySet<string> = new Set(["every", "within"]);
const DURATION = new RegExp(duration.pattern);

/** Refuses keys that no step reads, as their author would believe in their effect. */
export function stepProblems(raw: Raw, at: LineAt): Problem[] {
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, { from, steps = [] }]) =>
    steps.flatMap((step, index) => {
      const path = ["pipelines", name, "steps", index];
      return [...stepReasons(step), ...joinReasons(step, streamsOf(from))].map(([key, reason]) =>
        problemAt(at, key === undefined ? path : [...path, key], reason),
      );
    }),
  );
}

const DETERMINISTIC_KINDS: ReadonlySet<string> = new Set(["filter", "map"]);

/** Whether the pipeline runs once, into an outbox, and not once for each of its sinks (E13). */
export const computesOnce = ({ from, steps = [] }: Pick<NonNullable<Raw["pipelines"]>[string], "from" | "steps">) =>
  streamsOf(from).length > 1 ||
  steps.some((step) => Object.keys(STEP_KEYS).some((kind) => kind in step && !DETERMINISTIC_KINDS.has(kind)));

/** Refuses an output that no step of its pipeline has: its sinks would never get an event. */
export function outputProblems(raw: Raw, at: LineAt): Problem[] {
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, { from, steps = [], outputs = {} }]) => {
    const ofSteps = steps.flatMap((step) => Object.keys(step).flatMap((kind) => STEP_KEYS[kind]?.outputs ?? []));
    // Streams are merged by event time, so that a record may come from the future.
    const known = [...new Set(streamsOf(from).length > 1 ? [...ofSteps, LATE_OUTPUT] : ofSteps)];
    const unknown = Object.keys(outputs).filter((output) => !known.includes(output));
    return unknown.map((output) => {
      const has = known.length === 0 ? "the steps have no named outputs" : `the steps have [${known.join(", ")}]`;
      return problemAt(at, ["pipelines", name, "outputs", output], `unknown output ${output}: ${has}`);
    });
  });
}

/** A join is between the two streams of its pipeline. */
function joinReasons({ join }: Options, streams: readonly string[]): readonly (readonly [string, string])[] {
  const { on } = (join ?? {}) as { readonly on?: Options };
  if (typeof on !== "object" || on === null || onReasons(on).length > 0) return [];
  const isBetween = Object.keys(on).every((stream) => streams.includes(stream)) && streams.length === 2;
  if (isBetween) return [];
  return [["join", `on must name the two streams of from, [${streams.join(", ")}]: current value is ${shown(on)}`]];
}

function stepReasons(step: Options): readonly (readonly [key: string | undefined, reason: string])[] {
  const keys = Object.keys(step);
  const kinds = keys.filter((key) => Object.hasOwn(STEP_KEYS, key));
  const [kind] = kinds;
  const known = [...Object.keys(STEP_KEYS), "keep"];
  const unknown = keys.filter((key) => !known.includes(key));
  if (unknown.length > 0) return unknown.map((key) => [key, unknownKey(key, known)]);
  if (kind === undefined || kinds.length > 1) {
    return [
      [undefined, `must have exactly one of ${Object.keys(STEP_KEYS).join(", ")}: current value is ${keys.join(", ")}`],
    ];
  }
  const { beside, type, fields }: StepKeys = STEP_KEYS[kind] ?? { beside: [], type: "string" };
  const ignored = keys.filter((key) => key !== kind && !beside.includes(key));
  if (ignored.length > 0) return ignored.map((key) => [key, `${key} is for a step of map: this one has ${kind}`]);
  const reasons = typeReasons(step, kind, type);
  return reasons.length > 0 || fields === undefined ? reasons : fieldReasons(step[kind] as Options, kind, fields);
}

/** A step with keys of its own has all of them, and no other. */
function fieldReasons(given: Options, kind: string, fields: readonly string[]): readonly (readonly [string, string])[] {
  const unknown = Object.keys(given).filter((key) => !fields.includes(key));
  const missing = fields.filter((key) => given[key] === undefined);
  return [
    ...unknown.map((key): [string, string] => [kind, unknownKey(key, fields)]),
    ...missing.map((key): [string, string] => [kind, `must have the key ${key}`]),
  ];
}

function typeReasons(step: Options, kind: string, type: "string" | "object"): readonly (readonly [string, string])[] {
  const value = step[kind];
  const reasons: [string, string][] = [];
  if (typeof value !== type || value === null || Array.isArray(value)) {
    const must = type === "string" ? "text" : kind === "map" ? "a map of expressions" : "a map";
    reasons.push([kind, `must be ${must}: current value is ${shown(value)}`]);
  } else if (type === "object") {
    for (const [field, one] of Object.entries(value as Options)) {
      if (kind !== "map" && DURATIONS.has(field)) {
        const isDuration =
          typeof one === "number" ? one > 0 : DURATION.test(String(one)) && Number.parseFloat(String(one)) > 0;
        if (!isDuration)
          reasons.push([kind, `${field} must be a duration, such as 1m: current value is ${shown(one)}`]);
      } else if (kind === "join" && field === "on") reasons.push(...onReasons(one));
      else if (typeof one !== "string")
        reasons.push([kind, `${field} must be an expression, as text: current value is ${shown(one)}`]);
    }
  }
  if (step.keep !== undefined && typeof step.keep !== "boolean") {
    reasons.push(["keep", `must be true or false: current value is ${shown(step.keep)}`]);
  }
  return reasons;
}

/** The keys of a join: an expression for each of two streams. */
function onReasons(value: unknown): [string, string][] {
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  if (entries.length === 2 && entries.every(([, key]) => typeof key === "string")) return [];
  return [["join", `on must name two streams, each with an expression: current value is ${shown(value)}`]];
}

/** The steps with durations in ms. */
export const completeSteps = (steps: readonly Options[], quantity: (value: unknown) => unknown): readonly Options[] =>
  steps.map((step) => {
    const { count, join } = step as { readonly count?: Options; readonly join?: Options };
    if (count !== undefined) return { ...step, count: { ...count, every: quantity(count.every) } };
    return join === undefined ? step : { ...step, join: { ...join, within: quantity(join.within) } };
  });

export const shown = (value: unknown): string =>
  String(JSON.stringify(value, (_key, one) => (typeof one === "bigint" ? String(one) : one))).slice(0, 100);
