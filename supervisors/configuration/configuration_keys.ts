/** Finds joins and counts whose keys may lie in several partitions, where each partition sees a part of them. Pure. */
import { type LineAt, type Problem, problemAt } from "./configuration_problem.ts";
import { type Raw, streamsOf } from "./configuration_raw.ts";
import type { Options } from "./configuration_schema.ts";
import { STREAM_SCHEMA } from "./stream_schema.ts";

type Path = readonly (string | number)[];

/** An expression that reads one field of the event, such as `event.order.id`. */
const FIELD = /^\s*event((?:\.[A-Za-z_]\w*)+)\s*$/;

/** Warnings for steps by key that read streams of several partitions which another key chooses, or none. */
export function keyWarnings(raw: Raw, at: LineAt): Problem[] {
  return Object.entries(raw.pipelines ?? {}).flatMap(([name, { from, steps = [] }]) => {
    // Behind another step, an expression reads that step's output.
    const [step] = steps.filter(({ filter }) => filter === undefined);
    if (step === undefined) return [];
    const path = ["pipelines", name, "steps", steps.indexOf(step)];
    return keysOf(step, streamsOf(from)).flatMap(([stream, where, expression]) => {
      const reason = splitReason(stream, raw.streams?.[stream], expression);
      return reason === undefined ? [] : [problemAt(at, [...path, ...where], reason)];
    });
  });
}

/** The keys that a step puts records together by: stream, place, and expression. */
function keysOf({ count, join }: Options, streams: readonly string[]): (readonly [string, Path, string])[] {
  const { by } = (count ?? {}) as { readonly by?: unknown };
  const { on } = (join ?? {}) as { readonly on?: Options };
  const joined = Object.entries(on ?? {}).filter(([stream]) => streams.includes(stream));
  return [
    ...(typeof by === "string" ? streams.map((stream) => [stream, ["count", "by"], by] as const) : []),
    ...joined.map(([stream, key]) => [stream, ["join", "on", stream], String(key)] as const),
  ];
}

/** Why records with one value of `expression` may lie in several partitions of a stream; undefined where they do not. */
function splitReason(stream: string, options: Options | undefined, expression: string): string | undefined {
  if (options === undefined) return undefined;
  const partitions = Number(options.partitions ?? STREAM_SCHEMA.properties.partitions?.default);
  if (partitions === 1) return undefined;
  const { key } = options;
  const field = FIELD.exec(expression)?.[1]?.replaceAll(".", "/");
  if (typeof key === "string" && (field === undefined || field === key)) return undefined;
  const chosen = typeof key === "string" ? `its key is ${key}` : "it has no key";
  return `records with one value of ${expression.trim()} may lie in several of the ${partitions} partitions of ${stream}, as ${chosen}, and each partition sees its own alone: choose that key, or write to a derived stream with it first`;
}
