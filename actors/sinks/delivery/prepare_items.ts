/** Turns a stored batch into items of a delivery: its records after a cursor, decoded and run through the steps. */
import type { Event } from "../../../protocols/event.ts";
import { offset, type PartitionReference, type Position } from "../../../protocols/position.ts";
import { traceparentAt } from "../../../protocols/traceparent.ts";
import { isRejected, type RecordBatch } from "../../log/log.ts";
import type { RecordOrigin, SinkRecord } from "../sink.ts";
import type { DeliveryItem } from "./delivery_messages.ts";

/** Runs a pipeline on one record. `Pipeline.run` of the pipeline station fits. */
export type RecordSteps = (
  event: Event,
  context: { stream: string; partition: number; position: Position; timeMs: number },
) => StepsResult | Promise<StepsResult>;

type StepsResult =
  | {
      readonly kind: "outputs";
      readonly events: readonly Event[];
      readonly origin?: RecordOrigin;
      /** Whether another record of the input brings the output of this index. */
      readonly isLeftOut?: (index: number) => boolean;
    }
  | {
      readonly kind: "failed";
      readonly code: string;
      readonly path: string;
      readonly reason: string;
      /** The event that the step failed on, where it differs from the record: an outbox holds that event inside. */
      readonly event?: Event;
      readonly origin?: RecordOrigin;
    };

export interface Preparation {
  readonly partition: PartitionReference;
  /** The events of a batch, rejected ones included. */
  decode(batch: RecordBatch): readonly unknown[];
  readonly run: RecordSteps;
  /** Event time where the stream declares one, else the time of append (E18). */
  timeOf(event: Event, appendedAtMs: number): number;
}

export async function prepareItems(
  preparation: Preparation,
  batch: RecordBatch,
  after: Position | undefined,
): Promise<DeliveryItem[]> {
  const events = preparation.decode(batch);
  const sizeBytes = Math.ceil(batch.events.length / Math.max(1, events.length));
  const items: DeliveryItem[] = [];
  const { appendedAtMs, traceparent, traces } = batch;
  let context: RecordContext = { appendedAtMs, traceparent };
  let next = batch.firstOffset as number;
  for (const [index, event] of events.entries()) {
    if (isRejected(batch.rejected, index)) continue;
    const position = { epoch: batch.epoch, offset: offset(next) };
    next += 1;
    if (after !== undefined && position.offset <= after.offset) continue;
    if (traces !== undefined) context = { appendedAtMs, traceparent: traceparentAt(batch, index) };
    const item = prepareOne(preparation, context, position, event as Event, sizeBytes);
    items.push(item instanceof Promise ? await item : item);
  }
  return items;
}

interface RecordContext {
  readonly appendedAtMs: number;
  readonly traceparent: string | undefined;
}

function prepareOne(
  { partition, run, timeOf }: Preparation,
  context: RecordContext,
  position: Position,
  event: Event,
  sizeBytes: number,
): DeliveryItem | Promise<DeliveryItem> {
  const timeMs = timeOf(event, context.appendedAtMs);
  const { stream, partition: number } = partition;
  const result = run(event, { stream, partition: number, position, timeMs });
  if (result instanceof Promise)
    return result.then((found) => finish(found, context, position, event, timeMs, sizeBytes));
  return finish(result, context, position, event, timeMs, sizeBytes);
}

/** Called for each record, so it makes as few objects as it can. */
function finish(
  result: StepsResult,
  { appendedAtMs, traceparent }: RecordContext,
  position: Position,
  event: Event,
  timeMs: number,
  eventBytes: number,
): DeliveryItem {
  const isFailed = result.kind === "failed";
  const outputs: SinkRecord[] = [];
  if (!isFailed) {
    const { origin, isLeftOut } = result;
    for (let index = 0; index < result.events.length; index += 1) {
      const output = result.events[index];
      if (output === undefined || isLeftOut?.(index) === true) continue;
      const record: SinkRecord =
        traceparent === undefined
          ? { position, index, event: output, timeMs }
          : { position, index, event: output, timeMs, traceparent };
      outputs.push(origin === undefined ? record : { ...record, origin });
    }
  }
  const sizeBytes = eventBytes * Math.max(1, outputs.length);
  const item: DeliveryItem = { position, outputs, sizeBytes, appendedAtMs };
  if (!isFailed && traceparent === undefined) return item;
  const traced = traceparent === undefined ? item : { ...item, traceparent };
  if (!isFailed) return traced;
  const { code, path, reason, origin } = result;
  const failure = { code, path, reason, event: result.event ?? event };
  return { ...traced, failure: origin === undefined ? failure : { ...failure, origin } };
}
