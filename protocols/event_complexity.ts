/**
 * Whether events fit the bounds on nesting and on values of one frame. A node refuses the whole frame beyond them, so the
 * producer finds the event at fault before it is sent: its neighbours, and the connection, come to no harm.
 */
import { WIRE_DEFAULTS } from "./frames.ts";
import { scanEvents } from "./scan.ts";

/** Levels of one event: the frame around it has two of its own in JSON. */
export const EVENT_LEVELS_MAX = WIRE_DEFAULTS.frameDepthMax - 2;
/** Values in a batch of several events: as JSON, where each value has its key beside it, there are twice as many. */
const BATCH_VALUES_MAX = 300_000;
/** Values of a frame that are not its events. */
const FRAME_VALUES = 256;

/** Whether lists and maps lie deeper in each other than a node takes. A cycle is endlessly deep. */
export function isTooDeep(value: unknown, levelsLeft: number = EVENT_LEVELS_MAX): boolean {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  if (levelsLeft <= 0) return true;
  if (Array.isArray(value)) {
    for (const element of value) if (typeof element === "object" && isTooDeep(element, levelsLeft - 1)) return true;
    return false;
  }
  for (const key in value) {
    const field = (value as Record<string, unknown>)[key];
    if (typeof field === "object" && isTooDeep(field, levelsLeft - 1)) return true;
  }
  return false;
}

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
