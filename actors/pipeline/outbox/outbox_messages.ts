/** What the outbox machine is told, and tells, and the state that it keeps. */
import type { Event } from "../../../protocols/event.ts";
import type { Position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";

/** Where a further input stands. */
export interface InputProgress {
  readonly covered: Position | undefined;
  /** The watermark of the input, in ms since 1970; absent where none is known. */
  readonly watermarkMs?: number;
}

/** An output with its place: entry epoch and offset of its input, and its index among that input's outputs. */
export interface OutboxOutput {
  readonly sequence: Sequence;
  readonly event: unknown;
  /** The event that the output was made of; absent for an output of a timer. */
  readonly input?: Event;
}

/** How a pipeline keeps its state. */
export interface OutboxSettings {
  /**
   * True where the whole state is stored with every call, so that no input is ever run again: for tables, and for several
   * inputs, which could be merged in another order.
   */
  readonly isExact: boolean;
}

/** The progress that a restart begins from, stored in one call with the outputs. */
export interface OutboxProgress {
  /** The outputs of all inputs up to this position are in the outbox. */
  readonly covered: Position | undefined;
  /** The state was snapshotted after this input; at or below `covered`. */
  readonly snapshotAt: Position | undefined;
  /** The watermark of the first input, in ms since 1970; absent where none is known. */
  readonly watermarkMs?: number;
  /** The progress of the further inputs; the machine only passes it on. */
  readonly others?: readonly InputProgress[];
}

export interface OutboxState {
  readonly settings: OutboxSettings;
  phase: "opening" | "idle" | "reading" | "running" | "appending" | "waiting" | "fenced";
  covered: Position | undefined;
  snapshotAt: Position | undefined;
  cursor: Position | undefined;
  last: Sequence | undefined;
  hasMore: boolean;
  failures: number;
  silentInputs: number;
  inputsSinceSnapshot: number;
  /** How long the inputs wait for the clock; undefined where nothing does (outbox B6). */
  waitMs: number | undefined;
  /** Counts the turns, so that a tick that is due no longer fits does nothing. */
  turn: number;
  /** The turn for which a tick is awaited. */
  tickTurn: number | undefined;
  pending:
    | {
        readonly progress: OutboxProgress;
        readonly takesSnapshot: boolean;
        readonly last: Sequence | undefined;
        readonly outputs: number;
      }
    | undefined;
}

export type OutboxMessage =
  | { readonly type: "begin" }
  | {
      readonly type: "opened";
      readonly progress: OutboxProgress;
      readonly last: Sequence | undefined;
    }
  | { readonly type: "advanced" }
  /** Whether there is something to run: records, or a watermark that a timer waits for. */
  | { readonly type: "read_records"; readonly hasWork: boolean; readonly waitMs?: number }
  | { readonly type: "read_trimmed"; readonly resume: Position | undefined; readonly firstOffset: number }
  | { readonly type: "read_truncated"; readonly resume: Position | undefined; readonly divergence: number }
  | {
      readonly type: "ran";
      /** The last record of the first input; undefined before any. */
      readonly end: Position | undefined;
      readonly inputs: number;
      readonly outputs: readonly OutboxOutput[];
      readonly isStateSmall: boolean;
      /** The tables have changed. */
      readonly hasChanges?: boolean;
      readonly watermarkMs?: number;
      readonly others?: readonly InputProgress[];
    }
  | { readonly type: "tick_due"; readonly turn: number }
  | { readonly type: "appended" }
  | { readonly type: "failed"; readonly reason: string; readonly random: number }
  | { readonly type: "fenced" }
  | { readonly type: "retry_due" };

export type OutboxEffect =
  /** Open the chain, restore the snapshot, read the progress. */
  | { readonly type: "open" }
  /** Reads the first input after `after`, and the others. `tickMs`: idle inputs advance to this time of the clock. */
  | { readonly type: "read"; readonly after: Position | undefined; readonly tickMs?: number }
  /** Run the steps on the inputs read last; answered by `ran`. */
  | { readonly type: "run" }
  | { readonly type: "await_tick"; readonly turn: number; readonly delayMs: number }
  | {
      readonly type: "append";
      readonly previous: Sequence | undefined;
      /** May be empty: then only the progress is stored. */
      readonly outputs: readonly OutboxOutput[];
      readonly progress: OutboxProgress;
      /** True to store the state as it is now; otherwise the last stored snapshot stays. */
      readonly takesSnapshot: boolean;
    }
  | { readonly type: "forget_state" }
  | { readonly type: "wait"; readonly delayMs: number }
  | { readonly type: "report"; readonly report: OutboxReport };

export type OutboxReport =
  | { readonly kind: "covered"; readonly progress: OutboxProgress; readonly outputs: number }
  /** All outputs up to these records are in the outbox. The stored progress may be further back. */
  | {
      readonly kind: "reached";
      readonly end: Position | undefined;
      readonly others: readonly InputProgress[] | undefined;
    }
  | { readonly kind: "retry"; readonly reason: string; readonly delayMs: number }
  /** `stream` names a further input. */
  | { readonly kind: "trimmed"; readonly firstOffset: number; readonly stream?: string }
  | { readonly kind: "truncated"; readonly divergence: number; readonly stream?: string };
