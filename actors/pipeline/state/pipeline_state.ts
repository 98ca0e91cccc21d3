/**
 * The state of one pipeline in one partition: its tables, what of them is to be stored, and what of their channel may be trimmed.
 * Performs nothing. Its caller attaches `changes` to the log call of the turn, then tells `stored` or `rollback`.
 *
 *   Y1. `changes` changes nothing but what the next `changes` writes again. The tables take no change until the caller has
 *       told the outcome, so that what is stored is what was encoded (E25).
 *   Y2. A restored state equals the state at its last stored call, in all that later calls can see (keyed K1).
 *   Y3. While the channel takes more than twice the bytes of the live keys, each call also writes the keys of the oldest
 *       batches again, as many bytes as it changes. So the channel stays below three times the live bytes and its largest
 *       batch, and a call costs at most twice its changes (keyed K2).
 *   Y4. A key is written again as it was put, with its number and time. So cleaning is invisible to every table (keyed K1).
 */
import { InvariantError } from "../../../protocols/errors.ts";
import { type Offset, offset } from "../../../protocols/position.ts";
import type { RecordBatch } from "../../log/log.ts";
import type { KeyedState, StateLimits } from "../keyed_state.ts";
import { readChanges } from "./change_reader.ts";
import { CHANGE_FRAME_BYTES, ChangeWriter } from "./change_writer.ts";
import { BATCH_FRAME_BYTES, ChannelLedger } from "./channel_ledger.ts";
import { type CleaningPlan, NO_CLEANING, planCleaning } from "./cleaning.ts";
import { REMOVED, UNSTORED } from "./state_slots.ts";
import { StateTable } from "./state_table.ts";

/** When the channel is cleaned and trimmed. */
export interface ChannelLimits {
  /** Cleaning begins above these bytes of the channel for each live byte (Y3). */
  readonly bytesPerLiveByte: number;
  /** Bytes of a channel that are not worth cleaning. */
  readonly slackBytes: number;
  /** Old bytes that a call writes again at least while it cleans, so that an idle state shrinks too. */
  readonly cleanedBytesMin: number;
  /** Free bytes for which a trim is worth its call. */
  readonly trimmedBytesMin: number;
}

export const CHANNEL_LIMITS: ChannelLimits = {
  bytesPerLiveByte: 2,
  slackBytes: 65_536,
  cleanedBytesMin: 1_024,
  trimmedBytesMin: 65_536,
};

/** Tables of one pipeline: each batch names them all. */
export const TABLES_MAX = 64;

/** The events of one attached batch. `count` is the number of its events, for the batch's sequences. */
export interface StateChanges {
  readonly events: Uint8Array;
  readonly count: number;
}

interface Pending {
  readonly count: number;
  readonly sizeBytes: number;
  readonly plan: CleaningPlan;
}

export class PipelineState {
  readonly #tables = new Map<string, StateTable>();
  readonly #ledger = new ChannelLedger();
  #isRestored = false;
  #pending: Pending | undefined;
  /** Bytes that cleaning may write, saved up until they reach the size of the oldest key. */
  #creditBytes = 0;
  /** Bytes of the channel that have become free since `stored` answered an offset. */
  #freedBytes = 0;
  readonly #limits: ChannelLimits;

  constructor(limits: ChannelLimits = CHANNEL_LIMITS) {
    this.#limits = limits;
  }

  /** The table of this name, which is new or has been restored. One call for each step's table. */
  table(name: string, limits: StateLimits): KeyedState {
    const table = this.#tableOf(name);
    table.limits = limits;
    return table;
  }

