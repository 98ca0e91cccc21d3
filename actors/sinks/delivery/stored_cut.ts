/** The stored form of a cut into requests (D13). */
import { judgeCursor, position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { ChannelBounds } from "../../log/log.ts";
import { decodeStored, encodeStored } from "../stored_json.ts";
import type { RequestCut } from "./delivery_messages.ts";

interface Stored {
  readonly version: number;
  readonly epoch?: number;
  readonly offset?: number;
  readonly recordsPerRequest: number;
  readonly taken: readonly Sequence[];
}

export function encodeCut({ end, recordsPerRequest, taken }: RequestCut): Uint8Array {
  const stored: Stored = { version: 1, ...end, recordsPerRequest, taken };
  return encodeStored(stored);
}

/** Undefined where the log lost the cut's end. */
export function decodeCut(bytes: Uint8Array | undefined, bounds: ChannelBounds): RequestCut | undefined {
  if (bytes === undefined) return undefined;
  const needs = "the cut of a sink's requests as its format must be at most";
  const { epoch, offset, recordsPerRequest, taken } = decodeStored<Stored>(bytes, needs);
  if (epoch === undefined || offset === undefined) return { end: undefined, recordsPerRequest, taken };
  const end = position(epoch, offset);
  const { epochs, firstOffset, endOffset } = bounds;
  if (judgeCursor(end, epochs, firstOffset, endOffset).kind === "truncated") return undefined;
  return { end, recordsPerRequest, taken };
}
