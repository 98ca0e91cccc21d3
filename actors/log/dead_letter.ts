import type { Event } from "../../protocols/event.ts";

/** What a dead letter's batch holds, one map for each event set aside; `event` is the original, decoded or as bytes. */
export interface DeadLetter {
  readonly code: string;
  /** JSON Pointer to the offending value; empty for the event as a whole. */
  readonly path: string;
  readonly reason: string;
  /** Who set it aside: `validation`, `lost`, or `sink/<name>`. */
  readonly by: string;
  readonly producerId: string;
  readonly sequence: readonly [number, number, number];
  /** MessagePack bytes of the original event; absent for `lost`, of which nobody has the bytes. */
  readonly original?: Uint8Array;
  /** Where the record lies in its stream, for a sink's dead letters. */
  readonly source?: Event;
}
