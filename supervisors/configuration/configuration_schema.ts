/** The schema and type of `headrace.yaml`. docs/configuration.md is generated from it, and a test compares them. */

import type { RedisAddress } from "../../actors/log/redis/redis_connection.ts";
import type { TimeSettings } from "../../actors/pipeline/watermark.ts";
import type { DeliveryTarget } from "../../actors/sinks/delivery/delivery_names.ts";
import type { AnySink } from "../../actors/sinks/registry.ts";
import type { SinkBatchLimits } from "../../actors/sinks/sink.ts";
import type { AnySource } from "../../actors/sources/registry.ts";
import type { QuotaTerms } from "../security/admission/quotas.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";
import { CLUSTER_SCHEMA, LIMITS_SCHEMA, LOG_SCHEMA, NODE_SCHEMA } from "./node_schema.ts";
import { PIPELINE_SCHEMA } from "./pipeline_schema.ts";
import { mapOf, name, object, typed } from "./schema_words.ts";
import { SECURITY_SCHEMA } from "./security_schema.ts";
import { BATCH_SCHEMA } from "./sink_schema.ts";
import { STREAM_SCHEMA } from "./stream_schema.ts";

const field = { type: "string", minLength: 1, maxLength: 256 } as const;

export const CONFIGURATION_SCHEMA = object("The configuration of a node.", {
  node: NODE_SCHEMA,
  log: LOG_SCHEMA,
  streams: mapOf("Streams by name.", STREAM_SCHEMA),
  sources: mapOf(
    "Sources by name.",
    typed(
      "Reads events from a place outside into a stream.",
      {
        stream: { ...name, description: "Stream to append to." },
        headers: {
          ...field,
          description:
            "Field of the event that takes the headers of its message, where the kind has headers. A field of that name in the event wins.",
        },
        time: {
          ...field,
          description:
            "Field of the event that takes the time of its message, in ms since 1970, where the kind has times. A field of that name in the event wins.",
        },
      },
      ["stream"],
    ),
  ),
  pipelines: mapOf("Pipelines by name.", PIPELINE_SCHEMA),
  sinks: mapOf(
    "Sinks by name.",
    typed(
      "Writes records somewhere.",
      {
        start: { enum: ["earliest", "latest"], default: "earliest", description: "Where a new sink begins." },
        batch: BATCH_SCHEMA,
      },
      [],
    ),
  ),
  security: SECURITY_SCHEMA,
  cluster: CLUSTER_SCHEMA,
  limits: LIMITS_SCHEMA,
});

export interface EventTimeConfiguration {
  /** JSON Pointer to the time. */
  readonly pointer: string;
  /** The unit of a time that is a number. */
  readonly unit: "s" | "ms" | "us" | "ns";
}

export interface StreamConfiguration {
  readonly schema?: Readonly<Record<string, unknown>>;
  readonly compatibility: "backward" | "forward" | "full" | "none";
  readonly partitions: number;
  readonly key?: string;
  readonly eventTime?: EventTimeConfiguration;
  readonly bodyFormats: readonly ("form" | "text")[];
  readonly durability: "memory" | "everysec" | "fsync" | { readonly replicas: number };
  readonly retention: { readonly sizeBytes: number; readonly ageMs: number; readonly onFull: "refuse" | "trim" };
  readonly dedupeWindowMs: number;
  readonly producersMax: number;
}

export interface TokenConfiguration {
  readonly name: string;
  readonly valueFile?: string;
  readonly valueEnv?: string;
  readonly scopes: readonly string[];
}

export interface CertificateConfiguration {
  readonly name: string;
  readonly commonName?: string;
  readonly alternativeName?: string;
  readonly scopes: readonly string[];
}

export interface SecurityConfiguration {
  readonly tokens: readonly TokenConfiguration[];
  readonly jwt?: {
    readonly secretFile?: string;
    readonly secretEnv?: string;
    readonly publicKeyFile?: string;
    readonly jwksUrl?: string;
    readonly issuer?: string;
    readonly audience?: string;
  };
  readonly certificates?: readonly CertificateConfiguration[];
  readonly tls?: { readonly certificateFile: string; readonly keyFile: string; readonly clientCaFile?: string };
  /** By subject; `*` for all other subjects. */
  readonly quotas?: Readonly<Record<string, QuotaTerms>>;
  /** The audit of administration and refusals; undefined without one. */
  readonly audit?: { readonly stream: string };
  readonly origins: readonly string[];
  readonly hosts: readonly string[];
}

export interface SinkConfiguration {
  readonly type: string;
  readonly start: "earliest" | "latest";
  /** Bounds of a batch in place of the sink's own. */
  readonly batch?: Partial<SinkBatchLimits>;
  readonly options: Options;
}

export interface ClusterConfiguration {
  /** `host:port`. Undefined: the address on which the node listens. */
  readonly advertise?: string;
  readonly zone: string;
  readonly capacity: number;
  readonly secretFile?: string;
  readonly secretEnv?: string;
  readonly caFile?: string;
  readonly silentAfterMs: number;
}

export interface SourceConfiguration {
  readonly type: string;
  readonly stream: string;
  /** Fields of the event for the headers and the time of its message. */
  readonly headers?: string;
  readonly time?: string;
  readonly options: Options;
}

/** Kinds of the user's own modules, by the `type` that names them. */
export interface OwnKinds {
  readonly sources: ReadonlyMap<string, AnySource>;
  readonly sinks: ReadonlyMap<string, AnySink>;
}

export interface Configuration {
  /** Absent: all kinds are those of Headrace. */
  readonly own?: OwnKinds;
  /** Folder of the file, in which its relative paths begin. */
  readonly folder: string;
  /** Secrets of the file, which are hidden in every text for a person. */
  readonly hidden: HiddenTexts;
  readonly node: {
    readonly name?: string;
    readonly host: string;
    readonly port: number;
    readonly data: string;
    readonly logLevel: "debug" | "info" | "warn" | "error";
  };
  readonly log: RedisAddress & { readonly type: "lmdb" | "redis" | "memory"; readonly prefix: string };
  readonly streams: Readonly<Record<string, StreamConfiguration>>;
  readonly sources: Readonly<Record<string, SourceConfiguration>>;
  readonly pipelines: Readonly<
    Record<
      string,
      {
        readonly from: string;
        /** Further streams, which are merged with `from`. */
        readonly others: readonly string[];
        readonly steps: readonly Options[];
        readonly to: readonly DeliveryTarget[];
        /** The sinks of named outputs. */
        readonly outputs: Readonly<Record<string, readonly DeliveryTarget[]>>;
        readonly time: TimeSettings;
      }
    >
  >;
  readonly sinks: Readonly<Record<string, SinkConfiguration>>;
  readonly security: SecurityConfiguration;
  /** Undefined for a single node. */
  readonly cluster?: ClusterConfiguration;
  readonly limits: {
    readonly connectionsMax: number;
    readonly connectionsPerAddressMax: number;
    readonly appendMemoryBytes: number;
  };
}

/** Options of one kind of source, sink or step: checked by the kind's own schema. */
export type Options = Readonly<Record<string, unknown>>;
