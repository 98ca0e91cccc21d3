/** Cuts the first events off an encoded batch, which the log holds already (E2). */
import { countEvents } from "./event_codec.ts";
import { sliceEvents } from "./slice_events.ts";

/** The events from `firstIndex` on, encoded so that they decode by themselves. */
export function cutEvents(bytes: Uint8Array, firstIndex: number): Uint8Array {
  const count = countEvents(bytes);
  const indexes = Array.from({ length: Math.max(0, count - firstIndex) }, (_, index) => firstIndex + index);
  return joinEvents(sliceEvents(bytes, indexes));
}

/** One array of events that were encoded one by one. */
export function joinEvents(events: readonly Uint8Array[]): Uint8Array {
  const sizeBytes = events.reduce((sum, event) => sum + event.length, 5);
  const joined = new Uint8Array(sizeBytes);
  joined[0] = 0xdd;
  new DataView(joined.buffer).setUint32(1, events.length);
  let at = 5;
  for (const event of events) {
    joined.set(event, at);
    at += event.length;
  }
  return joined;
}
