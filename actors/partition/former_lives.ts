/** The lives of producers, as they opened chains in one partition. Batches of a former life are refused (P10). */
import { FencedError } from "../../protocols/errors.ts";
import { partitionName } from "../../protocols/position.ts";
import type { AppendBatch } from "../log/log.ts";
import {
  type Effects,
  PARTITION_LIMITS,
  type PartitionState,
  reply,
  type Told,
  takePending,
  type Waiting,
} from "./partition_messages.ts";

type OfProducer = Pick<AppendBatch, "producerId" | "producerEpoch">;

/** P10: remembers the producer's life that opened its chain, and refuses waiting batches of its former lives. */
export function supersede(state: PartitionState, { call, answer }: Told<"chain_answered">): Effects {
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
export const refuseFormerLives = (state: PartitionState): Effects =>
  takePending(state, (batch) => isOfFormerLife(state, batch)).map((append) =>
    refuseFormerLife(state, append, append.batch),
  );

export const isOfFormerLife = ({ openedEpochs }: PartitionState, { producerId, producerEpoch }: OfProducer): boolean =>
  producerEpoch < (openedEpochs.get(producerId) ?? 0);

export function refuseFormerLife(state: PartitionState, waiting: Waiting, { producerId, producerEpoch }: OfProducer) {
  const error = new FencedError(
    "STALE_PRODUCER_EPOCH",
    `Cannot append to ${partitionName(state.partition)} as the epoch of ${producerId} must be at least ${state.openedEpochs.get(producerId)}: current value is ${producerEpoch}`,
  );
  return reply(waiting, { kind: "refused", requestId: waiting.requestId, error });
}
