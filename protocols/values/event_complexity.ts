/**
 * Whether events fit the bounds of a frame on levels and values. Beyond these a node refuses the whole frame. So the
 * producer finds the event at fault before it sends the batch: the other events and the connection come to no harm.
 */
import { WIRE_DEFAULTS } from "../wire/frames.ts";
import { scanEvents } from "./scan.ts";

/** The most levels of one event, its own map being the first; at every way in, without the levels around events. */
export const EVENT_LEVELS_MAX: number = WIRE_DEFAULTS.frameDepthMax;
/** The most values in a batch of several events. As JSON, where keys count too, a batch has up to twice as many. */
const BATCH_VALUES_MAX = 300_000;
/** Values of a frame besides those of its events. */
const FRAME_VALUES = 256;

/** The most keys of a map that the MessagePack encoder can write. */
export const MAP_KEYS_MAX = 65_535;
export const TOO_MANY_KEYS = `a map must have at most ${MAP_KEYS_MAX} keys: it has more`;
/** Shorter JSON cannot hold a wider map: each key takes its quotes, a colon, a value and a comma. */
export const WIDE_MAP_CHARACTERS_MIN: number = MAP_KEYS_MAX * 5;

/** What {@linkcode surveyEvent} finds, as bits of a set. */
export const TOO_DEEP = 1;
export const LONG_NUMBER = 2;
export const MINUS_ZERO = 4;
export const TOO_WIDE = 8;

/**
 * Walks over an event once, before it is sent. Answers a set of bits: `TOO_DEEP` for more levels than a node takes (a
 * cycle is endlessly deep), `TOO_WIDE` for a map with too many keys, `LONG_NUMBER` for numbers beyond 32 bits,
 * `MINUS_ZERO` for -0.
 */
export function surveyEvent(event: unknown, levelsLeft: number = EVENT_LEVELS_MAX): number {
  if (typeof event !== "object" || event === null || ArrayBuffer.isView(event) || event instanceof Date) return 0;
  if (levelsLeft <= 0) return TOO_DEEP;
  let found = 0;
  if (Array.isArray(event)) {
    for (const element of event) {
      found |= typeof element === "object" ? surveyEvent(element, levelsLeft - 1) : surveyScalar(element);
      if ((found & TOO_DEEP) !== 0) return found;
    }
    return found;
  }
  // An encoder may turn an instance of a class into any value.
  if (event.constructor !== Object) found = LONG_NUMBER | MINUS_ZERO;
  let keys = 0;
  for (const key in event) {
    keys += 1;
    const field = (event as Record<string, unknown>)[key];
    found |= typeof field === "object" ? surveyEvent(field, levelsLeft - 1) : surveyScalar(field);
    if ((found & TOO_DEEP) !== 0) return found;
  }
  return keys > MAP_KEYS_MAX ? found | TOO_WIDE : found;
}

function surveyScalar(value: unknown): number {
  if (typeof value !== "number") return 0;
  if (value > 0xffff_ffff || value < -0x8000_0000) return LONG_NUMBER;
  return Object.is(value, -0) ? MINUS_ZERO : 0;
}

/** Whether a value has more than `levelsMax` levels of lists and maps. */
export const isTooDeep = (value: unknown, levelsMax: number = EVENT_LEVELS_MAX): boolean =>
  (surveyEvent(value, levelsMax) & TOO_DEEP) !== 0;

/** Whether a map in a value has more keys than the encoder can write. */
export const isTooWide = (value: unknown): boolean => (surveyEvent(value) & TOO_WIDE) !== 0;

/** Whether encoded events hold more values than a frame may. A value takes a byte at least: few bytes need no walk. */
export function hasTooManyValues(events: Uint8Array, count: number): boolean {
  const valuesMax = count > 1 ? BATCH_VALUES_MAX : WIRE_DEFAULTS.frameTokensMax - FRAME_VALUES;
  if (events.length <= valuesMax) return false;
  try {
    scanEvents(events, { tokensMax: valuesMax, depthMax: WIRE_DEFAULTS.frameDepthMax }, count);
    return false;
  } catch {
    return true; // The scan throws for too many values: the depth was checked before.
  }
}
