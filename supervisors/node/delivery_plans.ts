/**
 * From the configuration's pipelines to the deliveries of each stream: which sinks read it, through which steps, and
 * what they report. Steps are compiled here, once, before anything starts.
 */
import type { ActorDefinition, ActorReference } from "../../actors/kernel/actor.ts";
import type { DecodedBatch } from "../../actors/log/decoded_batch.ts";
import type { Metrics } from "../../actors/observers/metrics.ts";
import type { NodeLog } from "../../actors/observers/node_log.ts";
import { traceFields } from "../../actors/observers/trace_fields.ts";
import type { PartitionRequest } from "../../actors/partition/partition.ts";
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import type { OutboxReport } from "../../actors/pipeline/outbox/outbox_messages.ts";
import { outboxActor, outboxConsumer } from "../../actors/pipeline/outbox_actor.ts";
import { compilePipeline, type Pipeline, type StepSettings } from "../../actors/pipeline/pipeline.ts";
import type { TimeSettings } from "../../actors/pipeline/watermark.ts";
import { type DeliveryRange, deliveryActor } from "../../actors/sinks/delivery/delivery_actor.ts";
import { deliveryLimits } from "../../actors/sinks/delivery/delivery_limits.ts";
import type { DeliveryReport } from "../../actors/sinks/delivery/delivery_messages.ts";
import { type DeliveryTarget, deliveryText } from "../../actors/sinks/delivery/delivery_names.ts";
import { deliveryProgress } from "../../actors/sinks/delivery/delivery_progress.ts";
import { prepareItems, withOwnEvents } from "../../actors/sinks/delivery/prepare_items.ts";
import type { Connect } from "../../protocols/connection.ts";
import { offset, type Position, partitionName } from "../../protocols/position.ts";
import { decodeTrustedEvents, encodeEvents } from "../../protocols/values/event_codec.ts";
import type { Configuration } from "../configuration/configuration_schema.ts";
import { sinkOf } from "../configuration/kinds.ts";
import { checkSink } from "../configuration/sink_check.ts";
import type { DeliveryBoard, DeliveryOrigin } from "./delivery_board.ts";
import { type DeliveryInput, directInput, outboxInput } from "./delivery_input.ts";
import { eventTimeReader } from "./event_time.ts";
import { FurtherInputs, type FurtherStream } from "./further_inputs.ts";
import type { SinkClients } from "./sink_clients.ts";
import type { NodeDirectory } from "./stream_directory.ts";

/** Longest time for one step of a sink's operation, in ms; a longer step is aborted. */
const OPERATION_TIMEOUT_MS = 30_000;
/** Milliseconds added to the longest step that a sink declares: the sink's own time limit fires first. */
const STEP_MARGIN_MS = 5_000;
const READ_BYTES_MAX = 1_048_576;

export interface StreamDeliveries {
  /** Names of the sinks whose cursors retention waits for. */
  readonly consumers: readonly string[];
  readonly start: (feed: PartitionFeed, owner: ActorReference<PartitionRequest>) => readonly ActorDefinition<never>[];
}

export interface DeliveryPlans {
  of(stream: string): StreamDeliveries;
  /** Compiled, by name. */
  readonly pipelines: ReadonlyMap<string, Pipeline>;
}

export interface DeliveryParts {
  readonly log: NodeLog;
  readonly metrics: Metrics;
  readonly board: DeliveryBoard;
  readonly directory: Pick<NodeDirectory, "partition">;
  readonly deliverySeconds: ReturnType<Metrics["histogram"]>;
  /** The way into derived streams, read when a delivery opens its sink. */
  readonly connect: Connect;
  /** Id of the log that is read. */
  readonly clusterId: string;
  readonly clients: SinkClients;
}

export async function planDeliveries(configuration: Configuration, parts: DeliveryParts): Promise<DeliveryPlans> {
  for (const name of Object.keys(configuration.sinks)) await checkSink(name, configuration, configuration.node.data);
  const plans = new Map<string, StreamDeliveries[]>();
  const pipelines = new Map<string, Pipeline>();
  for (const [name, { from, others, steps, to, outputs, time }] of Object.entries(configuration.pipelines)) {
    const settings = steps as unknown as readonly StepSettings[];
    const pipeline = await compilePipeline(name, settings, configuration.folder, Object.keys(outputs));
    pipelines.set(name, pipeline);
    const timeOf = timeReader(from, name, configuration, parts);
    const computesOnce = !pipeline.isDeterministic || others.length > 0;
    const deliveries = [[undefined, to] as const, ...Object.entries(outputs)].flatMap(([output, targets]) => {
      const keepsBytes = targets.some(({ sink }) => usesStoredBytes(sink, configuration));
      const input = computesOnce ? outboxInput(name, output) : directInput(pipeline, { timeOf, keepsBytes }, output);
      return targets.map((target) => planSink(target, configuration, parts, input));
    });
    if (computesOnce) {
      const further = others.map((stream) => ({ stream, timeOf: timeReader(stream, name, configuration, parts) }));
      deliveries.unshift(planOutbox(pipeline, { timeOf, time, further }, configuration, parts));
    }
    plans.set(from, [...(plans.get(from) ?? []), ...deliveries]);
    for (const stream of others) {
      const reads: StreamDeliveries = { consumers: [outboxConsumer(name)], start: () => [] };
      plans.set(stream, [...(plans.get(stream) ?? []), reads]);
    }
  }
  return {
    pipelines,
    of(stream) {
      const found = plans.get(stream) ?? [];
      return {
        consumers: found.flatMap(({ consumers }) => consumers),
        start: (feed, owner) => found.flatMap(({ start }) => start(feed, owner)),
      };
    },
  };
}

