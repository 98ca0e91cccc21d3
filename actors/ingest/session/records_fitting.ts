/**
 * Cuts the records of a read to its room, in bytes on the wire. JSON takes more bytes than the stored form; how many
 * more is learned from the frames that were sent.
 */
import type { Position } from "../../../protocols/position.ts";
import type { WireBatch } from "../../../protocols/wire/frames.ts";
import type { ReadResult } from "../../log/log.ts";
import { cutBatches } from "./cut_batches.ts";
import type { RecordsRoom } from "./records_budget.ts";

export interface FittedRead {
  /** The records, cut to the room. */
  readonly result: ReadResult;
  /** Bytes that the log answered, before the cut. */
  readonly broughtBytes: number;
  /** The last batch was cut: it has more records. */
  readonly isCut: boolean;
}

type Fitted =
  | ({ readonly kind: "fitted" } & FittedRead)
  /** The room is too small for the first record (records budget B3). */
  | { readonly kind: "crowded"; readonly leastBytes: number };

/** Frames with fewer bytes of events are not learned from: most of such a frame is not events. */
const TELLING_BYTES_MIN = 16_384;

export class RecordsFitting {
  /** Bytes on the wire for a byte of events. */
  #growth = 1;

  fit(result: ReadResult, after: Position | undefined, room: RecordsRoom): Fitted {
    if (result.kind !== "records") return { kind: "fitted", result, broughtBytes: 0, isCut: false };
    const broughtBytes = this.#onWire(result.batches.reduce((sum, { events }) => sum + events.byteLength, 0));
    room.growInShare(broughtBytes); // a read that fits is not cut: the rest would be read again
    const bytesMax = Math.floor(room.bytes / this.#growth);
    const { batches, sizeBytes, isCut } = cutBatches(result.batches, (after?.offset ?? -1) + 1, bytesMax);
    const leastBytes = this.#onWire(sizeBytes);
    if (sizeBytes > bytesMax && !room.grow(leastBytes)) return { kind: "crowded", leastBytes };
    return { kind: "fitted", result: { kind: "records", batches }, broughtBytes, isCut };
  }

  /** A frame with these batches took `wireBytes` bytes. */
  sent(batches: readonly WireBatch[], wireBytes: number): void {
    const sizeBytes = batches.reduce((sum, { events }) => sum + events.byteLength, 0);
    if (sizeBytes >= TELLING_BYTES_MIN) this.#growth = Math.max(1, wireBytes / sizeBytes);
  }

  #onWire(sizeBytes: number): number {
    return Math.ceil(sizeBytes * this.#growth);
  }
}
