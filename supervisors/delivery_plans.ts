/**
 * From the configuration's pipelines to the deliveries of each stream: which sinks read it, through which steps, and
 * what they report. Steps are compiled here, once, before anything starts.
 */
import type { ActorDefinition, ActorReference } from "../actors/kernel/actor.ts";
import type { Metrics } from "../actors/observers/metrics.ts";
import type { NodeLog } from "../actors/observers/node_log.ts";
import type { PartitionRequest } from "../actors/partition/partition.ts";
import type { PartitionFeed } from "../actors/partition/partition_feed.ts";
import { compilePipeline, type Pipeline, type StepSettings } from "../actors/pipeline/pipeline.ts";
import { deliveryActor } from "../actors/sinks/delivery_actor.ts";
import { DELIVERY_LIMITS, type DeliveryReport } from "../actors/sinks/delivery_messages.ts";
import { deliveryProgress } from "../actors/sinks/delivery_progress.ts";
import { prepareItems } from "../actors/sinks/prepare_items.ts";
import { SINKS } from "../actors/sinks/registry.ts";
import { decodeTrustedEvents, encodeEvents } from "../protocols/event_codec.ts";
import { partitionName } from "../protocols/position.ts";
import type { Configuration } from "./configuration_schema.ts";
import type { DeliveryBoard } from "./delivery_board.ts";
import { eventTimeReader } from "./event_time.ts";

/** An operation of a sink that takes longer counts as failed, its outcome unknown. */
const OPERATION_TIMEOUT_MS = 30_000;
const READ_BYTES_MAX = 1_048_576;

export interface StreamDeliveries {
  /** Names that retention waits for. */
  readonly consumers: readonly string[];
  readonly start: (feed: PartitionFeed, owner: ActorReference<PartitionRequest>) => readonly ActorDefinition<never>[];
}

export interface DeliveryPlans {
  of(stream: string): StreamDeliveries;
}

export interface DeliveryParts {
  readonly log: NodeLog;
  readonly metrics: Metrics;
  readonly board: DeliveryBoard;
}

interface PlannedPipeline {
  readonly steps: Pipeline;
  readonly timeOf: ReturnType<typeof eventTimeReader>;
}

const consumerName = (sink: string): string => `sink/${sink}`;

export async function planDeliveries(configuration: Configuration, parts: DeliveryParts): Promise<DeliveryPlans> {
  const plans = new Map<string, StreamDeliveries[]>();
  for (const [name, pipeline] of Object.entries(configuration.pipelines)) {
    const steps = await compilePipeline(
      name,
      pipeline.steps as unknown as readonly StepSettings[],
      configuration.folder,
    );
    const source: PlannedPipeline = { steps, timeOf: eventTimeReader(configuration.streams[pipeline.from]?.eventTime) };
    const deliveries = pipeline.to.map((sink) => planSink(sink, configuration, parts, source));
    plans.set(pipeline.from, [...(plans.get(pipeline.from) ?? []), ...deliveries]);
  }
  return {
    of(stream) {
      const found = plans.get(stream) ?? [];
      return {
        consumers: found.flatMap(({ consumers }) => consumers),
        start: (feed, owner) => found.flatMap(({ start }) => start(feed, owner)),
      };
    },
  };
}

function planSink(
  name: string,
  configuration: Configuration,
  parts: DeliveryParts,
  pipeline: PlannedPipeline,
): StreamDeliveries {
  const sink = configuration.sinks[name];
  const definition = SINKS.get(sink?.type ?? "");
  if (sink === undefined || definition === undefined) return { consumers: [], start: () => [] };
  const consumer = consumerName(name);
  return {
    consumers: [consumer],
    start: (feed, owner) => {
      const report = reporter(name, feed, parts);
      const progress = deliveryProgress(consumer, feed, owner);
      const delivery = deliveryActor({
        name,
        sink: definition,
        sinkOptions: sink.options as never,
        folder: configuration.node.data,
        feed,
        input: "records",
        start: sink.start,
        limits: DELIVERY_LIMITS,
        eventBytes: { decode: decodeTrustedEvents, encode: (events) => encodeEvents(events, { asRecords: false }) },
        prepare: (batch, after) =>
          prepareItems(
            {
              partition: feed.partition,
              decode: decodeTrustedEvents,
              run: (event, context) => pipeline.steps.run(event, context),
              timeOf: pipeline.timeOf,
            },
            batch,
            after,
          ),
        operationTimeoutMs: OPERATION_TIMEOUT_MS,
        readBytesMax: READ_BYTES_MAX,
        observe: (event) => {
          report(event);
          progress(event);
        },
        log: (level, message, fields) => parts.log(level, message, { sink: name, ...fields }),
      });
      return [delivery as ActorDefinition<never>];
    },
  };
}

/** Counts and logs what a delivery reports, and keeps where it stands for those who ask. */
function reporter(sink: string, feed: PartitionFeed, { metrics, log, board }: DeliveryParts) {
  const labels = { sink, stream: feed.partition.stream };
  const delivered = metrics.counter("headrace_records_delivered_total", "Records written to a sink", labels);
  const retries = metrics.counter(
    "headrace_deliveries_retried_total",
    "Operations of a sink that were tried again",
    labels,
  );
  const letters = metrics.counter("headrace_dead_letters_total", "Records that a sink set aside", labels);
  const about = { sink, partition: partitionName(feed.partition) };
  return (report: DeliveryReport): void => {
    board.report(sink, feed, report);
    switch (report.kind) {
      case "delivered":
        delivered.add(report.batch.records);
        return;
      case "retry":
        retries.add(1);
        log("warn", `trying again to ${report.what}: ${report.reason}`, { ...about, delayMs: report.delayMs });
        return;
      case "dead_lettered":
        letters.add(report.letters.length);
        log("warn", "records were set aside", {
          ...about,
          count: report.letters.length,
          reason: report.letters[0]?.reason,
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
      case "opened":
      case "stopped":
        return;
    }
  };
}