/** Reads the event times of a stream, and counts the records without. */
function timeReader(
  stream: string,
  pipeline: string,
  { streams }: Configuration,
  { metrics }: DeliveryParts,
): DeliveryInput["timeOf"] {
  const timeless = metrics.counter(
    "headrace_event_time_missing_total",
    "Records read by a pipeline that had no usable time where eventTime says",
    { stream, pipeline },
  );
  return eventTimeReader(streams[stream]?.eventTime, () => timeless.add(1));
}

/** How a pipeline that computes once reads its inputs. */
interface OutboxReading {
  readonly timeOf: DeliveryInput["timeOf"];
  readonly time: TimeSettings;
  readonly further: readonly FurtherStream[];
}

const usesStoredBytes = (sink: string, configuration: Configuration): boolean =>
  sinkOf(configuration, configuration.sinks[sink]?.type ?? "")?.usesStoredBytes === true;

function planOutbox(
  pipeline: Pipeline,
  { timeOf, time, further }: OutboxReading,
  { hidden }: Pick<Configuration, "hidden">,
  { log, metrics, directory, board }: DeliveryParts,
): StreamDeliveries {
  const consumer = outboxConsumer(pipeline.name);
  const hide = (text: string) => hidden.hide(text);
  const outputs = metrics.counter("headrace_pipeline_outputs_total", "Outputs computed into an outbox", {
    pipeline: pipeline.name,
  });
  return {
    consumers: [consumer],
    start: (feed, owner) => {
      const about = { pipeline: pipeline.name, partition: partitionName(feed.partition) };
      const inputs = new FurtherInputs(further, feed.partition.partition, consumer, directory);
      const reached = (end: Position | undefined): void =>
        board.reached(pipeline.name, feed, (end?.offset ?? -1) + 1, () => inputs.unread());
      const observe = (report: OutboxReport): void => {
        if (report.kind === "reached") {
          inputs.reached(report.others ?? []);
          reached(report.end);
          return;
        }
        if (report.kind !== "covered") {
          const level = report.kind === "retry" ? "warn" : "error";
          log(level, `the pipeline's input: ${report.kind}`, { ...about, ...report });
          return;
        }
        outputs.add(report.outputs);
        inputs.covered(report.progress.others ?? []);
        reached(report.progress.covered);
        // Retention keeps every record after the snapshot, as a restart computes from there.
        const needed = report.progress.snapshotAt;
        owner.tell({
          type: "consumer_at",
          consumer,
          channel: "records",
          offset: offset(needed === undefined ? 0 : needed.offset + 1),
          epoch: feed.epoch,
        });
      };
      return [
        outboxActor({ pipeline, feed, timeOf, time, others: inputs.inputs, hide, observe }) as ActorDefinition<never>,
      ];
    },
  };
}

function planSink(
  target: DeliveryTarget,
  configuration: Configuration,
  parts: DeliveryParts,
  input: DeliveryInput,
): StreamDeliveries {
  const sink = configuration.sinks[target.sink];
  if (sink === undefined || sinkOf(configuration, sink.type) === undefined) return { consumers: [], start: () => [] };
  const consumer = `sink/${deliveryText(target)}`;
  return {
    consumers: [consumer],
    start: (feed, owner) => {
      const report = reporter(target, feed, parts, input);
      const progress = deliveryProgress(consumer, feed, owner, input.channel);
      const observe = (event: DeliveryReport) => {
        report(event);
        progress(event);
      };
      return sinkDelivery(target, configuration, parts, { feed, input, observe, start: sink.start });
    },
  };
}

export interface DeliveryOf {
  readonly feed: PartitionFeed;
  readonly input: DeliveryInput;
  readonly start: "earliest" | "latest";
  readonly replay?: string;
  readonly range?: DeliveryRange;
  observe(report: DeliveryReport): void;
}

