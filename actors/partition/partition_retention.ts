/** The partition machine's retention (P5): trims records that are too many or too old, unless a consumer needs them. */
import { type HeadraceError, OverloadedError } from "../../protocols/errors.ts";
import { type Offset, offset, partitionName } from "../../protocols/position.ts";
import { EMPTY_BOUNDS, trimBounds } from "../log/bounds.ts";
import type { Channel, ChannelBounds } from "../log/log.ts";
import { type Effects, PARTITION_LIMITS, type PartitionEffect, type PartitionState } from "./partition_messages.ts";

const { sweepEveryMs } = PARTITION_LIMITS;
export const SWEEP_LATER: PartitionEffect = { type: "wait", delayMs: sweepEveryMs, message: { type: "sweep_due" } };

/** Trims channels beyond `bytesMax`, judges whether the partition is full, and asks for the next sweep. */
export function sweep(state: PartitionState, nowMs: number): Effects {
  if (state.ownership === undefined) return [SWEEP_LATER];
  const trims = trimBySize(state, state.channels);
  judgeFullness(state);
  const agedBeforeMs = nowMs - state.retention.ageMaxMs;
  return [{ type: "sweep", ownership: state.ownership, agedBeforeMs }, ...trims, SWEEP_LATER];
}

/** P12. The owner itself counts the events of `records` alone. An answer that is older than a trim only repeats that trim. */
export function measured(state: PartitionState, channels: ReadonlyMap<Channel, ChannelBounds>): Effects {
  for (const [channel, bounds] of channels) {
    const known = state.channels.get(channel);
    if (known === undefined || channel !== "records") state.channels.set(channel, bounds);
    else if (known.firstOffset === bounds.firstOffset)
      state.channels.set(channel, { ...known, sizeBytes: bounds.sizeBytes });
  }
  judgeFullness(state);
  return trimBySize(state, channels);
}

function trimBySize(state: PartitionState, channels: ReadonlyMap<Channel, ChannelBounds>): Effects {
  return [...channels].flatMap(([channel, bounds]) => {
    const excess = bounds.sizeBytes - state.retention.bytesMax;
    const records = bounds.endOffset - bounds.firstOffset;
    if (excess <= 0 || records <= 0) return [];
    const cut = Math.ceil((excess / bounds.sizeBytes) * records);
    return trimEffects(state, channel, offset(bounds.firstOffset + cut));
  });
}

/**
 * P12: only a pipeline trims its own state. An old entry may hold the only copy of a key, whatever its age. State is
 * bounded by its own limits, so it neither counts for `bytesMax` nor makes a partition full.
 */
const isState = (channel: Channel): boolean => channel.startsWith("state/");

/** P5: a trim up to `wantedOffset`, or only up to the first record that a consumer needs. */
export function trimEffects(state: PartitionState, channel: Channel, wantedOffset: Offset): Effects {
  const bounds = state.channels.get(channel);
  if (state.ownership === undefined || bounds === undefined || isState(channel)) return [];
  const allowed =
    state.retention.onFull === "trim" ? wantedOffset : Math.min(wantedOffset, neededFrom(state, channel).offset);
  const beforeOffset = offset(Math.min(allowed, bounds.endOffset));
  if (beforeOffset <= bounds.firstOffset) return [];
  return [{ type: "trim", ownership: state.ownership, channel, beforeOffset }];
}

/** A trim has moved the beginning of a channel. */
export function moveBeginning({ channels }: PartitionState, channel: Channel, trimmed: ChannelBounds): void {
  channels.set(channel, trimBounds(channels.get(channel) ?? EMPTY_BOUNDS, trimmed));
}

function neededFrom(state: PartitionState, channel: Channel): { readonly offset: number; readonly consumer?: string } {
  let needed: { offset: number; consumer?: string } = { offset: Number.POSITIVE_INFINITY };
  for (const consumer of state.expectedConsumers) {
    if (!state.consumers.has(consumer)) needed = { offset: 0, consumer };
  }
  for (const [consumer, at] of state.consumers) {
    if (at.channel === channel && at.offset < needed.offset) needed = { offset: at.offset, consumer };
  }
  return needed;
}

/** A partition is full where it exceeds `bytesMax` and a consumer still needs its oldest record. */
function judgeFullness(state: PartitionState): void {
  const bounds = state.channels.get("records");
  state.fullBecauseOf = undefined;
  if (bounds === undefined || bounds.sizeBytes <= state.retention.bytesMax || state.retention.onFull === "trim") return;
  const needed = neededFrom(state, "records");
  if (needed.consumer !== undefined && needed.offset <= bounds.firstOffset) state.fullBecauseOf = needed.consumer;
}

/** The error for appends to a partition that `consumer` keeps full. */
export const fullError = (state: PartitionState, consumer: string): HeadraceError =>
  new OverloadedError(
    "STORE_FULL",
    `Cannot append to ${partitionName(state.partition)} as the records that ${consumer} has not read must stay below ${state.retention.bytesMax} bytes: current value is ${state.channels.get("records")?.sizeBytes ?? 0}`,
    PARTITION_LIMITS.fullRetryAfterMs,
  );
