/**
 * Whether events fit the bounds on nesting and on values of one frame. A node refuses the whole frame beyond them, so the
 * producer finds the event at fault before it is sent: its neighbours, and the connection, come to no harm.
 */
import { WIRE_DEFAULTS } from "../wire/frames.ts";
import { scanEvents } from "./scan.ts";

/** Levels of one event, its own map being the first: the same at every way in, whatever lies around the event there. */
export const EVENT_LEVELS_MAX: number = WIRE_DEFAULTS.frameDepthMax;
/** Values in a batch of several events: as JSON, where each value has its key beside it, there are twice as many. */
const BATCH_VALUES_MAX = 300_000;
/** Values of a frame that are not its events. */
const FRAME_VALUES = 256;

/** Keys of a map that the encoder of MessagePack has a length for. */
const MAP_KEYS_MAX = 65_535;
export const TOO_MANY_KEYS = `a map must have at most ${MAP_KEYS_MAX} keys: it has more`;
/** No shorter JSON holds a map of more: each key takes its quotes, a colon, a value and a comma. */
export const WIDE_MAP_CHARACTERS_MIN: number = MAP_KEYS_MAX * 5;

/** What {@linkcode surveyEvent} finds, as bits of a set. */
export const TOO_DEEP = 1;
export const LONG_NUMBER = 2;
export const MINUS_ZERO = 4;
export const TOO_WIDE = 8;

/**
 * One walk over an event, as it is to be sent: whether lists and maps lie deeper in each other than a node takes (a cycle is
 * endlessly deep), whether a map has more keys than its encoder counts, and whether numbers may be beyond 32 bits or -0.
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
  // What else an encoder makes of an instance of a class is not seen here.
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

/** Whether lists and maps lie deeper in each other than that. */
export const isTooDeep = (value: unknown, levelsMax: number = EVENT_LEVELS_MAX): boolean =>
  (surveyEvent(value, levelsMax) & TOO_DEEP) !== 0;

/** Whether a map in it has more keys than its encoder counts. */
export const isTooWide = (value: unknown): boolean => (surveyEvent(value) & TOO_WIDE) !== 0;

/** Whether encoded events hold more values than a frame may. Each value has a byte at least: few bytes are not walked. */
export function hasTooManyValues(events: Uint8Array, count: number): boolean {
  const valuesMax = count > 1 ? BATCH_VALUES_MAX : WIRE_DEFAULTS.frameTokensMax - FRAME_VALUES;
  if (events.length <= valuesMax) return false;
  try {
    scanEvents(events, { tokensMax: valuesMax, depthMax: WIRE_DEFAULTS.frameDepthMax }, count);
    return false;
  } catch {
    return true; // The scan throws for the array as a whole alone: for its values, as its depth is known to be in order.
  }
}
