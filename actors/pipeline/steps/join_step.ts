/**
 * Joins the records of two streams by key, where their event times lie close together:
 * `join: {on: {orders: event.id, payments: event.order}, within: 10m}`. Each pair emits `{orders: ..., payments: ...}` once,
 * when the later one of the two is read. A record is kept until nothing that fits is expected. A record from before the
 * watermark is late, as its partner may be gone.
 */
import { InvariantError, RejectedError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { type KeyedState, STATE_LIMITS } from "../keyed_state.ts";
import type { Step, StepBatch, StepOutput } from "../step.ts";
import type { ExpressionCompiler } from "./expression.ts";
import { keyText } from "./key_text.ts";
import { endedText, timeText } from "./ordered_text.ts";
import { contextOf } from "./per_record.ts";
import { timedRun } from "./timed_step.ts";
import { Timers } from "./timers.ts";

export interface JoinSettings {
  /** For each of the two streams an expression whose value is the key: a text, a number or a boolean. */
  readonly on: Readonly<Record<string, string>>;
  /** The most that the event times of a pair may differ, in ms. */
  readonly within: number;
}

export function joinStep({ on, within }: JoinSettings, where: string, compile: ExpressionCompiler): Step {
  const streams = Object.keys(on);
  const keys = new Map(streams.map((stream) => [stream, compile(on[stream] ?? "", `${where}.on.${stream}`)]));
  return {
    name: "join",
    ...{ isDeterministic: false, usesTime: true, keepsTables: true },
    run: () => {
      throw new InvariantError("Cannot join without state as the step must be instantiated for one partition");
    },
    instantiate: (_partition, tables) => {
      const kept = tables("kept", STATE_LIMITS);
      const timers = new Timers(tables("timers", STATE_LIMITS));
      const record = (batch: StepBatch, row: number, out: StepOutput) => {
        const context = contextOf(batch, row);
        const keyOf = keys.get(context.stream);
        const side = streams.indexOf(context.stream);
        const other = streams[1 - side];
        if (keyOf === undefined || other === undefined) {
          const must = `it must come from ${streams.join(" or ")}`;
          throw new RejectedError("STEP_FAILED", `Cannot join the record as ${must}: it comes from ${context.stream}`);
        }
        const event = batch.events[row] as Event;
        const key = keyText(keyOf(event, context), `${where}.on.${context.stream}`);
        const late = latenessOf(batch, row);
        if (late !== undefined) return out.late(row, late);
        const timeMs = Math.floor(batch.timesMs[row] as number);
        for (const match of matchesOf(kept, 1 - side, key, timeMs, within)) {
          out.emit(row, pairOf(streams, context.stream, event, match));
        }
        const { epoch, offset } = context.position;
        const name = `${sideText(side, key)}${timeText(timeMs)}/${epoch}/${offset}`;
        timers.setFor({ timeMs: timeMs + within + 1, key: name, tag: "" }, () => kept.put(name, event));
      };
      const timer = ({ key }: { readonly key: string }) => {
        kept.remove(key);
        return undefined;
      };
      return {
        restored: () => timers.restored(),
        hasTimers: () => !timers.areNone,
        run: timedRun(timers, { record, timer }),
      };
    },
  };
}

const sideText = (side: number, key: string): string => `${side}${endedText(key)}`;

/** The kept records of the other stream with the same key and a fitting time, by time. */
function* matchesOf(kept: KeyedState, side: number, key: string, timeMs: number, within: number): Iterable<Event> {
  const prefix = sideText(side, key);
  const range = kept.scan(prefix + timeText(timeMs - within), prefix + timeText(timeMs + within + 1));
  for (const [, event] of range) yield event as Event;
}

/** Fields in the order of the streams in the configuration. */
const pairOf = (streams: readonly string[], stream: string, event: Event, match: Event): Event =>
  Object.fromEntries(streams.map((one) => [one, one === stream ? event : match]));

/** Why the record is late; undefined where it is not. */
function latenessOf({ timesMs, watermarks }: StepBatch, row: number): string | undefined {
  const timeMs = timesMs[row] as number;
  const watermarkMs = watermarks?.beforeMs[row] ?? Number.NEGATIVE_INFINITY;
  if (timeMs >= watermarkMs) return undefined;
  const [time, watermark] = [timeMs, watermarkMs].map((ms) => new Date(ms).toISOString());
  return `Cannot join a record of ${time} as the watermark must not have passed: current value is ${watermark}`;
}
