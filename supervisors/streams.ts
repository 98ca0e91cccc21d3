/** The streams of a node: their schemas, the supervisors of their partitions, and whether these could be claimed. */

import { registerSchema, type SchemaVersion } from "../actors/ingest/schema_registry.ts";
import { createSchemaCompiler } from "../actors/ingest/schema_validator.ts";
import type { ActorSystem } from "../actors/kernel/actor.ts";
import type { Log } from "../actors/log/log.ts";
import type { Metrics } from "../actors/observers/metrics.ts";
import type { NodeLog } from "../actors/observers/node_log.ts";
import { ConfigurationError } from "../protocols/errors.ts";
import type { StreamDescription } from "../protocols/frames.ts";
import { partitionId } from "../protocols/position.ts";
import type { Configuration, StreamConfiguration } from "./configuration_schema.ts";
import type { DeliveryPlans } from "./delivery_plans.ts";
import { type PartitionPlan, SUPERVISION, streamSupervisor } from "./partition_supervisor.ts";
import type { NodeDirectory } from "./stream_directory.ts";

/** One node alone is its own coordinator: there is one grant. */
const SOLE_GRANT = { leaderEpoch: 1, tableVersion: 1 } as const;

export async function registerSchemas(
  log: Log,
  configuration: Configuration,
): Promise<ReadonlyMap<string, readonly SchemaVersion[]>> {
  const compile = await createSchemaCompiler();
  const schemas = new Map<string, readonly SchemaVersion[]>();
  for (const [name, stream] of Object.entries(configuration.streams)) {
    if (stream.schema === undefined) continue;
    schemas.set(name, await registerSchema(log, compile, name, stream.schema, stream.compatibility));
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

export interface StreamParts {
  readonly log: Log;
  readonly configuration: Configuration;
  readonly directory: NodeDirectory;
  readonly deliveries: DeliveryPlans;
  readonly metrics: Metrics;
  readonly ackLatency: ReturnType<Metrics["histogram"]>;
}

export function startStreams(system: ActorSystem, parts: StreamParts): void {
  const streams = Object.entries(parts.configuration.streams);
  system.spawn<never>({
    name: "streams",
    supervision: SUPERVISION,
    start(context) {
      for (const [name, stream] of streams) {
        const plans = partitionPlans(name, stream, parts);
        context.spawn(streamSupervisor({ stream: name, plans, directory: parts.directory, grant: SOLE_GRANT }));
      }
      return { receive() {} };
    },
  });
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
      onAppended: (batchCount: number, eventCount: number, waitedMs: number | undefined) => {
        batches.add(batchCount);
        events.add(eventCount);
        if (waitedMs !== undefined) parts.ackLatency.record(waitedMs / 1_000, { stream: name });
      },
    },
    deliveries: deliveries.start,
  }));
}

/** Rejects with the first `ConfigurationError` that keeps a partition from being claimed: a person must change something. */
export function whenAllOwned(directory: NodeDirectory): Promise<void> {
  const waits = [...directory.all()].map(
    ({ entry }) =>
      new Promise<void>((resolve, reject) => {
        const check = () => {
          if (entry.feed === undefined && !(entry.blockedBy instanceof ConfigurationError)) return;
          listener.stop();
          if (entry.feed === undefined) reject(entry.blockedBy);
          else resolve();
        };
        const listener = entry.onChange(check);
        check();
      }),
  );
  return Promise.all(waits).then(() => undefined);
}

/** Says once what keeps partitions from being claimed, and that they are owned again. */
export function logBlockages(directory: NodeDirectory, log: NodeLog): void {
  for (const { stream, partition, entry } of directory.all()) {
    let said: string | undefined;
    entry.onChange(() => {
      const reason = entry.feed === undefined ? entry.blockedBy?.message : undefined;
      if (reason === said) return;
      if (reason !== undefined) log("warn", `can not claim the partition: ${reason}`, { stream, partition });
      else if (entry.feed !== undefined) log("info", "owned again", { stream, partition, epoch: entry.feed.epoch });
      if (reason !== undefined || entry.feed !== undefined) said = reason;
    });
  }
}
