/** The lives of producers, as they opened chains in one partition. Batches of a former life are refused (P10). */
import { FencedError } from "../../protocols/errors.ts";
import { partitionName } from "../../protocols/position.ts";
import type { AppendBatch } from "../log/log.ts";
import {
  PARTITION_LIMITS,
  type PartitionEffect,
  type PartitionMessage,
  type PartitionState,
  reply,
  type Waiting,
} from "./partition_messages.ts";

type OfProducer = Pick<AppendBatch, "producerId" | "producerEpoch">;

/** P10: remembers the producer's life that opened its chain, and refuses waiting batches of its former lives. */
export function supersede(
  state: PartitionState,
  { call, answer }: Extract<PartitionMessage, { type: "chain_answered" }>,
): readonly PartitionEffect[] {
  if (answer.kind !== "opened" || answer.outcome.kind !== "opened") return [];
  const { producerId, producerEpoch } = call.request;
  const { openedEpochs } = state;
  const before = openedEpochs.get(producerId) ?? 0;
  openedEpochs.delete(producerId);
  openedEpochs.set(producerId, Math.max(before, producerEpoch));
  for (const oldest of openedEpochs.keys()) {
    if (openedEpochs.size <= PARTITION_LIMITS.openedEpochsMax) break;
    openedEpochs.delete(oldest);
  }
  return before < producerEpoch ? refuseFormerLives(state) : [];
}

/** Refuses waiting batches of former lives. The log judges those in flight, which wait again only after a doubt. */
export function refuseFormerLives(state: PartitionState): readonly PartitionEffect[] {
  const former = state.pending.filter(({ batch }) => isOfFormerLife(state, batch));
  if (former.length === 0) return [];
  const kept = state.pending.filter(({ batch }) => !isOfFormerLife(state, batch));
  state.pending.splice(0, state.pending.length, ...kept);
  return former.map((append) => refuseFormerLife(state, append, append.batch));
}

export const isOfFormerLife = ({ openedEpochs }: PartitionState, { producerId, producerEpoch }: OfProducer): boolean =>
  producerEpoch < (openedEpochs.get(producerId) ?? 0);

export function refuseFormerLife(state: PartitionState, waiting: Waiting, { producerId, producerEpoch }: OfProducer) {
  const error = new FencedError(
    "STALE_PRODUCER_EPOCH",
    `Cannot append to ${partitionName(state.partition)} as the epoch of ${producerId} must be at least ${state.openedEpochs.get(producerId)}: current value is ${producerEpoch}`,
  );
  return reply(waiting, { kind: "refused", requestId: waiting.requestId, error });
}
