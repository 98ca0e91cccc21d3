/**
 * Events as JSON text that people type and read: `headrace produce` reads it, `headrace tail` writes it, and each is
 * the inverse of the other. A JSON value that no event can hold is refused, not changed.
 */
import { RejectedError } from "../errors.ts";
import type { Event } from "../event.ts";
import { EVENT_LIMITS } from "./event_codec.ts";
import { writeIndentedJson } from "./exact_json.ts";
import { fromJsonValue, toJsonValue } from "./json_values.ts";
import { checkLevels, parseEventJson } from "./parse_json.ts";

const JSON_LIMITS = { tokensMax: EVENT_LIMITS.tokensMax / 2, depthMax: EVENT_LIMITS.depthMax };

const SURROGATE = /\\u[dD][89a-fA-F]/;

/**
 * Reads an event from JSON text: integers of 64 bits exactly, and the tags `$int`, `$bytes`, `$time` and `$map` of
 * docs/protocol.md. Throws `RejectedError` for text that is no JSON map, has a key twice, has too many levels, or holds
 * half a surrogate pair.
 *
 * @param levelsAround levels around the event, as in a node's answer; 0 for an event alone
 */
export function jsonEvent(text: string, levelsAround = 0): Event {
  const parsed = parseEventJson(text, JSON_LIMITS, levelsAround);
  const value = fromJsonValue(parsed.value);
  if (parsed.isDeep) checkLevels(value, JSON_LIMITS.depthMax + levelsAround);
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
