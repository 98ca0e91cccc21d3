/**
 * The JSON Schema of `headrace.yaml`. docs/configuration.md is generated from its descriptions, and a test compares
 * them.
 */
import type { RedisAddress } from "../../actors/log/redis/redis_connection.ts";
import type { QuotaTerms } from "../security/admission/quotas.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";

const name = { type: "string", pattern: "^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$" } as const;
const size = {
  type: ["integer", "string"],
  description: "Bytes, or a number with KiB, MiB or GiB.",
  pattern: "^[0-9]+(\\.[0-9]+)? ?(B|KiB|MiB|GiB|TiB)$",
  minimum: 0,
} as const;
const duration = {
  type: ["integer", "string"],
  description: "Milliseconds, or a number with ms, s, m, h or d.",
  pattern: "^[0-9]+(\\.[0-9]+)? ?(ms|s|m|h|d)$",
  minimum: 0,
} as const;

const scope = { type: "string", pattern: "^((produce|consume|observe)(:.+)?|admin)$" } as const;

const object = (description: string, properties: Record<string, unknown>, required: readonly string[] = []) => ({
  type: "object",
  description,
  properties,
  required,
  additionalProperties: false,
});

const mapOf = (description: string, value: unknown) => ({
  type: "object",
  description,
  // The most children that one supervising actor may have.
  maxProperties: 90,
  propertyNames: name,
  additionalProperties: value,
});

const stream = object("A named, partitioned, durable sequence of records.", {
  schema: {
    type: "object",
    minProperties: 1,
    description:
      "JSON Schema that every event must match: draft 2020-12, or an older one that its `$schema` names. Without one, any map is taken.",
  },
  schemaFile: {
    type: "string",
    description:
      "Path of a JSON or YAML file of at most 1 MiB that holds the schema, from this file's folder. The schema itself has at most 256 KiB as compact JSON.",
  },
  compatibility: {
    enum: ["backward", "forward", "full", "none"],
    default: "backward",
    description:
      "How a changed schema must relate to the last one. `backward`: it takes every event that the last one took; it may declare properties that the last one did not judge. `forward`: the other way around. `full`: both. `none`: any change. A change is refused, with the reasons, unless it is shown to be compatible. A comparison that takes more steps than a start allows is undecided, and the change is refused.",
  },
  partitions: {
    type: "integer",
    minimum: 1,
    maximum: 1_000,
    default: 4,
    description: "Number of partitions. Cannot be changed later: a retry must always split alike.",
  },
  key: {
    type: "string",
    pattern: "^/",
    description: "JSON Pointer to the field whose value routes an event to its partition. Without one, round robin.",
  },
  eventTime: {
    oneOf: [
      { type: "string", pattern: "^/" },
      object(
        "The place of the event's own time, and its unit.",
        { pointer: { type: "string", pattern: "^/" }, unit: { enum: ["s", "ms", "us", "ns"], default: "ms" } },
        ["pointer"],
      ),
    ],
    description:
      "JSON Pointer to the event's own time: RFC 3339 text with its offset, a timestamp, or milliseconds since 1970. `{pointer, unit}` takes numbers in another unit: `s`, `ms`, `us` or `ns`. An event with any other value has the time at which it was appended, and is counted.",
  },
  bodyFormats: {
    type: "array",
    items: { enum: ["form", "text"] },
    uniqueItems: true,
    default: [],
    description:
      "Bodies over HTTP that are taken besides JSON, lines of JSON and MessagePack. `form` (application/x-www-form-urlencoded) is one event of its fields, each a text, or a list of texts where a field is repeated; `text` (text/plain) is one event `{text}`.",
  },
  durability: {
    oneOf: [
      { enum: ["memory", "everysec", "fsync"] },
      object("Copies that must have an event.", { replicas: { type: "integer", minimum: 1 } }, ["replicas"]),
    ],
    default: "fsync",
    description: "What an acknowledgement means: see docs/guarantees.md.",
  },
  retention: object("What is kept.", {
    size: { ...size, default: "1GiB", description: `Most bytes kept in each partition. ${size.description}` },
    age: { ...duration, default: "7d", description: `Longest time a record is kept. ${duration.description}` },
    onFull: {
      enum: ["refuse", "trim"],
      default: "refuse",
      description:
        "What happens when a lagging sink fills the store. `refuse`: producers wait. `trim`: the sink loses records that it did not read.",
    },
  }),
  dedupeWindow: {
    ...duration,
    default: "24h",
    description: `How long an idle producer's chain is kept. ${duration.description}`,
  },
  producersMax: { type: "integer", minimum: 1, default: 10_000, description: "Live producers per partition." },
});

const typed = (description: string, properties: Record<string, unknown>, required: readonly string[]) => ({
  type: "object",
  description,
  properties: {
    type: { type: "string", description: "The kind. It decides the other options." },
    ...properties,
  },
  required: ["type", ...required],
});

