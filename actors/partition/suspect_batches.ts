/**
 * Batches whose append failed by a fault of this program (P11). The fault may lie in any batch of a group, so each is tried
 * alone next, and the one that fails alone is refused. They are kept over the partition's lives: a batch that ended a life
 * with its arrival is not let in a second time.
 */
import { InvariantError } from "../../protocols/errors.ts";
import { partitionName } from "../../protocols/position.ts";
import { firstSequence } from "../../protocols/sequence.ts";
import type { AppendBatch } from "../log/log.ts";
import { type PartitionEffect, type PartitionState, reply, type Suspects, type Waiting } from "./partition_messages.ts";

/** The oldest are forgotten: a batch that comes back after them is found out once more. */
const SUSPECTS_MAX = 1_000;

const nameOf = (batch: AppendBatch): string => `${batch.producerId}\0${firstSequence(batch.sequences).join()}`;

/** An append of these batches failed, or ended the partition's life. */
export function suspect(suspects: Suspects, batches: readonly AppendBatch[]): void {
  for (const batch of batches) {
    const name = nameOf(batch);
    const verdict = batches.length === 1 ? "refused" : (suspects.get(name) ?? "suspect");
    suspects.delete(name);
    suspects.set(name, verdict);
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
  suspects.size > 0 && suspects.get(nameOf(batch)) === "refused";

/** They were written after all. */
export function clear({ suspects }: PartitionState, batches: readonly AppendBatch[]): void {
  if (suspects.size > 0) for (const batch of batches) suspects.delete(nameOf(batch));
}

export function refuseSuspect(state: PartitionState, waiting: Waiting, { producerId }: AppendBatch): PartitionEffect {
  const error = new InvariantError(
    `Cannot append a batch of ${producerId} to ${partitionName(state.partition)} as it must not have failed there alone: it did, by a fault of this program`,
  );
  return reply(waiting, { kind: "refused", requestId: waiting.requestId, error });
}
