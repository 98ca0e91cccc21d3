/**
 * Which keys a call writes again, so that the oldest batches of the channel become free: those whose newest events lie in the
 * oldest batches, of all tables, up to a number of bytes. Plans only; pipeline_state.ts writes and applies.
 */
import { CHANGE_FRAME_BYTES } from "./change_writer.ts";
import { NO_SLOT } from "./slot_list.ts";
import { TOUCHED } from "./state_slots.ts";
import type { StateTable } from "./state_table.ts";

export interface CleaningPlan {
  /** Slots of unchanged keys, by table. */
  readonly slots: ReadonlyMap<StateTable, readonly number[]>;
  /** Bytes that are left for a later call: the oldest key takes more. */
  readonly creditBytes: number;
}

export const NO_CLEANING: CleaningPlan = { slots: new Map(), creditBytes: 0 };

/** A table's stored keys from the oldest batch on, without those that the call writes in any case. */
interface Queue {
  readonly table: StateTable;
  slot: number;
  readonly taken: number[];
}

/** @param newestBatch is never cleaned: a call would write the same keys for ever */
export function planCleaning(tables: readonly StateTable[], newestBatch: number, creditBytes: number): CleaningPlan {
  const queues = tables.map(
    (table): Queue => ({ table, slot: unchangedFrom(table, table.keys.slots.byBatch.first), taken: [] }),
  );
  let left = creditBytes;
  for (;;) {
    const queue = oldest(queues);
    if (queue === undefined || batchOf(queue) >= newestBatch) break;
    const { table, slot, taken } = queue;
    const sizeBytes = (table.keys.slots.sizes[slot] ?? 0) + CHANGE_FRAME_BYTES;
    if (sizeBytes > left) break;
    left -= sizeBytes;
    taken.push(slot);
    queue.slot = unchangedFrom(table, table.keys.slots.byBatch.behind(slot));
  }
  return { slots: new Map(queues.map(({ table, taken }) => [table, taken])), creditBytes: left };
}

const batchOf = ({ table, slot }: Queue): number =>
  slot === NO_SLOT ? Number.POSITIVE_INFINITY : (table.keys.slots.batches[slot] ?? 0);

function oldest(queues: readonly Queue[]): Queue | undefined {
  let found: Queue | undefined;
  for (const queue of queues) if (found === undefined || batchOf(queue) < batchOf(found)) found = queue;
  return found;
}

function unchangedFrom({ keys: { slots } }: StateTable, from: number): number {
  let slot = from;
  while (slot !== NO_SLOT && slots.has(slot, TOUCHED)) slot = slots.byBatch.behind(slot);
  return slot;
}
