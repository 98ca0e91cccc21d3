/** The schemas of the sections about the node itself: `node`, `log`, `cluster` and `limits`. */
import { duration, name, object, size } from "./schema_words.ts";

export const NODE_SCHEMA = object("This node.", {
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
});

export const LOG_SCHEMA = object("Where records are made durable.", {
  type: {
    enum: ["lmdb", "redis", "memory"],
    default: "lmdb",
    description: "The embedded log, Redis Streams, or memory (nothing survives).",
  },
  url: {
    type: "string",
    pattern: "^rediss?://",
    description: "Address of Redis, or of any node of a Redis Cluster. Type redis needs this, `urls` or `sentinel`.",
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
});

export const CLUSTER_SCHEMA = object(
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
);

export const LIMITS_SCHEMA = object("Limits of the node.", {
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
});
