import type { Event } from "../../protocols/event.ts";

/** One event that was set aside: a batch of dead letters holds one such map for each. */
export interface DeadLetter {
  readonly code: string;
  /** JSON Pointer to the offending value; empty for the event as a whole. */
  readonly path: string;
  readonly reason: string;
  /** The part that set the event aside: `validation`, `lost`, or `sink/<name>`. */
  readonly by: string;
  readonly producerId: string;
  readonly sequence: readonly [number, number, number];
  /** MessagePack bytes of the original event; absent for `lost`, whose bytes no node has. */
  readonly original?: Uint8Array;
  /**
   * The record's place in its stream, in a sink's dead letters: `{stream, partition, epoch, offset, index}`. Letters of a
   * replay add `channel` where it is not `records`, and `isStraight` where the record skipped its pipeline's steps.
   */
  readonly source?: Event;
  /**
   * The entry that the replay had read when it set the event aside, `{replay, channel, epoch, offset}`: a record, or a former
   * letter. Replays of earlier releases wrote none. In their letters `source` is a place in the channel that was read, and
   * `original` holds a letter where a step failed on one.
   */
  readonly replayed?: Event;
}
