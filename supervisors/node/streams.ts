/** The streams of a node: their schemas, the supervisors of their partitions, and whether these could be claimed. */
import { registerSchema, type SchemaVersion } from "../../actors/ingest/schema/schema_registry.ts";
import { createSchemaCompiler, warningsOf } from "../../actors/ingest/schema/schema_validator.ts";
import type { ActorReference, ActorSystem } from "../../actors/kernel/actor.ts";
import { patternCompiler } from "../../actors/kernel/linear_pattern.ts";
import type { Grant, Log } from "../../actors/log/log.ts";
import type { Metrics } from "../../actors/observers/metrics.ts";
import type { NodeLog } from "../../actors/observers/node_log.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import { type PartitionReference, partitionId } from "../../protocols/position.ts";
import type { StreamDescription } from "../../protocols/wire/frames.ts";
import type { Configuration, StreamConfiguration } from "../configuration/configuration_schema.ts";
import type { DeliveryPlans } from "./delivery_plans.ts";
import { SUPERVISION, streamSupervisor } from "./partition_supervisor.ts";
import type { PartitionPlan, PlacementOrder, StreamTree } from "./placement.ts";
import type { NodeDirectory } from "./stream_directory.ts";

/** A single node is its own coordinator: its grant never changes. */
export const SOLE_GRANT: Grant = { leaderEpoch: 1, tableVersion: 1 };

export async function registerSchemas(
  log: Log,
  configuration: Configuration,
  nodeLog?: NodeLog,
): Promise<ReadonlyMap<string, readonly SchemaVersion[]>> {
  const [compile, pattern] = await Promise.all([createSchemaCompiler(), patternCompiler()]);
  const schemas = new Map<string, readonly SchemaVersion[]>();
  for (const [name, stream] of Object.entries(configuration.streams)) {
    if (stream.schema === undefined) continue;
    for (const { path, reason } of warningsOf(stream.schema)) {
      nodeLog?.("warn", `the schema has a part that judges no event: ${path || "/"}: ${reason}`, { stream: name });
    }
    schemas.set(name, await registerSchema(log, { compile, pattern }, name, stream.schema, stream.compatibility));
  }
  return schemas;
}

export const describeStreams = (
  configuration: Configuration,
  schemas: ReadonlyMap<string, readonly SchemaVersion[]>,
): Record<string, StreamDescription> =>
  Object.fromEntries(
    Object.entries(configuration.streams).map(([name, stream]) => [
      name,
      {
        partitions: stream.partitions,
        schemaVersions: (schemas.get(name) ?? []).map(({ version }) => version),
        ...(stream.key === undefined ? {} : { key: stream.key }),
      },
    ]),
  );

/** Without `grant` the partitions are placed as `order` says. */
export interface StreamParts extends Pick<StreamTree, "directory" | "grant" | "onPlacement"> {
  readonly log: Log;
  readonly configuration: Configuration;
  readonly deliveries: DeliveryPlans;
  readonly metrics: Metrics;
  readonly ackLatency: ReturnType<Metrics["histogram"]>;
  /** Called after events of a partition were made durable. */
  onAppended?(partition: PartitionReference, events: number, sizeBytes: number): void;
}

export interface StreamsOrder {
  readonly stream: string;
  readonly order: PlacementOrder;
}

export function startStreams(system: ActorSystem, parts: StreamParts): ActorReference<StreamsOrder> {
  const { directory, grant, onPlacement } = parts;
  const definitions = Object.entries(parts.configuration.streams).map(([name, stream]) =>
    streamSupervisor({
      ...{ stream: name, plans: partitionPlans(name, stream, parts), directory },
      ...(grant === undefined ? {} : { grant }),
      ...(onPlacement === undefined ? {} : { onPlacement }),
    }),
  );
  return system.spawn<StreamsOrder>({
    name: "streams",
    supervision: SUPERVISION,
    start(context) {
      const streams = new Map(definitions.map((definition) => [definition.name, context.spawn(definition)]));
      return { receive: ({ stream, order }) => streams.get(stream)?.tell(order) };
    },
  });
}

