/** One input of a pipeline in one partition: records read ahead, how far they were taken, and when the input may tick. */
import type { Event } from "../../../protocols/event.ts";
import { comparePositions, cursorBefore, type PartitionReference, type Position } from "../../../protocols/position.ts";
import type { DecodedBatch } from "../../log/decoded_batch.ts";
import type { ReadResult } from "../../log/log.ts";
import type { PartitionView } from "../../partition/partition_feed.ts";
import { InputWatermark, type TimeSettings } from "../watermark.ts";
import type { InputProgress } from "./outbox_messages.ts";

/** Bytes of one input read for one turn: a failed append has to run them again. */
const READ_BYTES_MAX = 262_144;
/** Least time between two ticks of an input: a timer of the far future must not keep the node busy. */
const TICK_EVERY_MS = 200;

export interface OutboxInput {
  readonly partition: PartitionReference;
  /** Undefined while no owner of the partition is known. */
  view(): Pick<PartitionView, "ready" | "read" | "decode" | "bounds" | "committedOffset" | "settledMs"> | undefined;
  timeOf(event: Event, appendedAtMs: number): number;
}

/** A loss of records that were not read yet, or that were read already. */
export type InputLoss = Extract<ReadResult, { kind: "trimmed" | "truncated" }> & {
  readonly resume: Position | undefined;
};

/** A record with what the merging of inputs goes by. */
export interface Head {
  readonly event: Event;
  readonly position: Position;
  readonly timeMs: number;
  readonly appendedAtMs: number;
  readonly traceparent: string | undefined;
}

/** One input: records read ahead, and how far they were taken. */
export class InputReading {
  readonly input: OutboxInput;
  readonly #time: TimeSettings;
  watermark: InputWatermark;
  taken: Position | undefined;
  #readTo: Position | undefined;
  #ahead: { readonly batch: DecodedBatch; readonly first: number }[] = [];
  #head: Head | undefined;
  #isAtEnd = false;
  #lastRecordMs: number;
  #tickedAtMs = Number.NEGATIVE_INFINITY;
  /** All records of an earlier time of append lie before the end that was read to. */
  #settledMs = Number.NEGATIVE_INFINITY;

  constructor(input: OutboxInput, time: TimeSettings, nowMs: number) {
    this.input = input;
    this.#time = time;
    this.watermark = new InputWatermark(time);
    this.#lastRecordMs = nowMs;
  }

  begin(progress: InputProgress | undefined, nowMs: number): void {
    this.watermark = new InputWatermark(this.#time, progress?.watermarkMs);
    this.taken = progress?.covered;
    this.#readTo = this.taken;
    this.#ahead = [];
    this.#head = undefined;
    this.#isAtEnd = false;
    this.#lastRecordMs = nowMs;
    this.#tickedAtMs = Number.NEGATIVE_INFINITY;
  }

  seek(after: Position | undefined): void {
    if (comparePositions(after, this.taken) === 0) return;
    this.taken = after;
    this.#readTo = after;
    this.#ahead = [];
    this.#head = undefined;
  }

  async refill(nowMs: number): Promise<InputLoss | undefined> {
    if (this.#ahead.length > 0) return undefined;
    const view = this.input.view();
    this.#isAtEnd = false;
    if (view === undefined) return undefined;
    await view.ready();
    const settledMs = view.settledMs(); // asked before the records: those that are committed meanwhile may be read or not
    const result = await view.read("records", this.#readTo, READ_BYTES_MAX);
    if (result.kind !== "records") {
      const { epochs } = view.bounds("records");
      const resume = result.kind === "trimmed" ? cursorBefore(epochs, result.firstOffset) : result.resume;
      this.taken = resume;
      this.#readTo = resume;
      return { ...result, resume };
    }
    this.#settledMs = settledMs;
    this.#keep(
      result.batches.map((batch) => view.decode("records", batch)),
      nowMs,
    );
    this.#isAtEnd = this.#ahead.length === 0 && (this.#readTo?.offset ?? -1) + 1 >= view.committedOffset("records");
    return undefined;
  }

  #keep(batches: readonly DecodedBatch[], nowMs: number): void {
    for (const batch of batches) {
      const first = batch.firstRowAfter(this.#readTo);
      if (first >= batch.events.length) continue;
      this.#ahead.push({ batch, first });
      this.#readTo = batch.positions.at(-1);
      this.#lastRecordMs = nowMs;
    }
  }

  /** Time until an idle input can tick, in ms; undefined for one that has records, or whose end is not known. */
  idleLeftMs(nowMs: number): number | undefined {
    if (!this.#isAtEnd || this.#ahead.length > 0) return undefined;
    const dueMs = Math.max(this.#lastRecordMs + this.#time.idleAfterMs, this.#tickedAtMs + TICK_EVERY_MS);
    return Math.max(0, dueMs - nowMs);
  }

  /** Q3, Q5. Answers whether the watermark has moved. */
  tick(nowMs: number): boolean {
    if (this.idleLeftMs(nowMs) !== 0) return false;
    this.#tickedAtMs = nowMs;
    const before = this.watermark.ms;
    this.watermark.tick(Math.min(nowMs, this.#settledMs));
    return this.watermark.ms > before;
  }

  takeAll(): readonly { readonly batch: DecodedBatch; readonly first: number }[] {
    const all = this.#ahead;
    this.#ahead = [];
    this.taken = this.#readTo;
    return all;
  }

  get head(): Head | undefined {
    if (this.#head !== undefined) return this.#head;
    const [ahead] = this.#ahead;
    if (ahead === undefined) return undefined;
    const { batch, first } = ahead;
    const event = batch.events[first] as Event;
    const { appendedAtMs } = batch.stored;
    const timeMs = this.input.timeOf(event, appendedAtMs);
    const position = batch.positions[first] as Position;
    this.#head = { event, position, timeMs, appendedAtMs, traceparent: batch.traceparentOf(first) };
    return this.#head;
  }

  takeHead(): Head | undefined {
    const { head } = this;
    const [ahead] = this.#ahead;
    if (head === undefined || ahead === undefined) return undefined;
    this.#head = undefined;
    this.taken = head.position;
    if (ahead.first + 1 < ahead.batch.events.length) this.#ahead[0] = { batch: ahead.batch, first: ahead.first + 1 };
    else this.#ahead.shift();
    return head;
  }

  /** Q1: the greatest event time that the input has shown, its next record included; or its last tick. */
  get clockMs(): number {
    const { head } = this;
    const shownMs = this.watermark.latestMs;
    if (head === undefined || head.timeMs > head.appendedAtMs + this.#time.skewMs) return shownMs;
    return Math.max(shownMs, head.timeMs);
  }
}
