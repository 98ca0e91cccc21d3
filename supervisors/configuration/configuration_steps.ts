/** Checks a step of a pipeline: one kind, only its own keys, and no key that would be ignored. */
import { type LineAt, type Problem, problemAt } from "./configuration_problem.ts";
import type { Raw } from "./configuration_raw.ts";
import type { Options } from "./configuration_schema.ts";
import { unknownKey } from "./nearest_word.ts";

/** The keys that may stand in a step beside its kind. */
const STEP_KEYS: Readonly<Record<string, { readonly beside: readonly string[]; readonly type: "string" | "object" }>> =
  {
    filter: { beside: [], type: "string" },
    map: { beside: ["keep"], type: "object" },
    call: { beside: [], type: "string" },
  };

/** Refuses keys that no step reads, as their author would believe in their effect. */
export function stepProblems(raw: Raw, at: LineAt): Problem[] {
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, { steps = [] }]) =>
    steps.flatMap((step, index) => {
      const path = ["pipelines", name, "steps", index];
      return stepReasons(step).map(([key, reason]) => problemAt(at, key === undefined ? path : [...path, key], reason));
    }),
  );
}

function stepReasons(step: Options): readonly (readonly [key: string | undefined, reason: string])[] {
  const keys = Object.keys(step);
  const kinds = keys.filter((key) => Object.hasOwn(STEP_KEYS, key));
  const [kind] = kinds;
  const known = [...Object.keys(STEP_KEYS), "keep"];
  const unknown = keys.filter((key) => !known.includes(key));
  if (unknown.length > 0) return unknown.map((key) => [key, unknownKey(key, known)]);
  if (kind === undefined || kinds.length > 1) {
    return [[undefined, `must have exactly one of filter, map and call: current value is ${keys.join(", ")}`]];
  }
  const { beside, type } = STEP_KEYS[kind] ?? { beside: [], type: "string" };
  const ignored = keys.filter((key) => key !== kind && !beside.includes(key));
  if (ignored.length > 0) return ignored.map((key) => [key, `${key} is for a step of map: this one has ${kind}`]);
  return typeReasons(step, kind, type);
}

function typeReasons(step: Options, kind: string, type: "string" | "object"): readonly (readonly [string, string])[] {
  const value = step[kind];
  const reasons: [string, string][] = [];
  if (typeof value !== type || value === null || Array.isArray(value)) {
    const must = type === "string" ? "text" : "a map of expressions";
    reasons.push([kind, `must be ${must}: current value is ${shown(value)}`]);
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

export const shown = (value: unknown): string =>
  String(JSON.stringify(value, (_key, one) => (typeof one === "bigint" ? String(one) : one))).slice(0, 100);
