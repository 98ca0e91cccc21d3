/**
 * The inputs of a pipeline in one partition: reads them ahead, merges several by event time, and follows their watermarks.
 * Decides which records the steps are given next, and how long an idle input is waited for.
 *
 *   Q1. Records of one input keep their order. Several inputs are merged by the greatest event time that each has shown so
 *       far, then by their place in the configuration. So the order follows from the records and the recorded ticks.
 *   Q2. No record is taken while an input that has nothing to read may still bring an earlier one: until that input has a
 *       record, or advances by a tick (watermark W3).
 *   Q3. Only an input that was read to its committed end can tick, once it has brought no record for `idleAfterMs`.
 *   Q4. The watermark of the pipeline is the least one of its inputs.
 *   Q5. A tick goes no further than the time before which all records of the input have been read. A record whose append
 *       takes long, on this node or another one, is not late for that.
 */
import type { PartitionReference, Position } from "../../../protocols/position.ts";
import type { DecodedBatch } from "../../log/decoded_batch.ts";
import type { StepBatch } from "../step.ts";
import type { StepFailure } from "../step_outputs.ts";
import type { TimeSettings } from "../watermark.ts";
import { type Head, type InputLoss, InputReading, type OutboxInput } from "./input_reading.ts";
import type { InputProgress } from "./outbox_messages.ts";

/** Records of several inputs that one turn merges at most. */
const MERGED_ROWS_MAX = 5_000;

/** Records for the steps, by columns, with those that are set aside before any step. */
export interface TakenRows {
  /** All records taken; `failures` names those that no step is given. */
  readonly batch: StepBatch;
  /** Appended before the steps see them: the first row of `batch` lies behind this record. */
  readonly failures: ReadonlyMap<number, StepFailure>;
  traceparentOf(row: number): string | undefined;
}

const NO_FAILURES: ReadonlyMap<number, StepFailure> = new Map();

export class OutboxInputs {
  readonly #readings: readonly InputReading[];
  readonly #usesTime: boolean;
  /** The last record taken, of any input. */
  #last: Position | undefined;

  constructor(inputs: readonly OutboxInput[], time: TimeSettings, usesTime: boolean, nowMs: number) {
    this.#readings = inputs.map((input) => new InputReading(input, time, nowMs));
    this.#usesTime = usesTime || inputs.length > 1;
  }

  /** Goes on from stored progress, that of the first input first. */
  begin(progress: readonly InputProgress[], nowMs: number): void {
    for (const [at, reading] of this.#readings.entries()) reading.begin(progress[at], nowMs);
    this.#last = progress[0]?.covered;
  }

  get progress(): readonly InputProgress[] {
    return this.#readings.map(({ taken, watermark }) =>
      Number.isFinite(watermark.ms) ? { covered: taken, watermarkMs: watermark.ms } : { covered: taken },
    );
  }

  /**
   * Reads inputs that have nothing in memory. Answers the losses by the input's index; the next call reads behind them.
   *
   * @param after the record behind which the first input is read
   */
  async refill(after: Position | undefined, nowMs: number): Promise<ReadonlyMap<number, InputLoss>> {
    this.#readings[0]?.seek(after);
    const losses = new Map<number, InputLoss>();
    for (const [at, reading] of this.#readings.entries()) {
      const loss = await reading.refill(nowMs);
      if (loss !== undefined) losses.set(at, loss);
    }
    return losses;
  }

  /** Q3. Answers whether a watermark has moved. */
  tick(nowMs: number): boolean {
    const moved = this.#readings.filter((reading) => reading.tick(nowMs));
    return moved.length > 0;
  }

  /** Time until an idle input can tick, in ms; undefined where none waits for the clock. */
  waitMs(nowMs: number): number | undefined {
    const left = this.#readings.flatMap((reading) => reading.idleLeftMs(nowMs) ?? []);
    return left.length === 0 ? undefined : Math.max(1, Math.min(...left));
  }

  /** Whether records wait for another input (Q2). */
  get isBlocked(): boolean {
    return this.#readings.some(({ head }) => head !== undefined);
  }

