/**
 * Counts the records of each key in tumbling windows of event time: `count: {by: event.customer, every: 1m}`. A window
 * emits `{key, count, windowStart, windowEnd}` once the watermark has reached its end. A record of a window that is
 * closed is late.
 */
import { InvariantError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { type KeyedState, STATE_LIMITS } from "../keyed_state.ts";
import type { Step, StepBatch, StepOutput } from "../step.ts";
import type { ExpressionCompiler } from "./expression.ts";
import { keyText } from "./key_text.ts";
import { contextOf } from "./per_record.ts";
import { timedRun } from "./timed_step.ts";
import { type Timer, Timers } from "./timers.ts";

export interface CountSettings {
  /** An expression whose value is the key: a text, a number or a boolean. */
  readonly by: string;
  /** Length of a window, in ms. Windows begin at multiples of it since 1970, in UTC. */
  readonly every: number;
}

export function countStep({ by, every }: CountSettings, where: string, compile: ExpressionCompiler): Step {
  const keyOf = compile(by, `${where}.by`);
  const textOf = (batch: StepBatch, row: number): string =>
    keyText(keyOf(batch.events[row] as Event, contextOf(batch, row)), `${where}.by`);
  return {
    name: "count",
    isDeterministic: false,
    usesTime: true,
    keepsTables: true,
    run: () => {
      throw new InvariantError("Cannot count without state as the step must be instantiated for one partition");
    },
    instantiate: (_partition, tables) => {
      const counts = tables("counts", STATE_LIMITS);
      const timers = new Timers(tables("timers", STATE_LIMITS));
      return {
        restored: () => timers.restored(),
        hasTimers: () => !timers.areNone,
        run: timedRun(timers, {
          record: (batch, row, out) => countRow(counts, timers, textOf(batch, row), every, batch, row, out),
          timer: (timer) => close(counts, timer, every),
        }),
      };
    },
  };
}

function countRow(
  counts: KeyedState,
  timers: Timers,
  key: string,
  every: number,
  { timesMs, watermarks }: StepBatch,
  row: number,
  out: StepOutput,
): void {
  const timeMs = timesMs[row] as number;
  const startMs = Math.floor(timeMs / every) * every;
  const endMs = startMs + every;
  const watermarkMs = watermarks?.beforeMs[row] ?? Number.NEGATIVE_INFINITY;
  if (endMs <= watermarkMs) {
    const closed = `its window must be open: it closed at ${new Date(endMs).toISOString()}`;
    const reason = `Cannot count a record of ${new Date(timeMs).toISOString()} as ${closed}`;
    out.late(row, reason, { startMs, endMs });
    return;
  }
  const name = `${endMs}/${key}`;
  const counted = counts.get(name) as number | undefined;
  if (counted === undefined) timers.setFor({ timeMs: endMs, key, tag: "" }, () => counts.put(name, 1));
  else counts.put(name, counted + 1);
}

function close(counts: KeyedState, { timeMs: endMs, key }: Timer, every: number) {
  const name = `${endMs}/${key}`;
  const count = counts.get(name) as number;
  counts.remove(name);
  const startMs = endMs - every;
  const event = { key: parsedKey(key), count, windowStart: new Date(startMs), windowEnd: new Date(endMs) };
  // The last ms of the window: a window of hours takes the pane of its last minute.
  return { event, timeMs: endMs - 1 };
}

/** A big integer has no exact form in JSON. */
function parsedKey(key: string): unknown {
  const parsed: unknown = JSON.parse(key);
  return typeof parsed === "number" && !Number.isSafeInteger(parsed) && /^-?[0-9]+$/.test(key) ? BigInt(key) : parsed;
}
