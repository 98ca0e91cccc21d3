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
 *   B6. The clock moves a watermark only where inputs have told that they wait for it: while a timer or a record waits, and
 *       an idle input has no record left. The tick is stored with whatever it caused.
 *   B7. Outputs have ascending sequences: those of their input, or the next index behind the last output (E3).
 */
import { backoffMs, shortenedMs } from "../../protocols/clock.ts";
import { comparePositions, type Position } from "../../protocols/position.ts";
import { compareSequences, type Sequence } from "../../protocols/sequence.ts";
import type {
  InputProgress,
  OutboxEffect,
  OutboxMessage,
  OutboxOutput,
  OutboxProgress,
  OutboxSettings,
  OutboxState,
} from "./outbox/outbox_messages.ts";

export const OUTBOX_LIMITS = {
  retryFirstMs: 50,
  retryMaxMs: 10_000,
  /** The most inputs in a row without an output: then the covered position is stored without outputs. */
  silentInputsMax: 10_000,
  /** Inputs between snapshots of a state that is too large to be stored with each append. */
  inputsPerSnapshot: 1_000,
} as const;

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
  waitMs: undefined,
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
      return readRecords(state, message);
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
  state.waitMs = undefined;
  state.last = message.last;
  state.silentInputs = 0;
  state.inputsSinceSnapshot = 0;
  state.pending = undefined;
  state.phase = "idle";
  state.hasMore = true;
  return [state, [reached(state.covered, message.progress.others), ...next(state)]];
}

const reached = (end: Position | undefined, others: readonly InputProgress[] | undefined): OutboxEffect => ({
  type: "report",
  report: { kind: "reached", end, others },
});

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
  if (state.waitMs === undefined || state.tickTurn === state.turn) return [];
  state.tickTurn = state.turn;
  return [{ type: "await_tick", turn: state.turn, delayMs: state.waitMs }];
}

/** B6: a tick that was awaited before the last read is for another turn. */
function tickDue(state: OutboxState, turn: number, nowMs: number): Result {
  if (state.phase !== "idle" || state.turn !== turn) return [state, []];
  state.turn += 1;
  state.phase = "reading";
  state.hasMore = false;
  return [state, [{ type: "read", after: state.cursor, tickMs: nowMs }]];
}

function readRecords(state: OutboxState, message: Extract<OutboxMessage, { type: "read_records" }>): Result {
  if (state.phase !== "reading") return [state, []];
  state.waitMs = message.waitMs;
  if (!message.hasWork) {
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
  if (state.settings.isExact) return [state, [report, ...goOn(state, message.resume)]];
  if (comparePositions(state.covered, message.resume) > 0) state.covered = message.resume;
  state.snapshotAt = undefined;
  return [state, [report, { type: "forget_state" }, ...goOn(state, undefined)]];
}

function ran(state: OutboxState, message: Extract<OutboxMessage, { type: "ran" }>): Result {
  if (state.phase !== "running") return [state, []];
  const { isExact } = state.settings;
  const end = message.end ?? state.covered;
  state.cursor = end;
  state.inputsSinceSnapshot += message.inputs;
  state.silentInputs += message.inputs;
  const outputs = sequenced(state, message.outputs);
  const isSilent = outputs.length === 0 && message.hasChanges !== true;
  const isBehind = isRebuilding(state, end);
  if (isBehind || (isSilent && state.silentInputs < OUTBOX_LIMITS.silentInputsMax)) {
    state.phase = "idle";
    return [state, isBehind ? next(state) : [reached(end, message.others), ...next(state)]];
  }
  const isDue = message.isStateSmall || state.inputsSinceSnapshot >= OUTBOX_LIMITS.inputsPerSnapshot;
  const takesSnapshot = isExact || isDue;
  const progress: OutboxProgress = {
    ...{ covered: end, snapshotAt: takesSnapshot ? end : state.snapshotAt },
    ...(message.watermarkMs === undefined ? {} : { watermarkMs: message.watermarkMs }),
    ...(message.others === undefined ? {} : { others: message.others }),
  };
  const last = outputs.at(-1)?.sequence ?? state.last;
  state.pending = { progress, takesSnapshot, last, outputs: outputs.length };
  state.phase = "appending";
  return [state, [{ type: "append", previous: state.last, outputs, progress, takesSnapshot }]];
}

/** B2 */
const isRebuilding = ({ settings, covered }: OutboxState, end: Position | undefined): boolean =>
  !settings.isExact && comparePositions(end, covered) <= 0;

/** B2, B7: the outputs that are appended, each behind the one before. */
function sequenced(state: OutboxState, outputs: readonly OutboxOutput[]): readonly OutboxOutput[] {
  let last = state.last;
  const fresh = state.settings.isExact ? outputs : outputs.filter((output) => isFresh(state, output));
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
  const { progress, outputs } = done;
  state.covered = progress.covered;
  state.last = done.last;
  if (done.takesSnapshot) {
    state.snapshotAt = progress.covered;
    state.inputsSinceSnapshot = 0;
  }
  state.silentInputs = 0;
  state.failures = 0;
  state.pending = undefined;
  state.phase = "idle";
  return [state, [{ type: "report", report: { kind: "covered", progress, outputs } }, ...next(state)]];
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
