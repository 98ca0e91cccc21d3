/**
 * Computes a pipeline once for one partition, into an outbox that every sink of the pipeline reads (E13). This is for
 * steps that keep state, or that may answer otherwise the next time. Decides which inputs are read, run, appended, or
 * only run again to rebuild state. Leaves the steps, the bytes and the log to its actor.
 *
 *   B1. Outputs, the input position that they cover, the watermark and what changed of the state go into the log in one
 *       call (E29).
 *   B2. Inputs at or below the covered position are run again only to rebuild state that is stored as a snapshot: their
 *       outputs are dropped, whatever they are this time. State in tables is stored with every call, and never rebuilt.
 *   B3. No output is appended before the chain is open and the state is restored. After any failure both are read
 *       again.
 *   B4. At most one append is in flight, and no input is read meanwhile. So a failed append leaves no state ahead of
 *       the log.
 *   B5. Where the input lost its tail, a snapshot is dropped and rebuilt from the inputs that are left (E9). Tables stay as
 *       they were stored: the store that lost the input's tail has lost the calls that covered it.
 *   B6. The clock moves a watermark only while the input has no record left and a timer waits. The tick is stored with
 *       whatever it caused.
 *   B7. Outputs have ascending sequences: those of their input, or the next index behind the last output (E3).
 */
import { backoffMs, shortenedMs } from "../../protocols/clock.ts";
import { comparePositions, type Position } from "../../protocols/position.ts";
import { compareSequences, type Sequence } from "../../protocols/sequence.ts";

export const OUTBOX_LIMITS = {
  retryFirstMs: 50,
  retryMaxMs: 10_000,
  /** The most inputs in a row without an output: then the covered position is stored without outputs. */
  silentInputsMax: 10_000,
  /** Inputs between snapshots of a state that is too large to be stored with each append. */
  inputsPerSnapshot: 1_000,
} as const;

/** An output with its place: entry epoch and offset of its input, and its index among that input's outputs. */
export interface OutboxOutput {
  readonly sequence: Sequence;
  readonly event: unknown;
}

/** How a pipeline keeps its state. */
export interface OutboxSettings {
  /** True where the state is in tables, which are stored with every call: no input is ever run again. */
  readonly keepsTables: boolean;
  /** How long the input must be idle before a tick moves the watermark, in ms (B6). */
  readonly idleAfterMs: number;
}

/** The progress that a restart begins from, stored in one call with the outputs. */
export interface OutboxProgress {
  /** The outputs of all inputs up to this position are in the outbox. */
  readonly covered: Position | undefined;
  /** The state was snapshotted after this input; at or below `covered`. */
  readonly snapshotAt: Position | undefined;
  /** The watermark after the covered inputs, in ms since 1970; absent where none is known. */
  readonly watermarkMs?: number;
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
  watermarkMs: number | undefined;
  /** A timer of a step waits for the watermark. */
  hasTimers: boolean;
  /** Counts the turns, so that a tick that is due no longer fits does nothing. */
  turn: number;
  /** The turn for which a tick is awaited. */
  tickTurn: number | undefined;
  pending:
    | {
        readonly end: Position;
        readonly takesSnapshot: boolean;
        readonly last: Sequence | undefined;
        readonly outputs: number;
        readonly watermarkMs: number | undefined;
      }
    | undefined;
}

export type OutboxMessage =
  | { readonly type: "begin" }
  | {
      readonly type: "opened";
      readonly progress: OutboxProgress;
      readonly last: Sequence | undefined;
      readonly hasTimers?: boolean;
    }
  | { readonly type: "advanced" }
  | { readonly type: "read_records"; readonly end: Position | undefined }
  | { readonly type: "read_trimmed"; readonly resume: Position | undefined; readonly firstOffset: number }
  | { readonly type: "read_truncated"; readonly resume: Position | undefined; readonly divergence: number }
  | {
      readonly type: "ran";
      /** The last input; undefined after a tick before any input. */
      readonly end: Position | undefined;
      readonly inputs: number;
      readonly outputs: readonly OutboxOutput[];
      readonly isStateSmall: boolean;
      /** The tables have changed. */
      readonly hasChanges?: boolean;
      readonly watermarkMs?: number;
      readonly hasTimers?: boolean;
    }
  | { readonly type: "tick_due"; readonly turn: number }
  | { readonly type: "appended" }
  | { readonly type: "failed"; readonly reason: string; readonly random: number }
  | { readonly type: "fenced" }
  | { readonly type: "retry_due" };

