/** Completes a configuration with defaults, and turns quantities into numbers of bytes and milliseconds. */
import { resolve } from "node:path";
import type { QuotaTerms } from "../security/admission/quotas.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";
import { auditStreamName, COMMON_SINK_KEYS, COMMON_SOURCE_KEYS, type Raw, without } from "./configuration_raw.ts";
import type {
  ClusterConfiguration,
  Configuration,
  EventTimeConfiguration,
  Options,
  SecurityConfiguration,
  StreamConfiguration,
} from "./configuration_schema.ts";

const UNITS: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 },
  ...{ B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824, TiB: 1_099_511_627_776 },
};

/** A number of bytes or milliseconds, from a number or from text such as `1GiB` or `7d`. */
function quantity(value: unknown, otherwise: number): number {
  if (typeof value === "number") return value;
  const found = /^([0-9.]+) ?([A-Za-z]+)$/.exec(String(value ?? ""));
  return found === null ? otherwise : Number(found[1]) * (UNITS[found[2] ?? ""] ?? 1);
}

function completeEventTime(value: unknown): EventTimeConfiguration {
  if (typeof value === "string") return { pointer: value, unit: "ms" };
  const { pointer: place, unit = "ms" } = value as Partial<EventTimeConfiguration> & { readonly pointer: string };
  return { pointer: place, unit };
}

function completeStream(options: Options, schemaOfFile: Options | undefined): StreamConfiguration {
  const retention = (options.retention ?? {}) as Options;
  const schema = schemaOfFile ?? (options.schema as Options | undefined);
  const { key } = options as { key?: string };
  return {
    ...(schema === undefined ? {} : { schema }),
    ...(key === undefined ? {} : { key }),
    ...(options.eventTime === undefined ? {} : { eventTime: completeEventTime(options.eventTime) }),
    bodyFormats: (options.bodyFormats as StreamConfiguration["bodyFormats"] | undefined) ?? [],
    compatibility: (options.compatibility as StreamConfiguration["compatibility"] | undefined) ?? "backward",
    partitions: (options.partitions as number | undefined) ?? 4,
    durability: (options.durability as StreamConfiguration["durability"] | undefined) ?? "fsync",
    retention: {
      sizeBytes: quantity(retention.size, 1_073_741_824),
      ageMs: quantity(retention.age, 7 * 86_400_000),
      onFull: (retention.onFull as "refuse" | "trim" | undefined) ?? "refuse",
    },
    dedupeWindowMs: quantity(options.dedupeWindow, 86_400_000),
    producersMax: (options.producersMax as number | undefined) ?? 10_000,
  };
}

const mapValues = <From, To>(
  from: Readonly<Record<string, From>> | undefined,
  change: (value: From, name: string) => To,
): Record<string, To> =>
  Object.fromEntries(Object.entries(from ?? {}).map(([name, value]) => [name, change(value, name)]));

function completeCluster(options: Options): ClusterConfiguration {
  const given = options as Partial<ClusterConfiguration>;
  const { advertise, secretFile, secretEnv, caFile } = given;
  return {
    ...(advertise === undefined ? {} : { advertise }),
    ...(secretFile === undefined ? {} : { secretFile }),
    ...(secretEnv === undefined ? {} : { secretEnv }),
    ...(caFile === undefined ? {} : { caFile }),
    zone: given.zone ?? "default",
    capacity: given.capacity ?? 1,
    silentAfterMs: quantity(options.silentAfter, 2_000),
  };
}

function completeSecurity(section: Options | undefined): SecurityConfiguration {
  const { audit, quotas, ...given } = (section ?? {}) as Partial<SecurityConfiguration>;
  const stream = auditStreamName(section);
  return {
    ...{ tokens: [], origins: [], hosts: [], ...given },
    ...(stream === undefined ? {} : { audit: { stream } }),
    ...(quotas === undefined ? {} : { quotas: mapValues(quotas, completeQuota) }),
  };
}

function completeQuota(quota: QuotaTerms): QuotaTerms {
  const { bytesPerSecond, ...given } = quota;
  return bytesPerSecond === undefined ? given : { ...given, bytesPerSecond: quantity(bytesPerSecond, 0) };
}

/** The audit stream trims its oldest entries, so that no entry ever waits. */
function auditStreamOf(section: Options | undefined): Readonly<Record<string, StreamConfiguration>> {
  const stream = auditStreamName(section);
  if (stream === undefined) return {};
  const { size = "64MiB", age = "30d" } = section?.audit as { readonly size?: unknown; readonly age?: unknown };
  return { [stream]: completeStream({ partitions: 1, retention: { size, age, onFull: "trim" } }, undefined) };
}

/**
 * Resolves the section's paths, in keys that end in `File`, from the configuration's folder: the working folder may
 * differ.
 */
function withFilesOf<Section>(folder: string, section: Section): Section {
  if (Array.isArray(section)) return section.map((one) => withFilesOf(folder, one)) as Section;
  if (typeof section !== "object" || section === null) return section;
  const entries = Object.entries(section).map(([key, value]) => [
    key,
    key.endsWith("File") && typeof value === "string" ? resolve(folder, value) : withFilesOf(folder, value),
  ]);
  return Object.fromEntries(entries) as Section;
}

export function complete(
  raw: Raw,
  schemas: ReadonlyMap<string, Options>,
  folder: string,
  hidden: HiddenTexts,
): Configuration {
  const node = (raw.node ?? {}) as Partial<Configuration["node"]>;
  const log = (raw.log ?? {}) as Partial<Configuration["log"]>;
  const limits = (raw.limits ?? {}) as Options;
  return {
    folder,
    hidden,
    node: { host: "127.0.0.1", port: 7070, data: ".headrace", logLevel: "info", ...node },
    log: { type: "lmdb", prefix: "headrace", ...log },
    streams: {
      ...mapValues(raw.streams, (stream, name) => completeStream(stream, schemas.get(name))),
      ...auditStreamOf(raw.security),
    },
    sources: mapValues(raw.sources, (source) => ({
      type: String(source.type),
      stream: String(source.stream),
      options: without(source, COMMON_SOURCE_KEYS),
    })),
    pipelines: mapValues(raw.pipelines, (pipeline) => ({
      from: pipeline.from,
      steps: pipeline.steps ?? [],
      to: pipeline.to,
    })),
    sinks: mapValues(raw.sinks, (sink) => ({
      type: String(sink.type),
      start: (sink.start as "earliest" | "latest" | undefined) ?? "earliest",
      options: without(sink, COMMON_SINK_KEYS),
    })),
    security: withFilesOf(folder, completeSecurity(raw.security)),
    ...(raw.cluster === undefined ? {} : { cluster: withFilesOf(folder, completeCluster(raw.cluster)) }),
    limits: {
      connectionsMax: (limits.connectionsMax as number | undefined) ?? 10_000,
      connectionsPerAddressMax: (limits.connectionsPerAddressMax as number | undefined) ?? 1_000,
      appendMemoryBytes: quantity(limits.appendMemory, 268_435_456),
    },
  };
}
