/** A batch on its way into a chain: numbered by the producer's count, cut where the log holds its first events (E2). */
import {
  compareSequences,
  lastSequence,
  type Sequence,
  type Sequences,
  sequenceAt,
  sequenceCount,
} from "../../sequence.ts";
import { cutEvents, joinEvents } from "../../values/cut_events.ts";
import { sliceEvents } from "../../values/slice_events.ts";
import type { WireVerdict } from "../../wire/frames.ts";
import type { ProducerBatch, SettledBatch } from "./producer_messages.ts";

/** A batch, or a piece of a cut batch, in the queue of its chain. */
export interface QueuedBatch {
  readonly id: number;
  events: Uint8Array;
  count: number;
  sequences: Sequences | undefined;
  readonly rest: Pick<ProducerBatch, "schemaVersion" | "traceparent" | "position">;
  firstSentAtMs: number | undefined;
  /** The sequences of the whole batch, where this is its last piece. */
  whole?: Sequences | undefined;
  /** True where the next piece of the batch follows, which settles the batch with the verdicts of both. */
  isPiece?: boolean;
  carried?: readonly WireVerdict[];
}

export function queued(batch: ProducerBatch): QueuedBatch {
  const { id, events, count, sequences, schemaVersion, traceparent, position } = batch;
  const rest = {
    ...(schemaVersion === undefined ? {} : { schemaVersion }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(position === undefined ? {} : { position }),
  };
  return { id, events, count, sequences, rest, firstSentAtMs: undefined };
}

export const settled = ({ id, sequences, whole, firstSentAtMs }: QueuedBatch): SettledBatch => ({
  id,
  sequences: whole ?? sequences,
  wasSent: firstSentAtMs !== undefined,
});

/** The batches of a queue, each once: the pieces of a cut batch are one batch. */
export function settledOf(queue: readonly QueuedBatch[]): SettledBatch[] {
  const batches = new Map<number, SettledBatch>();
  for (const piece of queue) {
    const batch = settled(piece);
    const wasSent = batch.wasSent || batches.get(piece.id)?.wasSent === true;
    batches.set(piece.id, { ...batch, wasSent });
  }
  return [...batches.values()];
}

/** Numbers a plain producer's batch, on from the last one. */
export function numberBatch(chain: { counted: Sequence | undefined }, batch: QueuedBatch): void {
  if (batch.sequences !== undefined) return;
  const last = chain.counted;
  const first: Sequence = last === undefined ? [0, 0, 0] : [last[0], last[1] + 1, 0];
  batch.sequences = { first, count: batch.count };
  chain.counted = lastSequence(batch.sequences);
}

/** E2: cuts a batch behind its stored events. The stored piece is sent again too: only its ack has verdicts (E4). */
export function cutAt(queue: QueuedBatch[], stored: Sequence | undefined): void {
  for (const [at, batch] of queue.entries()) {
    const { sequences } = batch;
    if (sequences === undefined || compareSequences(sequenceAt(sequences, 0), stored) > 0) return;
    if (compareSequences(lastSequence(sequences), stored) <= 0) continue;
    let kept = 0;
    while (compareSequences(sequenceAt(sequences, kept), stored) <= 0) kept++;
    const indexes = Array.from({ length: kept }, (_, index) => index);
    const before: QueuedBatch = {
      ...batch,
      events: joinEvents(sliceEvents(batch.events, indexes)),
      count: kept,
      sequences: partOf(sequences, 0, kept),
      whole: undefined,
      isPiece: true,
    };
    batch.whole ??= sequences;
    batch.events = cutEvents(batch.events, kept);
    batch.sequences = partOf(sequences, kept, sequenceCount(sequences));
    batch.count = sequenceCount(batch.sequences);
    queue.splice(at, 0, before);
    return;
  }
}

const partOf = (sequences: Sequences, from: number, to: number): Sequences =>
  "list" in sequences
    ? { list: sequences.list.slice(from, to) }
    : { first: sequenceAt(sequences, from), count: to - from };