export type OutboxEffect =
  /** Open the chain, restore the snapshot, read the progress. */
  | { readonly type: "open" }
  | { readonly type: "read"; readonly after: Position | undefined }
  /** Run the steps on the inputs read last; answered by `ran`. */
  | { readonly type: "run" }
  /** Move the watermark to the owner's clock, and run the steps without inputs; answered by `ran`. */
  | { readonly type: "tick"; readonly nowMs: number }
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
  | { readonly kind: "retry"; readonly reason: string; readonly delayMs: number }
  | { readonly kind: "trimmed"; readonly firstOffset: number }
  | { readonly kind: "truncated"; readonly divergence: number };

type Result = readonly [OutboxState, readonly OutboxEffect[]];

export const createOutbox = (settings: OutboxSettings): OutboxState => ({
  settings,
  phase: "opening",
  covered: undefined,
  snapshotAt: undefined,
  cursor: undefined,
  last: undefined,
  hasMore: true,
  failures: 0,
  silentInputs: 0,
  inputsSinceSnapshot: 0,
  watermarkMs: undefined,
  hasTimers: false,
  turn: 0,
  tickTurn: undefined,
  pending: undefined,
});

export function stepOutbox(state: OutboxState, message: OutboxMessage, nowMs: number): Result {
  if (state.phase === "fenced") return [state, []];
  switch (message.type) {
    case "begin":
    case "retry_due":
      state.phase = "opening";
      return [state, [{ type: "open" }]];
    case "opened":
      return opened(state, message);
    case "advanced":
      state.hasMore = true;
      return [state, next(state)];
    case "read_records":
      return readRecords(state, message.end);
    case "read_trimmed": {
      const report = { kind: "trimmed", firstOffset: message.firstOffset } as const;
      return [state, [{ type: "report", report }, ...goOn(state, message.resume)]];
    }
    case "read_truncated":
      return truncated(state, message);
    case "ran":
      return ran(state, message);
    case "tick_due":
      return tickDue(state, message.turn, nowMs);
    case "appended":
      return appended(state);
    case "failed":
      return failed(state, message);
    case "fenced":
      state.phase = "fenced";
      return [state, []];
  }
}

function opened(state: OutboxState, message: Extract<OutboxMessage, { type: "opened" }>): Result {
  state.covered = message.progress.covered;
  state.snapshotAt = message.progress.snapshotAt;
  state.cursor = message.progress.snapshotAt;
  state.watermarkMs = message.progress.watermarkMs;
  state.hasTimers = message.hasTimers === true;
  state.last = message.last;
  state.silentInputs = 0;
  state.inputsSinceSnapshot = 0;
  state.pending = undefined;
  state.phase = "idle";
  state.hasMore = true;
  return [state, next(state)];
}

function next(state: OutboxState): readonly OutboxEffect[] {
  if (state.phase !== "idle") return [];
  if (!state.hasMore) return awaitTick(state);
  state.turn += 1;
  state.phase = "reading";
  state.hasMore = false;
  return [{ type: "read", after: state.cursor }];
}

/** B6 */
function awaitTick(state: OutboxState): readonly OutboxEffect[] {
  if (!state.hasTimers || state.tickTurn === state.turn) return [];
  state.tickTurn = state.turn;
  return [{ type: "await_tick", turn: state.turn, delayMs: state.settings.idleAfterMs }];
}

/** B6: a tick that was awaited before the last read is for another turn. */
function tickDue(state: OutboxState, turn: number, nowMs: number): Result {
  if (state.phase !== "idle" || state.turn !== turn) return [state, []];
  state.turn += 1;
  state.phase = "running";
  return [state, [{ type: "tick", nowMs }]];
}

function readRecords(state: OutboxState, end: Position | undefined): Result {
  if (state.phase !== "reading") return [state, []];
  if (end === undefined) {
    state.phase = "idle";
    return [state, next(state)];
  }
  state.phase = "running";
  state.hasMore = true;
  return [state, [{ type: "run" }]];
}

function goOn(state: OutboxState, cursor: Position | undefined): readonly OutboxEffect[] {
  state.cursor = cursor;
  state.phase = "idle";
  state.hasMore = true;
  return next(state);
}

