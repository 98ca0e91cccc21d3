/** The producer machine's appends: which may be sent, what an ack settles, which chain credit serves first (P1, P7). */
import { InvariantError } from "../../errors.ts";
import { compareSequences, lastSequence, type Sequence, type Sequences } from "../../sequence.ts";
import type { AckFrame, AppendFrame, WireVerdict } from "../../wire/frames.ts";
import { linkNamed } from "../links.ts";
import type { ProducerEffect, SettledBatch } from "./producer_messages.ts";
import { type Chain, PRODUCER_LIMITS, type ProducerLink, type ProducerState } from "./producer_state.ts";
import { type QueuedBatch, settled } from "./queued_batch.ts";

/** Bytes of an append frame besides its events, at most. The size on the wire replaces this estimate. */
const FRAME_OVERHEAD_BYTES = 512;

/** P1, P7. Sends the batches that the chain's phase and the link's credit allow. */
export function pump(state: ProducerState, chain: Chain, nowMs: number, effects: ProducerEffect[]): void {
  const link = linkNamed(state.links, chain.link);
  if (link === undefined || chain.phase !== "open") return;
  const limit = chain.isProbing ? 1 : PRODUCER_LIMITS.appendsInFlightMax;
  while (chain.sent < limit) {
    const batch = chain.queue[chain.sent];
    if (batch === undefined) return;
    const estimatedBytes = batch.events.length + FRAME_OVERHEAD_BYTES;
    if (!link.credit.mayTake(chain.key, estimatedBytes)) {
      link.isStarved = true;
      return;
    }
    if (batch.sequences === undefined) throw new InvariantError("Cannot send a batch as it has no sequences");
    const before = chain.queue[chain.sent - 1];
    const previous =
      before?.sequences === undefined ? chain.previous : laterOf(lastSequence(before.sequences), chain.previous);
    batch.firstSentAtMs ??= nowMs;
    chain.sent++;
    const frame = appendOf(chain, batch, batch.sequences, previous);
    link.credit.setAside(chain.key, frame, estimatedBytes);
    effects.push({ type: "send_append", link: link.name, frame, estimatedBytes });
  }
}

const laterOf = (left: Sequence, right: Sequence | undefined): Sequence =>
  right !== undefined && compareSequences(right, left) > 0 ? right : left;

function appendOf(
  { stream, partition, openedEpoch }: Chain,
  batch: QueuedBatch,
  sequences: Sequences,
  previous: Sequence | undefined,
): AppendFrame {
  return {
    type: "append",
    stream,
    partition,
    producerEpoch: openedEpoch,
    previousSequence: previous ?? null,
    sequences,
    ...batch.rest,
    events: batch.events,
  };
}

export function takeAck(
  state: ProducerState,
  frame: AckFrame,
  chain: Chain,
  nowMs: number,
  effects: ProducerEffect[],
): void {
  const { stream, partition, verdicts = [] } = frame;
  const batches: SettledBatch[] = [];
  const carried: WireVerdict[] = [];
  // Batches that were not sent on this link stay: only the ack of their repetition carries their verdicts (P3).
  for (let head = chain.queue[0]; head?.sequences !== undefined && chain.sent > 0; head = chain.queue[0]) {
    if (compareSequences(lastSequence(head.sequences), frame.lastSequence) > 0) break;
    chain.queue.shift();
    chain.sent--;
    const next = chain.queue[0];
    if (head.isPiece === true && next?.id === head.id) next.carried = [...(head.carried ?? []), ...verdicts];
    else {
      batches.push(settled(head));
      carried.push(...(head.carried ?? []));
    }
  }
  chain.previous = laterOf(frame.lastSequence, chain.previous);
  chain.touchedAtMs = nowMs;
  if (batches.length > 0) {
    chain.isProbing = false;
    chain.tries = 0;
    chain.askedAt.clear();
    effects.push({ type: "acked", stream, partition, batches, verdicts: [...carried, ...verdicts] });
  }
  pump(state, chain, nowMs, effects);
}

/** Credit has returned on a link. Chains take turns: a chain that was served goes to the end of the line. */
export function serveStarved(state: ProducerState, link: ProducerLink, nowMs: number, effects: ProducerEffect[]): void {
  if (!link.isStarved) return;
  link.isStarved = false;
  for (const [key, chain] of [...state.chains]) {
    if (chain.link !== link.name || chain.sent >= chain.queue.length) continue;
    state.chains.delete(key);
    state.chains.set(key, chain);
    pump(state, chain, nowMs, effects);
  }
}
