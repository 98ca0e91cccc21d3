/**
 * Whether a sink can express an event without changing it. Events from the log are of a few kinds of values; a step of a
 * user's may make any other. A value without a form in the sink's format is named with its path. The record is then set aside
 * with a reason, and never written as another value.
 *
 * Every text format: integers beyond 2^53 keep their digits, whole doubles beyond it have an exponent, binary is base64, times are RFC 3339. A field that is undefined is
 * left out; in a list it is null.
 */
import { isInexact } from "../../protocols/values/exact_json.ts";
import type { Rejection } from "./sink.ts";

export interface Inexpressible {
  /** JSON Pointer (RFC 6901). */
  readonly path: string;
  readonly reason: string;
}

export interface Form {
  /** Texts with half of a surrogate pair have a form: an escape. */
  readonly hasAnyText: boolean;
}

export const JSON_FORM: Form = { hasAnyText: true };
/** Of an event in a stream: MessagePack, whose texts are UTF-8. */
export const EVENT_FORM: Form = { hasAnyText: false };

/** Values inside one another. Encoders recurse: far more would end the stack. */
export const DEPTH_MAX = 500;

const LONE_SURROGATE = /\p{Surrogate}/u;

/** `special`: all of it has a form, but `JSON.stringify` would change it: `writeJson` writes it, with `jsonValue`. */
export type Judgement = "plain" | "special" | Inexpressible;

export function judgeValue(value: unknown, form: Form, depth = 0): Judgement {
  switch (typeof value) {
    case "string":
      return judgeText(value, form);
    case "number":
      if (!Number.isFinite(value)) return fault(`must be a finite number: it is ${value}`);
      return isInexact(value) ? "special" : "plain";
    case "boolean":
    case "undefined":
      return "plain";
    case "bigint":
      return "special";
    case "object":
      return value === null ? "plain" : judgeObject(value, form, depth);
    case "function":
    case "symbol":
      return fault(`must be data: it is a ${typeof value}`);
  }
}

export const isWellFormed = (text: string): boolean => !LONE_SURROGATE.test(text);

const judgeText = (text: string, { hasAnyText }: Form): Judgement =>
  hasAnyText || isWellFormed(text) ? "plain" : fault("must be text in UTF-8: it holds half of a surrogate pair");

function judgeObject(value: object, form: Form, depth: number): Judgement {
  if (depth >= DEPTH_MAX) return fault(`must hold at most ${DEPTH_MAX} values inside one another: it holds more`);
  if (value instanceof Uint8Array) return "special";
  if (value instanceof Date)
    return Number.isNaN(value.getTime()) ? fault("must be a time that exists: it is an invalid date") : "plain";
  if (!Array.isArray(value) && !isMap(value))
    return fault(`must be data: it is an instance of ${value.constructor?.name ?? "a class"}`);
  const { hasAnyText } = form;
  let judgement: Judgement = "plain";
  // `for in` is the fastest walk, and shows what a map or a list holds: their prototypes show nothing.
  for (const key in value) {
    const inner = (value as Record<string, unknown>)[key];
    const isPlainText = hasAnyText || isWellFormed(key);
    if (isPlainText && hasAnyText && typeof inner === "string") continue;
    const found = isPlainText ? judgeValue(inner, form, depth + 1) : judgeText(key, form);
    if (found === "plain") continue;
    if (typeof found === "object") return { ...found, path: `/${escaped(key)}${found.path}` };
    judgement = found;
  }
  return judgement;
}

function isMap(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === Object.prototype || prototype === null;
}

const fault = (reason: string): Inexpressible => ({ path: "", reason });
const escaped = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");

export const INEXPRESSIBLE_CODE = "SINK_REJECTED";

export const finalRejection = (at: number, { path, reason }: Inexpressible): Rejection => ({
  at,
  code: INEXPRESSIBLE_CODE,
  path,
  reason: `the sink can not express the record: ${path === "" ? "the event" : path} ${reason}`,
  isFinal: true,
});
