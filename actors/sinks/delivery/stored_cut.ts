/** The stored form of a cut into requests (D13). */
import { judgeCursor, position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { ChannelBounds } from "../../log/log.ts";
import { decodeStored, encodeStored } from "../stored_json.ts";
import { CUT_RECORDS_MAX, type RequestCut } from "./delivery_messages.ts";

interface Stored {
  readonly version: number;
  readonly epoch?: number;
  readonly offset?: number;
  readonly recordsPerRequest: number;
  readonly taken: readonly Sequence[];
  /** Since version 2. */
  readonly recordsMax?: number;
}

/** Version 2 only where a reader of version 1 would assume too small a batch. */
export function encodeCut({ end, recordsPerRequest, taken, recordsMax = CUT_RECORDS_MAX }: RequestCut): Uint8Array {
  const cut = { ...end, recordsPerRequest, taken };
  const stored: Stored = recordsMax > CUT_RECORDS_MAX ? { version: 2, ...cut, recordsMax } : { version: 1, ...cut };
  return encodeStored(stored);
}

/** Undefined where the log lost the cut's end. */
export function decodeCut(bytes: Uint8Array | undefined, bounds: ChannelBounds): RequestCut | undefined {
  if (bytes === undefined) return undefined;
  const needs = "the cut of a sink's requests as its format must be at most";
  const { epoch, offset, recordsPerRequest, taken, recordsMax } = decodeStored<Stored>(bytes, needs, 2);
  if (epoch === undefined || offset === undefined) {
    const cut = { end: undefined, recordsPerRequest, taken };
    return recordsMax === undefined ? cut : { ...cut, recordsMax };
  }
  const end = position(epoch, offset);
  const { epochs, firstOffset, endOffset } = bounds;
  if (judgeCursor(end, epochs, firstOffset, endOffset).kind === "truncated") return undefined;
  return { end, recordsPerRequest, taken };
}
