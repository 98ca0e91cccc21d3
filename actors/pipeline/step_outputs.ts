/**
 * The outputs of the steps on a batch, by columns. Puts events for named outputs among the others, and finds those of one
 * name. Their order follows from the records, never from the cut into batches (step T2).
 */
import type { RejectedCode } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";

export interface StepFailure {
  readonly code: RejectedCode;
  readonly path: string;
  readonly reason: string;
}

/** Stands for the row of an output that a timer made. */
export const NO_ROW = -1;

/** An output that a timer made. */
export interface Fired {
  readonly timeMs: number;
  /** The row of the record that moved the watermark past the timer; `NO_ROW` for one before the batch, or a tick. */
  readonly after: number;
}

/** The outputs of a batch, by columns, in their order. */
export interface StepOutputs {
  readonly events: readonly Event[];
  /** The row of the batch that each output came from, ascending; `NO_ROW` for those of timers. */
  readonly rows: readonly number[];
  /** Of the outputs that have no row, by their index; absent where all have one. */
  readonly fired?: ReadonlyMap<number, Fired>;
  /** The named outputs that events go to, by their index; absent where all go on to the pipeline's `to`. */
  readonly names?: ReadonlyMap<number, string>;
  /** The records that are set aside, by row. They have no outputs. */
  readonly failures: ReadonlyMap<number, StepFailure>;
}

/** An event that a step has emitted to a named output. */
export interface NamedEvent {
  readonly output: string;
  readonly event: Event;
  /** As `StepOutputs.rows`. */
  readonly row: number;
  /** The row itself, or for an event of a timer as `Fired.after`. */
  readonly after: number;
  readonly timeMs: number;
}

/** The outputs that went through all steps, by columns. `after` and `timesMs` are read for those of timers. */
interface MainOutputs {
  readonly events: readonly Event[];
  readonly rows: readonly number[];
  readonly timesMs: ArrayLike<number>;
  readonly after: readonly (number | undefined)[];
}

/** Each record has its main outputs first, then its named ones; events of timers lie behind the record that caused them. */
export function withNamed(
  main: MainOutputs,
  named: readonly NamedEvent[],
  failures: ReadonlyMap<number, StepFailure>,
): StepOutputs {
  const joined = new JoinedOutputs();
  const inOrder = [...named].sort((left, right) => compare(left, right));
  let next = 0;
  for (const [at, event] of main.events.entries()) {
    const row = main.rows[at] as number;
    const after = row === NO_ROW ? (main.after[at] ?? NO_ROW) : row;
    for (let one = inOrder[next]; one !== undefined && compare(one, { row, after }) < 0; one = inOrder[next]) {
      joined.add(one, one.output);
      next += 1;
    }
    joined.add({ event, row, after, timeMs: main.timesMs[at] as number }, undefined);
  }
  for (const one of inOrder.slice(next)) joined.add(one, one.output);
  return joined.end(failures);
}

type Place = Pick<NamedEvent, "row" | "after">;

const compare = (left: Place, right: Place): number =>
  left.after - right.after || Number(left.row === NO_ROW) - Number(right.row === NO_ROW);

class JoinedOutputs {
  readonly #events: Event[] = [];
  readonly #rows: number[] = [];
  readonly #fired = new Map<number, Fired>();
  readonly #names = new Map<number, string>();

  add({ event, row, after, timeMs }: Omit<NamedEvent, "output">, output: string | undefined): void {
    const at = this.#events.length;
    if (row === NO_ROW) this.#fired.set(at, { timeMs, after });
    if (output !== undefined) this.#names.set(at, output);
    this.#events.push(event);
    this.#rows.push(row);
  }

  end(failures: ReadonlyMap<number, StepFailure>): StepOutputs {
    const outputs = { events: this.#events, rows: this.#rows, failures };
    const names = this.#names.size === 0 ? {} : { names: this.#names };
    return this.#fired.size === 0 ? { ...outputs, ...names } : { ...outputs, ...names, fired: this.#fired };
  }
}

const NO_FAILURES: ReadonlyMap<number, StepFailure> = new Map();

/**
 * The outputs of one name. Undefined names the outputs for the pipeline's `to`, whose sinks also set aside the records that
 * a step has failed on: each is a dead letter there, and nowhere twice.
 */
export function outputsTo(output: string | undefined, all: StepOutputs): StepOutputs {
  const { events, rows, fired, names, failures } = all;
  if (names === undefined && output === undefined) return all;
  const found = new JoinedOutputs();
  for (const [at, event] of events.entries()) {
    if (names?.get(at) !== output) continue;
    const { timeMs, after } = fired?.get(at) ?? { timeMs: 0, after: NO_ROW };
    found.add({ event, row: rows[at] as number, after, timeMs }, undefined);
  }
  return found.end(output === undefined ? failures : NO_FAILURES);
}