const step = {
  description: "One step: exactly one of filter, map or call.",
  type: "object",
  minProperties: 1,
} as const;

export const CONFIGURATION_SCHEMA = object(
  "The configuration of a node.",
  {
    node: object("This node.", {
      name: { ...name, description: "Name of the node in logs, metrics and the cluster." },
      host: {
        type: "string",
        default: "127.0.0.1",
        description: "Address to listen on. Other than loopback needs tokens.",
      },
      port: {
        type: "integer",
        minimum: 0,
        maximum: 65_535,
        default: 7070,
        description: "The one port of HTTP and WebSocket.",
      },
      data: {
        type: "string",
        default: ".headrace",
        description: "Folder of the embedded log and of the files of sinks.",
      },
      logLevel: {
        enum: ["debug", "info", "warn", "error"],
        default: "info",
        description: "Least level that is logged.",
      },
    }),
    log: object("Where records are made durable.", {
      type: {
        enum: ["lmdb", "redis", "memory"],
        default: "lmdb",
        description: "The embedded log, Redis Streams, or memory (nothing survives).",
      },
      url: {
        type: "string",
        pattern: "^rediss?://",
        description:
          "Address of Redis, or of any node of a Redis Cluster. Type redis needs this, `urls` or `sentinel`.",
      },
      urls: {
        type: "array",
        items: { type: "string", pattern: "^rediss?://" },
        minItems: 1,
        description:
          "Addresses of nodes of a Redis Cluster. One of them must answer at the start, and names the other nodes.",
      },
      sentinel: object(
        "The master is found by Redis Sentinel.",
        {
          master: { type: "string", minLength: 1, description: "The master's name at the sentinels." },
          urls: {
            type: "array",
            items: { type: "string", pattern: "^rediss?://" },
            minItems: 1,
            description: "Addresses of the sentinels, such as redis://10.0.0.7:26379.",
          },
          username: { type: "string", description: "The node's user name at the master, if the master requires one." },
          password: { type: "string", description: "The node's password at the master, if the master requires one." },
          tls: { type: "boolean", default: false, description: "Connect to the master over TLS." },
        },
        ["master", "urls"],
      ),
      prefix: { ...name, default: "headrace", description: "First part of every key in Redis." },
    }),
    streams: mapOf("Streams by name.", stream),
    sources: mapOf(
      "Sources by name.",
      typed(
        "Reads events from a place outside into a stream.",
        { stream: { ...name, description: "Stream to append to." } },
        ["stream"],
      ),
    ),
    pipelines: mapOf(
      "Pipelines by name.",
      object(
        "Takes the records of a stream through steps to sinks.",
        {
          from: { ...name, description: "Stream to read." },
          steps: { type: "array", items: step, default: [], description: "Steps in order." },
          to: { type: "array", items: name, minItems: 1, description: "Sinks to deliver to." },
        },
        ["from", "to"],
      ),
    ),
    sinks: mapOf(
      "Sinks by name.",
      typed(
        "Writes records somewhere.",
        { start: { enum: ["earliest", "latest"], default: "earliest", description: "Where a new sink begins." } },
        [],
      ),
    ),
    security: object("Who may connect.", {
      tokens: {
        type: "array",
        items: object(
          "A key that tokens (JWT) are signed with, or one fixed token.",
          {
            name: { ...name, description: "Name of the token's bearer: the principal." },
            valueFile: { type: "string", description: "File that holds the token." },
            valueEnv: { type: "string", description: "Environment variable that holds the token." },
            scopes: {
              type: "array",
              items: scope,
              description:
                "What the token allows: `produce`, `consume` or `observe`, for all streams or for one (`produce:orders`), or `admin`.",
            },
          },
          ["name", "scopes"],
        ),
        description: "Fixed tokens with their scopes.",
      },
      certificates: {
        type: "array",
        items: object(
          "One kind of client certificate, by its subject's common name, by an alternative name, or by both.",
          {
            name: { ...name, description: "Name of the certificate's bearer: the principal." },
            commonName: { type: "string", minLength: 1, description: "The `CN` of the certificate's subject." },
            alternativeName: {
              type: "string",
              pattern: "^(DNS|URI|email|IP Address):.+$",
              description:
                "One of the certificate's names, such as `DNS:sensor-1.example` or `URI:spiffe://example/sensor-1`.",
            },
            scopes: { type: "array", items: scope, description: "What the certificate allows, as for a token." },
          },
          ["name", "scopes"],
        ),
        description: "Client certificates with their scopes: needs `security.tls.clientCaFile`.",
      },
      jwt: object("Signed tokens.", {
        jwksUrl: {
          type: "string",
          description:
            "Address of a set of public keys (JWKS), by https. Keys are read again once they are ten minutes old, and for an unknown `kid` at most each 30 s.",
        },
        secretFile: { type: "string", description: "File that holds a shared secret (HS256)." },
        secretEnv: { type: "string", description: "Environment variable that holds a shared secret (HS256)." },
        publicKeyFile: { type: "string", description: "PEM file of a public key (RS256, ES256, EdDSA)." },
        issuer: { type: "string", description: "Required `iss`." },
        audience: { type: "string", description: "Required `aud`." },
      }),
      tls: object(
        "Serves wss and https.",
        {
          certificateFile: { type: "string", description: "PEM file of the certificate chain." },
          keyFile: { type: "string", description: "PEM file of the private key." },
          clientCaFile: {
            type: "string",
            description:
              "PEM file of the authority that signs clients' certificates. `security.certificates` says what these allow.",
          },
        },
        ["certificateFile", "keyFile"],
      ),
      quotas: {
        type: "object",
        description:
          "What each principal may use of each node, by the name of a token or certificate or the `sub` of a signed token; `*` is for all other principals.",
        maxProperties: 1_000,
        additionalProperties: object("The quota of one principal.", {
          eventsPerSecond: {
            type: "number",
            exclusiveMinimum: 0,
            description: "Events a second. The events of one second may come at once.",
          },
          bytesPerSecond: { ...size, description: `Bytes a second of appends and request bodies. ${size.description}` },
          connections: { type: "integer", minimum: 1, description: "WebSocket connections at one time." },
          producers: {
            type: "integer",
            minimum: 1,
            description:
              "Names of producers in the whole store. A name is forgotten 7 days after its producer last connected.",
          },
        }),
      },
      audit: object(
        "Records administrative calls, refused logins, refused scopes and reloads in a stream of its own. Off by default.",
        {
          stream: {
            ...name,
            default: "audit",
            description: "Name of the stream. The node makes it, with one partition.",
          },
          size: {
            ...size,
            default: "64MiB",
            description: `Most bytes kept; the oldest entries go first. ${size.description}`,
          },
          age: { ...duration, default: "30d", description: `Longest time an entry is kept. ${duration.description}` },
        },
      ),
      origins: {
        type: "array",
        items: { type: "string" },
        description: "Web origins that may connect, besides the node's own.",
      },
      hosts: {
        type: "array",
        items: { type: "string" },
        description: "Host names that requests may name, against DNS rebinding.",
      },
    }),
    cluster: object(
      "Makes this node one of many that share a Redis: needs `log.type: redis`. May be empty. All its values but the first three must be the same on all nodes.",
      {
        advertise: {
          type: "string",
          pattern: "^[^/\\s]+:[0-9]+$",
          description:
            "Host and port at which other nodes and clients reach this node. Default: `node.host` and `node.port`.",
        },
        zone: {
          ...name,
          default: "default",
          description:
            "Zone of the node. Nodes of one zone may fail together, so the partitions of a stream are spread over zones.",
        },
        capacity: {
          type: "number",
          exclusiveMinimum: 0,
          default: 1,
          description: "Share of the partitions that this node takes, relative to others.",
        },
        secretFile: { type: "string", description: "File that holds the secret that nodes show each other." },
        secretEnv: {
          type: "string",
          description:
            "Environment variable that holds the secret. One of the two, or caFile, is needed if a node listens beyond loopback.",
        },
        caFile: {
          type: "string",
          description:
            "PEM file of the authority that signed the nodes' certificates (`security.tls`). With it, nodes show these to each other (mutual TLS).",
        },
        silentAfter: {
          ...duration,
          default: "2s",
          description: `A node that is silent for this time counts as dead. ${duration.description}`,
        },
      },
    ),
    limits: object("Limits of the node.", {
      connectionsMax: {
        type: "integer",
        minimum: 1,
        default: 10_000,
        description: "Most open WebSocket connections. The process needs one file for each.",
      },
      connectionsPerAddressMax: {
        type: "integer",
        minimum: 1,
        default: 1_000,
        description: "Most open WebSocket connections of one address, and most HTTP requests of one address under way.",
      },
      appendMemory: {
        ...size,
        default: "256MiB",
        description: `Memory set aside for appends under way. ${size.description}`,
      },
    }),
  },
  [],
);

export interface EventTimeConfiguration {
  /** JSON Pointer to the time. */
  readonly pointer: string;
  /** The unit of a time that is a number. */
  readonly unit: "s" | "ms" | "us" | "ns";
}

export interface StreamConfiguration {
  readonly schema?: Readonly<Record<string, unknown>>;
  readonly schemaFile?: string;
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

export interface Configuration {
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
  readonly sources: Readonly<
    Record<string, { readonly type: string; readonly stream: string; readonly options: Options }>
  >;
  readonly pipelines: Readonly<
    Record<string, { readonly from: string; readonly steps: readonly Options[]; readonly to: readonly string[] }>
  >;
  readonly sinks: Readonly<
    Record<string, { readonly type: string; readonly start: "earliest" | "latest"; readonly options: Options }>
  >;
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