  #tableOf(name: string): StateTable {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    if (this.#tables.size === TABLES_MAX) {
      throw new InvariantError(
        `Cannot make the table ${name} as a pipeline can have at most ${TABLES_MAX} tables: all are in use`,
      );
    }
    const table = new StateTable(name);
    this.#tables.set(name, table);
    return table;
  }

  /** Bytes of all live keys and values, and of what a change holds beside them. */
  get liveBytes(): number {
    let sizeBytes = 0;
    for (const table of this.#tables.values()) sizeBytes += table.keys.sizeBytes + table.size * CHANGE_FRAME_BYTES;
    return sizeBytes;
  }

  /** Bytes of the channel from its first batch that is not free, headers included, within a few percent. */
  get channelBytes(): number {
    return this.#ledger.sizeBytes;
  }

  /** Bytes that the next change batch takes for changes, within a few percent: a turn ends once they reach the caller's bound. */
  get changedBytes(): number {
    let sizeBytes = 0;
    for (const { keys } of this.#tables.values()) sizeBytes += keys.putBytes + keys.touched.length * CHANGE_FRAME_BYTES;
    return sizeBytes;
  }

  /** Whether the next `changes` has something to store beside what cleaning writes again. */
  get hasChanges(): boolean {
    return [...this.#tables.values()].some((table) => table.hasNewTime || table.keys.touched.length > 0);
  }

  // Restoring -----------------------------------------------------------------------------------------------------------

  /** Takes a stored batch over. All batches of the channel come in their order, from its first offset on. */
  load({ events, firstOffset, count }: Pick<RecordBatch, "events" | "firstOffset" | "count">): void {
    this.#checkRestored(false, "load");
    const ledger = this.#ledger;
    const batch = ledger.add(offset(firstOffset + count), firstOffset, events.length);
    let tables: StateTable[] = [];
    let held = 0;
    const release = (former: number | undefined) => {
      if (former !== undefined) ledger.hold(former, -1);
    };
    readChanges(events, {
      head: (names, timesMs) => {
        tables = names.map((name) => this.#tableOf(name));
        for (const [at, timeMs] of timesMs.entries()) if (timeMs !== undefined) tables[at]?.keys.restoreTime(timeMs);
      },
      put: (table, stored) => {
        release(tables[table]?.keys.restore(stored, batch));
        held += 1;
      },
      remove: (table, key) => release(tables[table]?.keys.restoreRemoval(key)),
    });
    ledger.hold(batch, held);
  }

  /** All batches were loaded. From now on the tables may be used. */
  loaded(): void {
    this.#checkRestored(false, "load");
    for (const table of this.#tables.values()) table.keys.restored();
    this.#freedBytes = this.#ledger.settle();
    this.#isRestored = true;
  }

  #checkRestored(must: boolean, action: string): void {
    if (this.#isRestored === must) return;
    const reason = must ? "the stored batches must be loaded first" : "its batches must be loaded once";
    throw new InvariantError(`Cannot ${action} the state of a pipeline as ${reason}: loaded is ${this.#isRestored}`);
  }

  // Storing -------------------------------------------------------------------------------------------------------------

  /** The batch to attach to the turn's log call; undefined where nothing is to be stored. Seals the tables (Y1). */
  changes(): StateChanges | undefined {
    this.#checkRestored(true, "store");
    const tables = [...this.#tables.values()];
    const writer = new ChangeWriter(tables);
    const headBytes = writer.sizeBytes;
    for (const [at, table] of tables.entries()) writeTouched(writer, at, table);
    const plan = this.#planCleaning(tables, writer.sizeBytes - headBytes);
    for (const [at, table] of tables.entries()) {
      for (const slot of plan.slots.get(table) ?? []) writer.put(at, table.keys.storedKey(slot));
    }
    if (writer.count === 1 && !this.hasChanges) return undefined;
    const events = writer.end();
    for (const table of tables) table.keys.seal();
    this.#pending = { count: writer.count, sizeBytes: events.length, plan };
    return { events, count: writer.count };
  }

  /** Y3. */
  #planCleaning(tables: readonly StateTable[], changedBytes: number): CleaningPlan {
    const { bytesPerLiveByte, slackBytes, cleanedBytesMin } = this.#limits;
    if (this.channelBytes <= bytesPerLiveByte * this.liveBytes + slackBytes) return NO_CLEANING;
    const creditBytes = this.#creditBytes + Math.max(cleanedBytesMin, changedBytes + BATCH_FRAME_BYTES);
    return planCleaning(tables, this.#ledger.next - 1, creditBytes);
  }

  /**
   * The last changes were stored, and `endOffset` is the channel's end behind them. Answers the offset before which the
   * channel may be trimmed, once that is worth a call.
   */
  stored(endOffset: Offset): Offset | undefined {
    const pending = this.#pending;
    if (pending === undefined) {
      throw new InvariantError("Cannot take changes for stored as `changes` must have made some: there are none");
    }
    const { count, sizeBytes, plan } = pending;
    const ledger = this.#ledger;
    const batch = ledger.add(endOffset, offset(endOffset - count), sizeBytes);
    const moved = (fromBatch: number) => ledger.hold(fromBatch, -1);
    for (const table of this.#tables.values()) {
      const cleaned = plan.slots.get(table) ?? [];
      table.keys.writeAgain(cleaned, batch, moved);
      ledger.hold(batch, cleaned.length + table.keys.commit(batch, moved));
    }
    this.#creditBytes = plan.creditBytes;
    this.#pending = undefined;
    return this.#settle();
  }

  /** The turn failed before its log call: the state is again that of the last stored call (Y1). */
  rollback(): void {
    for (const table of this.#tables.values()) table.keys.rollback();
    this.#pending = undefined;
  }

  #settle(): Offset | undefined {
    this.#freedBytes += this.#ledger.settle();
    const { freeBefore } = this.#ledger;
    if (freeBefore === undefined || this.#freedBytes < this.#limits.trimmedBytesMin) return undefined;
    this.#freedBytes = 0;
    return freeBefore;
  }
}

function writeTouched(writer: ChangeWriter, at: number, { keys }: StateTable): void {
  for (const slot of keys.touched) {
    if (!keys.slots.has(slot, REMOVED)) writer.put(at, keys.storedKey(slot));
    else if (!keys.slots.has(slot, UNSTORED)) writer.remove(at, keys.slots.keys[slot] ?? "");
  }
}
