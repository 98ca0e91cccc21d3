/**
 * Events as JSON text that people type and read, exactly: `headrace produce` reads it, `headrace tail` writes it, and
 * the one is the inverse of the other. What JSON can say and an event can not hold is refused, not changed.
 */
import { RejectedError } from "./errors.ts";
import type { Event } from "./event.ts";
import { EVENT_LIMITS } from "./event_codec.ts";
import { writeIndentedJson } from "./exact_json.ts";
import { fromJsonValue, toJsonValue } from "./json_values.ts";
import { parseJson } from "./parse_json.ts";

/** An event lies two levels below the frame that carries it. */
const JSON_LIMITS = { tokensMax: EVENT_LIMITS.tokensMax / 2, depthMax: EVENT_LIMITS.depthMax - 2 };

const SURROGATE = /\\u[dD][89a-fA-F]/;

/**
 * Reads an event from JSON text: integers of 64 bits exactly, and `$int`, `$bytes`, `$time` and `$map` as docs/protocol.md
 * has them. Throws `RejectedError` where the text is no map of JSON, has a key twice, or holds half a character.
 */
export function jsonEvent(text: string): Event {
  const value = fromJsonValue(parseJson(text, JSON_LIMITS));
  if (!isMap(value)) throw new RejectedError("MALFORMED_EVENT", "Cannot take a value as it must be a map");
  // UTF-8 has no half characters: an encoder would replace them.
  if (SURROGATE.test(text) && !isWellFormed(value)) {
    throw new RejectedError(
      "MALFORMED_EVENT",
      "Cannot take a value as its texts must hold whole characters: one has half",
    );
  }
  return value;
}

/** Writes an event as indented JSON text that {@linkcode jsonEvent} reads back as the same event. */
export const eventJson = (event: Event): string => writeIndentedJson(toJsonValue(event));

const isMap = (value: unknown): value is Event =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return !LONE_SURROGATE.test(value);
  if (Array.isArray(value)) return value.every(isWellFormed);
  return !isMap(value) || Object.entries(value).every(([key, one]) => isWellFormed(key) && isWellFormed(one));
}

const LONE_SURROGATE = /\p{Surrogate}/u;
