/**
 * Batches whose append failed by a fault of this program (P11). The fault may lie in any batch of a group, so each is tried
 * alone next, and the one that fails alone is refused. They are kept over the partition's lives: a batch that ended a life
 * with its arrival is not let in a second time.
 */
import { InvariantError } from "../../protocols/errors.ts";
import { partitionName } from "../../protocols/position.ts";
import { compareSequences, firstSequence, lastSequence } from "../../protocols/sequence.ts";
import type { AppendBatch } from "../log/log.ts";
import {
  type PartitionEffect,
  type PartitionState,
  reply,
  type Suspect,
  type Suspects,
  type Waiting,
} from "./partition_messages.ts";

/** The oldest are forgotten: a batch that comes back after them is found out once more. */
const SUSPECTS_MAX = 1_000;

const nameOf = (batch: AppendBatch): string => `${batch.producerId}\0${firstSequence(batch.sequences).join()}`;

/** An append of these batches failed, or ended the partition's life. */
export function suspect(suspects: Suspects, batches: readonly AppendBatch[]): void {
  for (const batch of batches) {
    const name = nameOf(batch);
    const verdict = batches.length === 1 ? "refused" : (suspects.get(name)?.verdict ?? "suspect");
    suspects.delete(name);
    suspects.set(name, { verdict, producerId: batch.producerId, first: firstSequence(batch.sequences) });
  }
  for (const oldest of suspects.keys()) {
    if (suspects.size <= SUSPECTS_MAX) break;
    suspects.delete(oldest);
  }
}

/** To be appended by itself, so that a further failure tells whose fault it is. */
export const isSuspect = ({ suspects }: PartitionState, batch: AppendBatch): boolean =>
  suspects.size > 0 && suspects.has(nameOf(batch));

export const isRefused = ({ suspects }: PartitionState, batch: AppendBatch): boolean =>
  suspects.size > 0 && suspects.get(nameOf(batch))?.verdict === "refused";

/**
 * These batches were written, or were found in the log. Their events may have been cut otherwise before, so all suspects that
 * begin within them are cleared: what stays refused is nowhere in the log, and its producer may rely on that.
 */
export function clear({ suspects }: PartitionState, batches: readonly AppendBatch[]): void {
  for (const [name, suspect] of suspects) {
    if (batches.some((batch) => begins(suspect, batch))) suspects.delete(name);
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
    `Cannot append a batch of ${producerId} to ${partitionName(state.partition)} as it must not have failed there alone: it did, by a fault of this program`,
  );
  return reply(waiting, { kind: "refused", requestId: waiting.requestId, error });
}
