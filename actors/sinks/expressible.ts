/**
 * Judges whether a sink can express an event without changing it. Events from the log hold values of a few kinds; a
 * step that a user wrote may make any other value. A value that the sink's format has no form for is named with its
 * path. Its record is set aside with that reason, and is never written as another value.
 *
 * In every text format integers beyond 2^53 keep their digits, and whole doubles beyond 2^53 have an exponent. Binary
 * is base64, and times are RFC 3339. An undefined field is left out; an undefined element of a list is null.
 */
import { isInexact } from "../../protocols/values/exact_json.ts";
import type { Rejection } from "./sink.ts";

export interface Inexpressible {
  /** JSON Pointer (RFC 6901) to the value, from the event. */
  readonly path: string;
  readonly reason: string;
}

export interface Form {
  /** Texts with half of a surrogate pair have a form: an escape. */
  readonly hasAnyText: boolean;
}

export const JSON_FORM: Form = { hasAnyText: true };
/** The form of an event in a stream: MessagePack, whose texts are UTF-8. */
export const EVENT_FORM: Form = { hasAnyText: false };

/** Levels of values inside one another. Encoders recurse, and thousands of levels would overflow the stack. */
export const DEPTH_MAX = 500;

const LONE_SURROGATE = /\p{Surrogate}/u;

/** `special`: the value has a form, but `JSON.stringify` would change it. `writeJson` with `jsonValue` writes it. */
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
  // `for in` is the fastest walk. It shows only own keys here, as neither prototype has enumerable ones.
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
  reason: `the sink cannot express the record: ${path === "" ? "the event" : path} ${reason}`,
  isFinal: true,
});