  /** The records that the steps are given next. */
  take(): readonly TakenRows[] {
    const [only, ...others] = this.#readings;
    if (only === undefined) return [];
    if (others.length > 0) return this.#merge();
    return only.takeAll().map(({ batch, first }) => this.#rowsOf(only, batch, first));
  }

  /** A batch without records, by which the steps see the watermark. */
  get nothing(): TakenRows {
    const [{ input } = { input: undefined }] = this.#readings;
    const partition = input?.partition as PartitionReference;
    const watermarks = { beforeMs: [], after: this.#last, endMs: this.#watermarkMs };
    const batch = { partition, events: [], positions: [], timesMs: [], watermarks };
    return { batch, failures: NO_FAILURES, traceparentOf: () => undefined };
  }

  /** Q4 */
  get #watermarkMs(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { watermark } of this.#readings) least = Math.min(least, watermark.ms);
    return least;
  }

  #rowsOf({ input, watermark }: InputReading, batch: DecodedBatch, first: number): TakenRows {
    const events = first === 0 ? batch.events : batch.events.slice(first);
    const positions = first === 0 ? batch.positions : batch.positions.slice(first);
    const { appendedAtMs } = batch.stored;
    const timesMs = events.map((event) => input.timeOf(event, appendedAtMs));
    const after = this.#last;
    this.#last = positions.at(-1) ?? after;
    const traceparentOf = (row: number) => batch.traceparentOf(first + row);
    const plain = { partition: input.partition, events, positions, timesMs };
    if (!this.#usesTime) return { batch: plain, failures: NO_FAILURES, traceparentOf };
    const failures = new Map<number, StepFailure>();
    const beforeMs = timesMs.map((timeMs, row) => {
      const before = watermark.ms;
      if (!watermark.see(timeMs, appendedAtMs)) failures.set(row, fromFuture(timeMs, appendedAtMs));
      return before;
    });
    const watermarks = { beforeMs, after, endMs: watermark.ms };
    return { batch: { ...plain, watermarks }, failures, traceparentOf };
  }

  /** Q1, Q2 */
  #merge(): readonly TakenRows[] {
    const rows = new MergedRows(this.#readings[0]?.input.partition as PartitionReference, this.#last);
    while (rows.size < MERGED_ROWS_MAX) {
      const next = this.#earliest();
      if (next === undefined) break;
      const head = next.takeHead();
      if (head === undefined) break;
      const beforeMs = this.#watermarkMs;
      const isTimely = next.watermark.see(head.timeMs, head.appendedAtMs);
      rows.add(head, next.input.partition, beforeMs, isTimely);
      this.#last = head.position;
    }
    return rows.size === 0 ? [] : [rows.end(this.#watermarkMs)];
  }

  /** The input whose record comes next; undefined where an earlier one may still come. */
  #earliest(): InputReading | undefined {
    // An input without a record stands for its next one, which cannot lie before its clock.
    let earliest: InputReading | undefined;
    for (const reading of this.#readings) {
      if (earliest === undefined || reading.clockMs < earliest.clockMs) earliest = reading;
    }
    return earliest?.head === undefined ? undefined : earliest;
  }
}

/** The columns of merged records. */
class MergedRows {
  readonly #partition: PartitionReference;
  readonly #after: Position | undefined;
  readonly #heads: Head[] = [];
  readonly #sources: PartitionReference[] = [];
  readonly #beforeMs: number[] = [];
  readonly #failures = new Map<number, StepFailure>();

  constructor(partition: PartitionReference, after: Position | undefined) {
    this.#partition = partition;
    this.#after = after;
  }

  get size(): number {
    return this.#heads.length;
  }

  add(head: Head, source: PartitionReference, beforeMs: number, isTimely: boolean): void {
    if (!isTimely) this.#failures.set(this.size, fromFuture(head.timeMs, head.appendedAtMs));
    this.#heads.push(head);
    this.#sources.push(source);
    this.#beforeMs.push(beforeMs);
  }

  end(endMs: number): TakenRows {
    const heads = this.#heads;
    const watermarks = { beforeMs: this.#beforeMs, after: this.#after, endMs };
    const batch = {
      ...{ partition: this.#partition, sources: this.#sources, watermarks },
      events: heads.map(({ event }) => event),
      positions: heads.map(({ position }) => position),
      timesMs: heads.map(({ timeMs }) => timeMs),
    };
    return { batch, failures: this.#failures, traceparentOf: (row) => heads[row]?.traceparent };
  }
}

function fromFuture(timeMs: number, appendedAtMs: number): StepFailure {
  const [time, appended] = [timeMs, appendedAtMs].map((ms) => new Date(ms).toISOString());
  const reason = `Cannot take the record as its event time must lie near its append at ${appended}: current value is ${time}`;
  return { code: "FUTURE_RECORD", path: "", reason };
}
