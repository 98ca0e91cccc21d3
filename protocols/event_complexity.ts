/**
 * Whether events fit the bounds on nesting and on values of one frame. A node refuses the whole frame beyond them, so the
 * producer finds the event at fault before it is sent: its neighbours, and the connection, come to no harm.
 */
import { WIRE_DEFAULTS } from "./frames.ts";
import { scanEvents } from "./scan.ts";

/** Levels of one event, its own map being the first: the same at every way in, whatever lies around the event there. */
export const EVENT_LEVELS_MAX: number = WIRE_DEFAULTS.frameDepthMax;
/** Values in a batch of several events: as JSON, where each value has its key beside it, there are twice as many. */
const BATCH_VALUES_MAX = 300_000;
/** Values of a frame that are not its events. */
const FRAME_VALUES = 256;

/** What {@linkcode surveyEvent} finds, as bits of a set. */
export const TOO_DEEP = 1;
export const LONG_NUMBER = 2;
export const MINUS_ZERO = 4;

/**
 * One walk over an event, as it is to be sent: whether lists and maps lie deeper in each other than a node takes (a cycle is
 * endlessly deep), and whether its numbers may be beyond 32 bits or -0.
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
  for (const key in event) {
    const field = (event as Record<string, unknown>)[key];
    found |= typeof field === "object" ? surveyEvent(field, levelsLeft - 1) : surveyScalar(field);
    if ((found & TOO_DEEP) !== 0) return found;
  }
  return found;
}

function surveyScalar(value: unknown): number {
  if (typeof value !== "number") return 0;
  if (value > 0xffff_ffff || value < -0x8000_0000) return LONG_NUMBER;
  return Object.is(value, -0) ? MINUS_ZERO : 0;
}

/** Whether lists and maps lie deeper in each other than that. */
export const isTooDeep = (value: unknown, levelsMax: number = EVENT_LEVELS_MAX): boolean =>
  (surveyEvent(value, levelsMax) & TOO_DEEP) !== 0;

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
