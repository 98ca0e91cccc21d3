/** Turns a stored batch into items of a delivery: its records after a cursor, decoded and run through the steps. */
import type { Event } from "../../../protocols/event.ts";
import type { PartitionReference, Position } from "../../../protocols/position.ts";
import { ownCopy } from "../../../protocols/values/own_copy.ts";
import type { DecodedBatch } from "../../log/decoded_batch.ts";
import type { StepBatch, StepContext } from "../../pipeline/step.ts";
import type { RecordOrigin, SinkRecord } from "../sink.ts";
import type { DeliveryItem } from "./delivery_messages.ts";

export interface StepsFailure {
  readonly code: string;
  readonly path: string;
  readonly reason: string;
  /** The event that the step failed on, where it differs from the record: an outbox holds that event inside. */
  readonly event?: Event;
}

/** The outputs of the steps on a batch, by columns. Those of `Pipeline.run` fit. */
export interface StepsResults {
  readonly events: readonly Event[];
  /** The row of the batch that each output came from; ascending. */
  readonly rows: readonly number[];
  /** The records that are set aside, by row. */
  readonly failures: ReadonlyMap<number, StepsFailure>;
  /** Of a replay: the origin of a row's record. */
  originOf?(row: number): RecordOrigin | undefined;
  /** Whether another record of the input brings the output of this index. */
  isLeftOut?(row: number, index: number): boolean;
}

/** Runs a pipeline on the records of a batch. */
export type BatchSteps = (batch: StepBatch) => StepsResults | Promise<StepsResults>;

export interface Preparation {
  readonly partition: PartitionReference;
  readonly run: BatchSteps;
  /** Event time where the stream declares one, else the time of append (E18). */
  timeOf(event: Event, appendedAtMs: number): number;
  /** Deliveries of one partition with the same object here share the items of a batch. Absent: items are made anew. */
  readonly sharedBy?: object;
  /** Whether a sink uses the stored bytes of records. Those with the same `sharedBy` say the same. */
  readonly keepsBytes?: boolean;
}

/** Answers a promise only where the steps do. Rejects where the steps ask to be run again. */
export function prepareItems(
  preparation: Preparation,
  batch: DecodedBatch,
  after: Position | undefined,
): readonly DeliveryItem[] | Promise<readonly DeliveryItem[]> {
  const first = batch.firstRowAfter(after);
  const { sharedBy } = preparation;
  if (sharedBy === undefined || !batch.isShared) return itemsFrom(preparation, batch, first);
  const items = batch.derived(sharedBy, () => itemsFrom(preparation, batch, 0));
  if (first === 0) return items;
  return items instanceof Promise ? items.then((all) => all.slice(first)) : items.slice(first);
}

/** The items with events of their own, for a sink that may change what it is given: others share the events themselves. */
export const withOwnEvents = (items: readonly DeliveryItem[]): readonly DeliveryItem[] =>
  items.map((item) => ({
    ...item,
    outputs: item.outputs.map((output) => ({ ...output, event: ownCopy(output.event) })),
  }));

function itemsFrom(
  preparation: Preparation,
  batch: DecodedBatch,
  first: number,
): readonly DeliveryItem[] | Promise<readonly DeliveryItem[]> {
  const input = inputFrom(preparation, batch, first);
  const results = preparation.run(input);
  if (!(results instanceof Promise)) return finishItems(preparation, batch, first, input, results);
  return results.then((found) => finishItems(preparation, batch, first, input, found));
}

function inputFrom({ partition, timeOf }: Preparation, batch: DecodedBatch, first: number): StepBatch {
  const events = first === 0 ? batch.events : batch.events.slice(first);
  const positions = first === 0 ? batch.positions : batch.positions.slice(first);
  const { appendedAtMs } = batch.stored;
  const timesMs = new Array<number>(events.length);
  for (let row = 0; row < timesMs.length; row += 1) timesMs[row] = timeOf(events[row] as Event, appendedAtMs);
  return { partition, events, positions, timesMs };
}