/** Ends the deliveries of all partitions at once; resolves when all have ended (V4 in partition_supervisor.ts). */
export async function restDeliveries(
  streams: Pick<ActorReference<StreamsOrder>, "tell">,
  directory: Pick<NodeDirectory, "partitions">,
): Promise<void> {
  const rests = [...directory.partitions()].map(
    ({ stream, partition }) =>
      new Promise<void>((onRest) => streams.tell({ stream, order: { type: "rest", partition, onRest } })),
  );
  await Promise.all(rests);
}

function partitionPlans(name: string, stream: StreamConfiguration, parts: StreamParts): readonly PartitionPlan[] {
  const deliveries = parts.deliveries.of(name);
  const events = parts.metrics.counter("headrace_events_appended_total", "Events made durable", { stream: name });
  const batches = parts.metrics.counter("headrace_batches_appended_total", "Batches made durable", { stream: name });
  return Array.from({ length: stream.partitions }, (_, partition) => ({
    owner: {
      stopwatchMs: () => performance.now(),
      partition: { stream: name, partition: partitionId(partition) },
      log: parts.log,
      settings: {
        tier: stream.durability,
        chains: { dedupeWindowMs: stream.dedupeWindowMs, producersMax: stream.producersMax },
      },
      retention: {
        bytesMax: stream.retention.sizeBytes,
        ageMaxMs: stream.retention.ageMs,
        onFull: stream.retention.onFull,
      },
      expectedConsumers: deliveries.consumers,
      onAppended: (batchCount: number, eventCount: number, sizeBytes: number, waitedMs: number | undefined) => {
        batches.add(batchCount);
        events.add(eventCount);
        parts.onAppended?.({ stream: name, partition: partitionId(partition) }, eventCount, sizeBytes);
        if (waitedMs !== undefined) parts.ackLatency.record(waitedMs / 1_000, { stream: name });
      },
    },
    deliveries: deliveries.start,
  }));
}

/** Resolves once each partition is owned here or elsewhere. Rejects with the first `ConfigurationError` of a claim. */
export function whenAllOwned(directory: NodeDirectory): Promise<void> {
  const waits = [...directory.all()].map(
    ({ entry }) =>
      new Promise<void>((resolve, reject) => {
        const check = () => {
          const isOwned = entry.feed !== undefined || entry.ownerAddress !== undefined;
          if (!isOwned && !(entry.blockedBy instanceof ConfigurationError)) return;
          listener.stop();
          if (isOwned) resolve();
          else reject(entry.blockedBy);
        };
        const listener = entry.onChange(check);
        check();
      }),
  );
  return Promise.all(waits).then(() => undefined);
}

/** Once a silent store answers again, waiting partitions are claimed at once. */
export function claimWhenStoreAnswers(log: Pick<Log, "onStateChange">, directory: NodeDirectory): void {
  log.onStateChange(({ kind }) => {
    if (kind !== "ready") return;
    for (const { entry } of directory.all()) if (entry.isHere) entry.reference?.tell({ type: "store_answers" });
  });
}

/** Logs once why partitions cannot be claimed, and once that they are owned again. */
export function logBlockages(directory: NodeDirectory, log: NodeLog): void {
  for (const { stream, partition, entry } of directory.all()) {
    let said: string | undefined;
    entry.onChange(() => {
      const reason = entry.feed === undefined ? entry.blockedBy?.message : undefined;
      if (reason === said) return;
      if (reason !== undefined) log("warn", `cannot claim the partition: ${reason}`, { stream, partition });
      else if (entry.feed !== undefined) log("info", "owned again", { stream, partition, epoch: entry.feed.epoch });
      if (reason !== undefined || entry.feed !== undefined) said = reason;
    });
  }
}
