/**
 * Batches whose append failed by a bug of this program (P11). Any batch of a group may be the cause, so each is tried alone
 * next, and the one that fails alone is refused. Suspects are kept over the lives of the partition's actor, so that a batch
 * whose arrival crashed one life is not accepted a second time.
 */
import { InvariantError } from "../../protocols/errors.ts";
import { partitionName } from "../../protocols/position.ts";
import { compareSequences, firstSequence, lastSequence } from "../../protocols/sequence.ts";
import type { AppendBatch } from "../log/log.ts";
import {
  type Effects,
  type PartitionEffect,
  type PartitionState,
  reply,
  type Suspect,
  type Suspects,
  takePending,
  type Waiting,
} from "./partition_messages.ts";

/** Suspects that are remembered. A forgotten one that comes again fails once more, and is found again. */
const SUSPECTS_MAX = 1_000;

type OfBatch = { readonly batch: AppendBatch };

const nameOf = (batch: AppendBatch): string => `${batch.producerId}\0${firstSequence(batch.sequences).join()}`;

/** An append of these batches failed, or its arrival crashed the partition's actor. */
export function suspect(suspects: Suspects, appends: readonly OfBatch[]): void {
  for (const { batch } of appends) {
    const name = nameOf(batch);
    const verdict = appends.length === 1 ? "refused" : (suspects.get(name)?.verdict ?? "suspect");
    suspects.delete(name);
    suspects.set(name, { verdict, producerId: batch.producerId, first: firstSequence(batch.sequences) });
  }
  for (const oldest of suspects.keys()) {
    if (suspects.size <= SUSPECTS_MAX) break;
    suspects.delete(oldest);
  }
}

/** Whether the batch must be appended alone, so that a further failure shows which batch is at fault. */
export const isSuspect = ({ suspects }: PartitionState, batch: AppendBatch): boolean =>
  suspects.size > 0 && suspects.has(nameOf(batch));

export const isRefused = ({ suspects }: PartitionState, batch: AppendBatch): boolean =>
  suspects.size > 0 && suspects.get(nameOf(batch))?.verdict === "refused";

/** Refuses waiting batches that failed alone. */
export const refuseSuspects = (state: PartitionState): Effects =>
  state.suspects.size === 0
    ? []
    : takePending(state, (batch) => isRefused(state, batch)).map((append) =>
        refuseSuspect(state, append, append.batch),
      );

/**
 * Clears all suspects that begin within these batches, which were written or found in the log: a producer may have cut its
 * events into other batches. So no event of a batch that stays refused is in the log, and its producer may rely on that.
 */
export function clear({ suspects }: PartitionState, appends: readonly OfBatch[]): void {
  for (const [name, suspect] of suspects) {
    if (appends.some(({ batch }) => begins(suspect, batch))) suspects.delete(name);
  }
}

function begins({ producerId, first }: Suspect, batch: AppendBatch): boolean {
  return (
    batch.producerId === producerId &&
    compareSequences(firstSequence(batch.sequences), first) <= 0 &&
    compareSequences(first, lastSequence(batch.sequences)) <= 0
  );
}

export function refuseSuspect(state: PartitionState, waiting: Waiting, { producerId }: AppendBatch): PartitionEffect {
  const error = new InvariantError(
    `Cannot append a batch of ${producerId} to ${partitionName(state.partition)} as it must not have failed alone before: it did, by a bug of this program`,
  );
  return reply(waiting, { kind: "refused", requestId: waiting.requestId, error });
}