/** B5: runs the inputs that are left from their beginning. No output up to the divergence is appended again. */
function truncated(state: OutboxState, message: Extract<OutboxMessage, { type: "read_truncated" }>): Result {
  const report: OutboxEffect = { type: "report", report: { kind: "truncated", divergence: message.divergence } };
  if (state.settings.keepsTables) return [state, [report, ...goOn(state, message.resume)]];
  if (comparePositions(state.covered, message.resume) > 0) state.covered = message.resume;
  state.snapshotAt = undefined;
  return [state, [report, { type: "forget_state" }, ...goOn(state, undefined)]];
}

function ran(state: OutboxState, message: Extract<OutboxMessage, { type: "ran" }>): Result {
  if (state.phase !== "running") return [state, []];
  const end = message.end ?? state.covered;
  state.cursor = end;
  state.inputsSinceSnapshot += message.inputs;
  state.silentInputs += message.inputs;
  state.watermarkMs = message.watermarkMs ?? state.watermarkMs;
  state.hasTimers = message.hasTimers === true;
  const outputs = sequenced(state, message.outputs);
  const isSilent = outputs.length === 0 && message.hasChanges !== true;
  if (
    end === undefined ||
    isRebuilding(state, end) ||
    (isSilent && state.silentInputs < OUTBOX_LIMITS.silentInputsMax)
  ) {
    state.phase = "idle";
    return [state, next(state)];
  }
  const takesSnapshot = message.isStateSmall || state.inputsSinceSnapshot >= OUTBOX_LIMITS.inputsPerSnapshot;
  const { watermarkMs } = state;
  const progress = { covered: end, snapshotAt: takesSnapshot ? end : state.snapshotAt };
  const stored = watermarkMs === undefined ? progress : { ...progress, watermarkMs };
  const last = outputs.at(-1)?.sequence ?? state.last;
  state.pending = { end, takesSnapshot, last, outputs: outputs.length, watermarkMs };
  state.phase = "appending";
  return [state, [{ type: "append", previous: state.last, outputs, progress: stored, takesSnapshot }]];
}

/** B2 */
const isRebuilding = ({ settings, covered }: OutboxState, end: Position): boolean =>
  !settings.keepsTables && comparePositions(end, covered) <= 0;

/** B2, B7: the outputs that are appended, each behind the one before. */
function sequenced(state: OutboxState, outputs: readonly OutboxOutput[]): readonly OutboxOutput[] {
  let last = state.last;
  const fresh = state.settings.keepsTables ? outputs : outputs.filter((output) => isFresh(state, output));
  return fresh.map((output) => {
    const sequence =
      last !== undefined && compareSequences(output.sequence, last) <= 0 ? behind(last) : output.sequence;
    last = sequence;
    return { ...output, sequence };
  });
}

const behind = ([term, at, index]: Sequence): Sequence => [term, at, index + 1];

const isFresh = (state: OutboxState, { sequence }: OutboxOutput): boolean =>
  state.covered === undefined ||
  compareSequences([sequence[0], sequence[1], 0], [state.covered.epoch, state.covered.offset, 0]) > 0;

function appended(state: OutboxState): Result {
  const done = state.pending;
  if (state.phase !== "appending" || done === undefined) return [state, []];
  state.covered = done.end;
  state.last = done.last;
  if (done.takesSnapshot) {
    state.snapshotAt = done.end;
    state.inputsSinceSnapshot = 0;
  }
  state.silentInputs = 0;
  state.failures = 0;
  state.pending = undefined;
  state.phase = "idle";
  const progress = { covered: state.covered, snapshotAt: state.snapshotAt };
  return [state, [{ type: "report", report: { kind: "covered", progress, outputs: done.outputs } }, ...next(state)]];
}

/** B3: after any failure the chain is opened and the state restored, before anything else. */
function failed(state: OutboxState, message: Extract<OutboxMessage, { type: "failed" }>): Result {
  const fullMs = backoffMs(state.failures, OUTBOX_LIMITS.retryFirstMs, OUTBOX_LIMITS.retryMaxMs);
  const delayMs = Math.round(shortenedMs(fullMs, message.random));
  state.failures += 1;
  state.phase = "waiting";
  state.pending = undefined;
  const report = { kind: "retry", reason: message.reason, delayMs } as const;
  return [
    state,
    [
      { type: "report", report },
      { type: "wait", delayMs },
    ],
  ];
}
