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
  /**
   * Where the record lies in its stream, for a sink's dead letters: `{stream, partition, epoch, offset, index}`. Of replays also
   * `channel`, where that is not `records`, and `isStraight`, where it went to the sink without its pipeline's steps.
   */
  readonly source?: Event;
  /**
   * What the replay that set it aside had read: `{replay, channel, epoch, offset}`; the letter before, of a replay of letters.
   * Letters that replays of earlier releases wrote have none. Their `source` is a place in the channel that was read, and where a
   * step failed on a letter, `original` holds that letter.
   */
  readonly replayed?: Event;
}