function finishItems(
  { keepsBytes = false }: Preparation,
  batch: DecodedBatch,
  first: number,
  input: StepBatch,
  results: StepsResults,
): readonly DeliveryItem[] {
  const items = new Array<DeliveryItem>(input.events.length);
  const isTraced = batch.stored.traceparent !== undefined || batch.stored.traces !== undefined;
  let next = 0;
  for (let row = 0; row < items.length; row += 1) {
    const traceparent = isTraced ? batch.traceparentOf(first + row) : undefined;
    const outputs: SinkRecord[] = [];
    for (let index = 0; results.rows[next] === row; index += 1, next += 1) {
      if (results.isLeftOut?.(row, index) === true) continue;
      const event = results.events[next] as Event;
      const isStored = keepsBytes && event === batch.events[first + row];
      const stored = isStored ? batch.storedOf(first + row) : undefined;
      const record = recordOf(input, row, index, event, traceparent, stored);
      const origin = results.originOf?.(row);
      outputs.push(origin === undefined ? record : { ...record, origin });
    }
    items[row] = itemOf(batch, input, row, outputs, traceparent, results);
  }
  return items;
}

/** Called for each record, so it makes as few objects as it can. */
function recordOf(
  { positions, timesMs }: StepBatch,
  row: number,
  index: number,
  event: Event,
  traceparent: string | undefined,
  stored: SinkRecord["stored"],
): SinkRecord {
  const position = positions[row] as Position;
  const timeMs = timesMs[row] as number;
  if (stored !== undefined) {
    return traceparent === undefined
      ? { position, index, event, timeMs, stored }
      : { position, index, event, timeMs, traceparent, stored };
  }
  return traceparent === undefined
    ? { position, index, event, timeMs }
    : { position, index, event, timeMs, traceparent };
}

function itemOf(
  batch: DecodedBatch,
  { events, positions }: StepBatch,
  row: number,
  outputs: readonly SinkRecord[],
  traceparent: string | undefined,
  results: StepsResults,
): DeliveryItem {
  const sizeBytes = batch.eventBytes * Math.max(1, outputs.length);
  const position = positions[row] as Position;
  const { appendedAtMs } = batch.stored;
  const item: DeliveryItem = { position, outputs, sizeBytes, appendedAtMs };
  const failed = results.failures.size === 0 ? undefined : results.failures.get(row);
  if (failed === undefined && traceparent === undefined) return item;
  const traced = traceparent === undefined ? item : { ...item, traceparent };
  if (failed === undefined) return traced;
  const { code, path, reason } = failed;
  const failure = { code, path, reason, event: failed.event ?? (events[row] as Event) };
  const origin = results.originOf?.(row);
  return { ...traced, outputs: [], failure: origin === undefined ? failure : { ...failure, origin } };
}

/** The results of one record. */
export type RecordResults =
  | {
      readonly kind: "outputs";
      readonly events: readonly Event[];
      readonly origin?: RecordOrigin;
      /** Whether another record of the input brings the output of this index. */
      readonly isLeftOut?: (index: number) => boolean;
    }
  | ({ readonly kind: "failed"; readonly origin?: RecordOrigin } & StepsFailure);

/** Makes steps of a function of one record, such as the reading of an outbox or of dead letters. */
export function eachRecord(
  run: (event: Event, context: StepContext) => RecordResults | Promise<RecordResults>,
): BatchSteps {
  return ({ partition, events, positions, timesMs }) => {
    const results = events.map((event, row) =>
      run(event, {
        stream: partition.stream,
        partition: partition.partition,
        position: positions[row] as Position,
        timeMs: timesMs[row] as number,
      }),
    );
    if (results.some((result) => result instanceof Promise)) return Promise.all(results).then(gather);
    return gather(results as readonly RecordResults[]);
  };
}

function gather(results: readonly RecordResults[]): StepsResults {
  const events: Event[] = [];
  const rows: number[] = [];
  const failures = new Map<number, StepsFailure>();
  for (const [row, result] of results.entries()) {
    if (result.kind === "failed") failures.set(row, result);
    else
      for (const event of result.events) {
        events.push(event);
        rows.push(row);
      }
  }
  return {
    events,
    rows,
    failures,
    originOf: (row) => results[row]?.origin,
    isLeftOut: (row, index) => {
      const result = results[row];
      return result?.kind === "outputs" && result.isLeftOut?.(index) === true;
    },
  };
}
