/**
 * The one place that names the product's packages, and why each is there. Neutral packages (they run in Node, Deno and
 * browsers) are re-exported; Node drivers come only through `loadDriver`, whose specifier is a variable so that no
 * bundler follows it into a browser.
 */

// msgpackr: MessagePack with records, the fastest codec measured in JavaScript.
export { addExtension, Packr, Unpackr } from "msgpackr";

/** The Node drivers, each with its reason. */
const DRIVERS = {
  /** nact: the actor library below the kernel; imported by actors/kernel alone. */
  nact: "nact",
  /** ws: WebSocket server, and the client's socket on Node 20, which has none of its own. */
  ws: "ws",
  /** redis: the client of Redis Streams (node-redis), the cluster's log. */
  redis: "redis",
  /** lmdb: the embedded log's store; memory-mapped, transactional, durable in groups. */
  lmdb: "lmdb",
  /** ajv, with formats: JSON Schema 2020-12 compiled to code; the fastest validator measured. */
  ajv: "ajv/dist/2020.js",
  "ajv-formats": "ajv-formats",
  /** re2js: RE2 in JavaScript, linear in its input: users' patterns cannot hang the node. */
  re2js: "re2js",
  /** cel-js: the Common Expression Language, no loops and no host access: users' filters and maps. */
  cel: "@marcbachmann/cel-js",
  /** yaml: configuration with line numbers for errors. */
  yaml: "yaml",
  /** fastify: the HTTP side of the one port. */
  fastify: "fastify",
  /** @fastify/swagger: the OpenAPI document, made from the schemas of the routes. */
  "fastify-swagger": "@fastify/swagger",
  /** jose: JSON Web Tokens and key sets. */
  jose: "jose",
  /** pino: structured logs. */
  pino: "pino",
  /** csv-parse, csv-stringify: RFC 4180 with its corner cases. */
  "csv-parse": "csv-parse",
  "csv-stringify": "csv-stringify/sync",
  /** fzstd: inflates Zstandard in plain JavaScript, which Node 20 cannot; no dependencies, no install script. */
  fzstd: "fzstd",
  /** commander: the command line. cli-progress: its progress bars. */
  commander: "commander",
  "cli-progress": "cli-progress",
  /** OpenTelemetry metrics with the Prometheus text format. */
  "otel-metrics": "@opentelemetry/sdk-metrics",
  "otel-prometheus": "@opentelemetry/exporter-prometheus",
  /** onnxruntime-node: runs ONNX models, in a process of actors/enrichment, as a run blocks its thread; optional, as it has no binary for each platform. */
  onnxruntime: "onnxruntime-node",
  /** esbuild: bundles the dashboard at first start. */
  esbuild: "esbuild",
} as const;

interface DriverTypes {
  nact: typeof import("nact");
  ws: typeof import("ws");
  redis: typeof import("redis");
  lmdb: typeof import("lmdb");
  ajv: typeof import("ajv/dist/2020.js");
  "ajv-formats": typeof import("ajv-formats");
  re2js: typeof import("re2js");
  cel: typeof import("@marcbachmann/cel-js");
  yaml: typeof import("yaml");
  fastify: typeof import("fastify");
  "fastify-swagger": typeof import("@fastify/swagger");
  jose: typeof import("jose");
  pino: typeof import("pino");
  "csv-parse": typeof import("csv-parse");
  "csv-stringify": typeof import("csv-stringify/sync");
  fzstd: typeof import("fzstd");
  commander: typeof import("commander");
  "cli-progress": typeof import("cli-progress");
  "otel-metrics": typeof import("@opentelemetry/sdk-metrics");
  "otel-prometheus": typeof import("@opentelemetry/exporter-prometheus");
  onnxruntime: typeof import("onnxruntime-node");
  esbuild: typeof import("esbuild");
}

export type DriverName = keyof DriverTypes;

/** Loads a Node driver by name. Rejects as `import` does where the package is not installed. */
export async function loadDriver<Name extends DriverName>(name: Name): Promise<DriverTypes[Name]> {
  const specifier: string = DRIVERS[name];
  return (await import(specifier)) as DriverTypes[Name];
}
