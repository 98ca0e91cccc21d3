/** Changes of a channel's bounds, as a log makes them and an owner learns of them. */
import { type Epoch, type Offset, offset } from "../../protocols/position.ts";
import type { ChannelBounds } from "./log.ts";

/** Bounds of a channel that was never written. */
export const EMPTY_BOUNDS: ChannelBounds = { epochs: [], firstOffset: offset(0), endOffset: offset(0), sizeBytes: 0 };

/** The bounds after an owner of `ofEpoch` has moved the end. The first write of an epoch adds it to the epoch table. */
export function advanceBounds(bounds: ChannelBounds, ofEpoch: Epoch, endOffset: Offset, addedBytes = 0): ChannelBounds {
  const isFirstWrite = endOffset > bounds.endOffset && bounds.epochs.at(-1)?.epoch !== ofEpoch;
  const epochs = isFirstWrite ? [...bounds.epochs, { epoch: ofEpoch, firstOffset: bounds.endOffset }] : bounds.epochs;
  return { epochs, firstOffset: bounds.firstOffset, endOffset, sizeBytes: bounds.sizeBytes + addedBytes };
}

/** The bounds after a trim. Its answer may be older than later appends: it moves the beginning, never the end back. */
export function trimBounds(bounds: ChannelBounds, trimmed: ChannelBounds): ChannelBounds {
  if (trimmed.endOffset >= bounds.endOffset) return trimmed;
  const later = bounds.epochs.filter(({ firstOffset }) => firstOffset >= trimmed.endOffset);
  return { ...trimmed, epochs: [...trimmed.epochs, ...later], endOffset: bounds.endOffset };
}

/** The bounds cut at `endOffset`: a log's answer may include records that it has not yet acknowledged (E10). */
export function boundsUpTo(bounds: ChannelBounds, endOffset: Offset): ChannelBounds {
  if (bounds.endOffset <= endOffset) return bounds;
  const epochs = bounds.epochs.filter(({ firstOffset }) => firstOffset < endOffset);
  return { ...bounds, epochs, endOffset: offset(Math.max(endOffset, bounds.firstOffset)) };
}
