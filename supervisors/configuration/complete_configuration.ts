/** Completes a configuration with the defaults of its schema, and turns quantities into numbers of bytes and milliseconds. */
import { resolve } from "node:path";
import type { TimeSettings } from "../../actors/pipeline/watermark.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";
import {
  auditStreamName,
  COMMON_SINK_KEYS,
  COMMON_SOURCE_KEYS,
  type Raw,
  streamsOf,
  targetOf,
  without,
} from "./configuration_raw.ts";
import type {
  ClusterConfiguration,
  Configuration,
  EventTimeConfiguration,
  Options,
  SecurityConfiguration,
  StreamConfiguration,
} from "./configuration_schema.ts";
import { completeSteps } from "./configuration_steps.ts";
import { CLUSTER_SCHEMA, LIMITS_SCHEMA, LOG_SCHEMA, NODE_SCHEMA } from "./node_schema.ts";
import { TIME_SCHEMA } from "./pipeline_schema.ts";
import type { Schema } from "./schema_words.ts";
import { AUDIT_SCHEMA, QUOTA_SCHEMA } from "./security_schema.ts";
import { BATCH_SCHEMA } from "./sink_schema.ts";
import { STREAM_SCHEMA } from "./stream_schema.ts";

const UNITS: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 },
  ...{ B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824, TiB: 1_099_511_627_776 },
};

/** A number of bytes or milliseconds, from a number or from text such as `1GiB` or `7d`. */
function quantity(value: unknown): unknown {
  const [, count, unit = ""] = /^([0-9.]+) ?([A-Za-z]+)$/.exec(String(value)) ?? [];
  return count === undefined ? value : Number(count) * (UNITS[unit] ?? 1);
}

/** The given values and the schema's defaults, with sizes in bytes and durations in ms. */
function completed(schema: Schema, given: Options = {}): Options {
  const properties = Object.entries(schema.properties as Readonly<Record<string, Schema>>);
  const entries = properties.flatMap(([key, property]): [string, unknown][] => {
    const value = given[key] ?? property.default;
    const needsKeys = (property.required as readonly string[] | undefined)?.length !== 0;
    if (property.properties !== undefined && (value !== undefined || !needsKeys))
      return [[key, completed(property, value as Options | undefined)]];
    if (value === undefined) return [];
    return [[key, Array.isArray(property.type) ? quantity(value) : value]];
  });
  return Object.fromEntries(entries);
}

function completeEventTime(value: unknown): EventTimeConfiguration {
  if (typeof value === "string") return { pointer: value, unit: "ms" };
  const { pointer: place, unit = "ms" } = value as Partial<EventTimeConfiguration> & { readonly pointer: string };
  return { pointer: place, unit };
}

function completeStream(options: Options, schemaOfFile?: Options): StreamConfiguration {
  const { schemaFile: _, retention, dedupeWindow, eventTime, ...given } = completed(STREAM_SCHEMA, options);
  const { size, age, onFull } = retention as Options;
  return {
    ...given,
    ...(schemaOfFile === undefined ? {} : { schema: schemaOfFile }),
    ...(eventTime === undefined ? {} : { eventTime: completeEventTime(eventTime) }),
    retention: { sizeBytes: size, ageMs: age, onFull },
    dedupeWindowMs: dedupeWindow,
  } as unknown as StreamConfiguration; // as STREAM_SCHEMA has checked
}

const mapValues = <From, To>(
  from: Readonly<Record<string, From>> | undefined,
  change: (value: From, name: string) => To,
): Record<string, To> =>
  Object.fromEntries(Object.entries(from ?? {}).map(([name, value]) => [name, change(value, name)]));

function completeCluster(options: Options): ClusterConfiguration {
  const { silentAfter, ...given } = completed(CLUSTER_SCHEMA, options);
  return { ...given, silentAfterMs: silentAfter } as unknown as ClusterConfiguration;
}

function completeSecurity(section: Options | undefined): SecurityConfiguration {
  const { audit, quotas, ...given } = (section ?? {}) as Partial<SecurityConfiguration>;
  const stream = auditStreamName(section);
  return {
    ...{ tokens: [], origins: [], hosts: [], ...given },
    ...(stream === undefined ? {} : { audit: { stream } }),
    ...(quotas === undefined
      ? {}
      : { quotas: mapValues(quotas, (quota) => completed(QUOTA_SCHEMA, quota as Options)) }),
  };
}

/** The audit stream trims its oldest entries, so that no entry ever waits. */
function auditStreamOf(section: Options | undefined): Readonly<Record<string, StreamConfiguration>> {
  const stream = auditStreamName(section);
  if (stream === undefined) return {};
  const { size, age } = completed(AUDIT_SCHEMA, section?.audit as Options);
  return { [stream]: completeStream({ partitions: 1, retention: { size, age, onFull: "trim" } }) };
}

/** Resolves paths, in keys that end in `File`, from the configuration's folder: the working folder may differ. */
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
  const { appendMemory, ...limits } = completed(LIMITS_SCHEMA, raw.limits);
  return {
    folder,
    hidden,
    node: completed(NODE_SCHEMA, raw.node) as Configuration["node"],
    log: completed(LOG_SCHEMA, raw.log) as unknown as Configuration["log"],
    streams: {
      ...mapValues(raw.streams, (stream, name) => completeStream(stream, schemas.get(name))),
      ...auditStreamOf(raw.security),
    },
    sources: mapValues(raw.sources, (source) => ({
      type: String(source.type),
      stream: String(source.stream),
      ...(source.headers === undefined ? {} : { headers: String(source.headers) }),
      ...(source.time === undefined ? {} : { time: String(source.time) }),
      options: without(source, COMMON_SOURCE_KEYS),
    })),
    pipelines: mapValues(raw.pipelines, ({ from, steps = [], to, outputs, time }) => {
      const { outOfOrder, skew, idleAfter } = completed(TIME_SCHEMA, time);
      const times = { outOfOrderMs: outOfOrder, skewMs: skew, idleAfterMs: idleAfter } as TimeSettings;
      const [first = "", ...others] = streamsOf(from);
      const named = mapValues(outputs, (targets) => targets.map(targetOf));
      return {
        ...{ from: first, others, steps: completeSteps(steps, quantity), time: times },
        ...{ to: to.map(targetOf), outputs: named },
      };
    }),
    sinks: mapValues(raw.sinks, (sink) => ({
      type: String(sink.type),
      start: (sink.start as "earliest" | "latest" | undefined) ?? "earliest",
      ...(sink.batch === undefined ? {} : { batch: completed(BATCH_SCHEMA, sink.batch as Options) }),
      options: without(sink, COMMON_SINK_KEYS),
    })),
    security: withFilesOf(folder, completeSecurity(raw.security)),
    ...(raw.cluster === undefined ? {} : { cluster: withFilesOf(folder, completeCluster(raw.cluster)) }),
    limits: { ...limits, appendMemoryBytes: appendMemory } as unknown as Configuration["limits"],
  };
}
