/** The input of a pipeline's deliveries: where they read, and which outputs the sinks of one name take. */
import { outboxChannel } from "../../actors/pipeline/outbox_actor.ts";
import { type OutboxRecord, resultOfStored } from "../../actors/pipeline/outbox_record.ts";
import type { Pipeline } from "../../actors/pipeline/pipeline.ts";
import { outputsTo } from "../../actors/pipeline/step_outputs.ts";
import { type BatchSteps, eachRecord } from "../../actors/sinks/delivery/prepare_items.ts";
import type { Event } from "../../protocols/event.ts";
import type { DeliveryOrigin } from "./delivery_board.ts";

/** The feed of a pipeline's sinks: the stream's records, or the results that were computed once (E13). */
export interface DeliveryInput extends DeliveryOrigin {
  readonly run: BatchSteps;
  /** True where all deliveries with this input have the same items. */
  readonly isShared: boolean;
  /** True where one of the input's sinks uses the stored bytes of records. */
  readonly keepsBytes?: boolean;
  readonly timeOf: (event: Event, appendedAtMs: number) => number;
}

/** @param output the named output that is delivered; undefined for the pipeline's `to` */
export const directInput = (
  pipeline: Pipeline,
  { timeOf, keepsBytes }: Pick<DeliveryInput, "timeOf" | "keepsBytes">,
  output: string | undefined,
): DeliveryInput => ({
  channel: "records",
  run: (batch) => {
    const outputs = pipeline.run(batch);
    return outputs instanceof Promise ? outputs.then((all) => outputsTo(output, all)) : outputsTo(output, outputs);
  },
  isShared: true,
  ...(keepsBytes === undefined ? {} : { keepsBytes }),
  timeOf,
});

export const outboxInput = (pipeline: string, output: string | undefined): DeliveryInput => ({
  channel: outboxChannel(pipeline),
  pipeline,
  run: readOutbox(output),
  isShared: true,
  timeOf: (record) => (record as OutboxRecord).timeMs,
});

const readOutbox = (output: string | undefined): BatchSteps =>
  eachRecord((record) => resultOfStored(record as OutboxRecord, output));