/** The delivery of one partition to a configured sink; none for a sink of an unknown type. */
export function sinkDelivery(
  target: DeliveryTarget,
  configuration: Configuration,
  { log, connect, clusterId, clients }: Pick<DeliveryParts, "log" | "connect" | "clusterId" | "clients">,
  of: DeliveryOf,
): readonly ActorDefinition<never>[] {
  const { sink: name, as } = target;
  const sink = configuration.sinks[name];
  const definition = sinkOf(configuration, sink?.type ?? "");
  if (sink === undefined || definition === undefined) return [];
  const { feed, input, start, observe, replay, range } = of;
  const { partition } = feed;
  const { run, timeOf, keepsBytes = false } = input;
  const preparation = { partition, run, timeOf, keepsBytes, ...(input.isShared ? { sharedBy: input } : {}) };
  const prepare = (batch: DecodedBatch, after: Position | undefined) => prepareItems(preparation, batch, after);
  const isOwn = configuration.own?.sinks.has(sink.type) === true;
  const options = sink.options as never;
  const stepTimeoutMs = (definition.stepTimeoutMs?.(options) ?? 0) + STEP_MARGIN_MS;
  const delivery = deliveryActor({
    name,
    sink: definition,
    sinkOptions: options,
    clients: clients.of(name),
    folder: configuration.node.data,
    clusterId,
    feed,
    input: input.channel,
    start,
    limits: deliveryLimits(definition, options, sink.batch, partition),
    eventBytes: { decode: decodeTrustedEvents, encode: (events) => encodeEvents(events, { asRecords: false }) },
    prepare: isOwn ? async (batch, after) => withOwnEvents(await prepareItems(preparation, batch, after)) : prepare,
    operationTimeoutMs: Math.max(OPERATION_TIMEOUT_MS, stepTimeoutMs),
    readBytesMax: READ_BYTES_MAX,
    connect,
    hide: (text) => configuration.hidden.hide(text),
    observe,
    log: (level, message, fields) => log(level, message, { ...target, ...fields }),
    ...(as === undefined ? {} : { as }),
    ...(replay === undefined ? {} : { replay }),
    ...(range === undefined ? {} : { range }),
  });
  return [delivery as ActorDefinition<never>];
}

/** Counts and logs a delivery's reports, and keeps the delivery's standing on the board. */
function reporter(
  target: DeliveryTarget,
  feed: PartitionFeed,
  { metrics, log, board, deliverySeconds }: DeliveryParts,
  origin: DeliveryOrigin,
) {
  const labels = { ...target, stream: feed.partition.stream };
  const delivered = metrics.counter("headrace_records_delivered_total", "Records written to a sink", labels);
  const retries = metrics.counter(
    "headrace_deliveries_retried_total",
    "Operations of a sink that were tried again",
    labels,
  );
  const letters = metrics.counter("headrace_dead_letters_total", "Records that a sink set aside", labels);
  const about = { ...target, partition: partitionName(feed.partition) };
  return (report: DeliveryReport): void => {
    board.report(target, feed, report, origin);
    logReport(log, about, report);
    if (report.kind === "delivered") {
      delivered.add(report.batch.records);
      const delayMs = board.delayMs(report.batch);
      if (delayMs !== undefined) deliverySeconds.record(delayMs / 1_000, labels);
    }
    if (report.kind === "retry") retries.add(1);
    if (report.kind === "dead_lettered") letters.add(report.letters.length);
  };
}

/** Logs the reports of a delivery that an operator should read. */
export function logReport(log: NodeLog, about: Readonly<Record<string, unknown>>, report: DeliveryReport): void {
  switch (report.kind) {
    case "retry":
      log(report.needsPerson === true ? "error" : "warn", `trying again to ${report.what}: ${report.reason}`, {
        ...about,
        delayMs: report.delayMs,
        ...traceFields(report.traceparents ?? []),
      });
      return;
    case "dead_lettered":
      log("warn", "records were set aside", {
        ...about,
        count: report.letters.length,
        reason: report.letters[0]?.reason,
        ...traceFields(report.traceparents ?? []),
      });
      return;
    case "trimmed":
      log("error", "retention removed records that the sink had not read", { ...about, ...report });
      return;
    case "truncated":
      log("error", "the log lost records that the sink had read", { ...about, ...report });
      return;
    case "misplaced":
      log("warn", "the sink holds another position than expected", { ...about, ...report });
      return;
    case "fenced":
      log("warn", "the sink is fenced by another owner", { ...about, fence: report.fence });
      return;
    case "delivered":
    case "opened":
    case "completed":
    case "stopped":
      return;
  }
}
