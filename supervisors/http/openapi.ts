/**
 * What the one port answers over HTTP, as OpenAPI 3.1. Written by hand; a test holds it against the routes that are
 * mounted. The WebSocket side is docs/protocol.md.
 */
import type { FastifyInstance } from "fastify";
import { REPLAY_SCHEMA } from "../replay/replay_routes.ts";

type Json = Readonly<Record<string, unknown>>;

const schemaOf = (properties: Json, required: readonly string[] = Object.keys(properties)): Json => ({
  type: "object",
  properties,
  required,
});
const text = (description: string): Json => ({ type: "string", description });
const count = (description: string): Json => ({ type: "integer", minimum: 0, description });
const listOf = (items: Json): Json => ({ type: "array", items });
const reference = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const json = (description: string, schema: Json = {}): Json => ({
  description,
  content: { "application/json": { schema } },
});
const failure = (description: string): Json => json(description, reference("Error"));
const again = (description: string): Json => ({
  ...failure(description),
  headers: { "Retry-After": { schema: { type: "integer" }, description: "Seconds to wait." } },
});

const TOKEN_ANSWERS = {
  401: failure("No valid token was shown."),
  403: failure("The token, the Host or the Origin does not allow this."),
} as const;

const get = (summary: string, answer: Json, { responses = {}, ...more }: Json = {}): Json => ({
  get: { summary, ...more, responses: { 200: answer, ...TOKEN_ANSWERS, ...(responses as Json) } },
});
const open = (summary: string, responses: Json): Json => ({ get: { summary, security: [], responses } });

const STREAM = { name: "stream", in: "path", required: true, schema: { type: "string" } } as const;
const PARTITION = { name: "partition", in: "path", required: true, schema: count("Partition, from 0.") } as const;
const query = (name: string, description: string, schema: Json): Json => ({ name, in: "query", description, schema });
const header = (name: string, description: string): Json => ({
  name,
  in: "header",
  description,
  schema: { type: "string" },
});

const REJECTED = listOf(
  schemaOf({
    index: count("Which event of the request."),
    code: text("Why, as a word."),
    path: text("JSON Pointer to the value at fault; empty for the event as a whole."),
    reason: text("Why, as a sentence."),
  }),
);
const PARTITIONS = listOf(
  schemaOf({
    partition: count("Partition."),
    state: { enum: ["stored", "unknown"], description: "unknown: the log did not answer in time." },
    events: count("Events of the request that went there and were not rejected."),
  }),
);

const INGEST: Json = {
  post: {
    summary: "Append one event or many; answered once they are durable.",
    description:
      "A map is one event, a list many; lines of JSON are an event each. Up to 16 MiB inflated and 10,000 events. Events of several partitions are not atomic. Without an Idempotency-Key a repeated request may store its events twice.",
    parameters: [
      STREAM,
      header(
        "Idempotency-Key",
        "1 to 255 characters: the same request is stored once within an hour of its first try.",
      ),
      header("Content-Encoding", "gzip or identity."),
      header("traceparent", "W3C trace context, stored with the batch."),
    ],
    requestBody: {
      required: true,
      content: {
        "application/json": { schema: {} },
        "application/*+json": { schema: {} },
        "application/x-ndjson": { schema: { type: "string" } },
        "application/msgpack": { schema: { type: "string", format: "binary" } },
        "application/x-www-form-urlencoded": { schema: { type: "object" } },
        "text/plain": { schema: { type: "string" } },
      },
      description: "Text is UTF-8. Forms and plain text are taken where the stream's bodyFormats name them.",
    },
    responses: {
      200: {
        ...json("Every event is stored, or set aside as named.", reference("Appended")),
        headers: {
          "Idempotency-Replayed": { schema: { const: "true" }, description: "All of it had been stored before." },
        },
      },
      400: failure("The body cannot be read as a whole."),
      ...TOKEN_ANSWERS,
      404: failure("No such stream, or none that the token shows."),
      413: failure("The body, inflated, or its number of events is over the limit."),
      415: failure("Unknown type or encoding."),
      422: json("Every event was set aside; or the key was used with another payload (IDEMPOTENCY_KEY_REUSED).", {
        oneOf: [reference("Appended"), reference("Error")],
      }),
      429: again(
        "Too much is waiting, or a partition takes nothing for now, as a sink lags and its store is full: the body says which events were refused, where not all were.",
      ),
      503: again("The log is not ready, or did not answer for all events in time: the body says which."),
    },
  },
};

const REPLAY_NAME = { name: "name", in: "path", required: true, schema: { type: "string" } } as const;
const REPLAY_ANSWERS: Json = {
  200: json("The replay.", reference("Replay")),
  400: failure("It cannot be replayed; why is named."),
  ...TOKEN_ANSWERS,
  404: failure("No such stream or partition; for one replay, no such replay (NOT_FOUND)."),
  503: again("The log is not ready, or too many replays run."),
};
const REPLAYS: Json = {
  get: {
    summary: "Replays into sinks and pipelines. Needs the scope admin.",
    responses: { 200: json("Replays.", schemaOf({ replays: listOf(reference("Replay")) })), ...TOKEN_ANSWERS },
  },
  post: {
    summary: "Begin a replay, or go on with the one of that name. Needs the scope admin.",
    requestBody: { required: true, content: { "application/json": { schema: REPLAY_SCHEMA } } },
    responses: REPLAY_ANSWERS,
  },
};
const REPLAY: Json = {
  get: { summary: "How far a replay is. Needs the scope admin.", parameters: [REPLAY_NAME], responses: REPLAY_ANSWERS },
  delete: {
    summary: "End a replay where it is. Needs the scope admin.",
    parameters: [REPLAY_NAME],
    responses: REPLAY_ANSWERS,
  },
};

const NODE = { name: "node", in: "path", required: true, schema: { type: "string" } } as const;
const LIMIT = { type: "integer", minimum: 1 } as const;
const UNKNOWN: Json = { 404: failure("No such stream or partition, or none that the token shows.") };
const command = (summary: string, parameters: readonly Json[]): Json => ({
  post: {
    summary: `${summary} Needs the scope admin.`,
    parameters,
    responses: {
      202: json("The coordinator has it: /v1/cluster shows what comes of it."),
      400: failure("It cannot be done; why is named."),
      ...TOKEN_ANSWERS,
      404: failure("No such node, or the node is alone."),
      503: again("No coordinator is there to take it."),
    },
  },
});

const PARTITION_OVERVIEW = {
  stream: text("Stream."),
  partition: count("Partition."),
  owner: text("Name of the node that owns it; left out where none does."),
  state: { enum: ["owned", "claiming", "handing_over", "unassigned"] },
  epoch: count("The owner's epoch, once it is known."),
} as const;
const PARTITION_REQUIRED = ["stream", "partition", "state"] as const;
const CLUSTER: Json = schemaOf(
  {
    ageMs: count("How old what is told may be."),
    node: text("The node that answers."),
    coordinator: schemaOf({ node: text("Its node."), leaderEpoch: count("Its term.") }),
    tableVersion: count("Counts the changes of who holds what."),
    nodes: listOf(
      schemaOf(
        {
          name: text("Its name."),
          incarnation: count("Which of its lives: a node that starts again has a higher one."),
          state: { enum: ["ready", "draining", "probation", "silent", "away", "expired"] },
          isCoordinator: { type: "boolean" },
          zone: text("Nodes of one zone fail together."),
          address: text("Where producers and consumers reach it."),
          version: text("Release of the program."),
          partitions: count("Partitions that it owns."),
          recordsPerSecond: { type: "number", description: "Left out before the first report." },
          bytesPerSecond: { type: "number", description: "Left out before the first report." },
        },
        ["name", "incarnation", "state", "isCoordinator", "zone", "address", "version", "partitions"],
      ),
    ),
    partitions: listOf(schemaOf(PARTITION_OVERVIEW, PARTITION_REQUIRED)),
    moves: listOf(
      schemaOf(
        {
          stream: text("Stream."),
          partition: count("Partition."),
          from: text("The node that has it; left out where none does."),
          to: text("The node that gets it."),
          reason: text("Why, in a sentence."),
        },
        ["stream", "partition", "to", "reason"],
      ),
    ),
  },
  ["ageMs", "node", "tableVersion", "nodes", "partitions", "moves"],
);
const DECISION: Json = schemaOf({
  id: count("The version of the table that it made."),
  leaderEpoch: count("The term of the coordinator that made it."),
  atMs: count("When, in milliseconds since 1970."),
  triggers: listOf(
    schemaOf(
      {
        kind: { enum: ["started", "joined", "left", "crashed", "silent", "expired", "draining", "skewed", "asked"] },
        node: text("Which node, where it is one."),
        skew: { type: "number", description: "The largest load over its node's share, where it is that." },
      },
      ["kind"],
    ),
  ),
  text: text("What was decided, in a sentence."),
  moves: count("Partitions that it moves."),
  movesMin: count("The same number; earlier releases told the least possible one."),
});

export const OPENAPI = {
  openapi: "3.1.0",
  info: {
    title: "Headrace",
    version: "1",
    description: "Reads, and appends over HTTP. Producers and consumers that stay connected use /v1/connect.",
  },
  security: [{ bearer: [] }],
  paths: {
    "/healthz": open("Whether the process answers.", { 200: json("It does.") }),
    "/readyz": open("Whether the node takes appends.", { 200: json("It does."), 503: again("Not yet; why is named.") }),
    "/openapi.json": open("This document.", { 200: json("OpenAPI 3.1.") }),
    "/metrics": get("Metrics of the streams that the token shows; all others with the scope observe or admin.", {
      description: "Metrics in the Prometheus text format.",
      content: { "text/plain": { schema: { type: "string" } } },
    }),
    "/v1/sinks": get("Where each sink of the streams that the token shows stands in each partition.", json("Sinks.")),
    "/v1/actors": get(
      "Actors and their dead letters, for those who look into the node. Needs the scope observe or admin.",
      json("Actors."),
    ),
    "/v1/cluster": get(
      "Nodes, partitions and their owners, and moves under way, of the streams that the token shows.",
      json("The cluster, as the node knows it.", reference("Cluster")),
    ),
    "/v1/cluster/owners/{stream}/{partition}": get(
      "Who owns a partition, and where to reach the owner: cheap, to be asked often.",
      json("The partition; without owner and address where nobody owns it now.", reference("PartitionOwner")),
      { parameters: [STREAM, PARTITION], responses: UNKNOWN },
    ),
    "/v1/cluster/partitions/{stream}/{partition}": get(
      "Why a partition is where it is.",
      json("The partition, the reason, and the decision behind it where it is still kept.", reference("Explanation")),
      { parameters: [STREAM, PARTITION], responses: UNKNOWN },
    ),
    "/v1/cluster/decisions": get(
      "What the coordinator decided, newest first, and what set it to work. Empty without the scope observe or admin.",
      json("Decisions.", schemaOf({ decisions: listOf(reference("Decision")) })),
      { parameters: [query("limit", "Most decisions answered.", { ...LIMIT, maximum: 1_000, default: 20 })] },
    ),
    "/v1/cluster/nodes/{node}/drain": command("Move everything away from a node, and give it nothing more.", [NODE]),
    "/v1/cluster/nodes/{node}/undrain": command("Give a node partitions again.", [NODE]),
    "/v1/cluster/rebalance": command("Look at the load again now, and even it out.", []),
    "/v1/replays": REPLAYS,
    "/v1/replays/{name}": REPLAY,
    "/v1/streams": get("Streams that the token shows.", json("Streams.")),
    "/v1/streams/{stream}": get("One stream and its partitions.", json("The stream."), { parameters: [STREAM] }),
    "/v1/streams/{stream}/events": INGEST,
    "/v1/streams/{stream}/partitions/{partition}/records": get("Records of a partition.", json("Records."), {
      parameters: [
        STREAM,
        PARTITION,
        query("from", "Offset, earliest or latest.", { type: "string", default: "0" }),
        query("fromTimeMs", "Time of append, in milliseconds since 1970, instead of from.", {
          type: "integer",
          minimum: 0,
        }),
        query("limit", "Most records answered.", { type: "integer", minimum: 1, maximum: 1_000, default: 100 }),
        query("channel", "records, rejected or dead_letters/<sink>.", { type: "string", default: "records" }),
      ],
    }),
  },
  components: {
    securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    schemas: {
      Error: schemaOf({ code: text("What happened, as a word."), message: text("Action, reason and current value.") }),
      Replay: schemaOf({
        name: text("Its name."),
        stream: text("What it reads."),
        channel: text("records, rejected or dead_letters/<sink>."),
        state: { enum: ["running", "done", "cancelled"] },
        records: count("Records of its range, once for each sink."),
        doneRecords: count("Of these, delivered, filtered or set aside."),
        deliveredRecords: count("Records written, since the node started."),
        deadLetters: count("Records set aside, since the node started."),
        skippedLetters: count("Letters that cannot be sent again, since the node started."),
        waiting: listOf(
          schemaOf({ partition: count("Partition."), sink: text("Sink."), reason: text("What it waits for.") }),
        ),
      }),
      Cluster: CLUSTER,
      PartitionOwner: schemaOf(
        { ...PARTITION_OVERVIEW, address: text("Where producers and consumers reach the owner.") },
        PARTITION_REQUIRED,
      ),
      Explanation: schemaOf(
        {
          partition: schemaOf(PARTITION_OVERVIEW, PARTITION_REQUIRED),
          reason: text("Why, in a sentence."),
          decision: reference("Decision"),
        },
        ["partition", "reason"],
      ),
      Decision: DECISION,
      Appended: schemaOf({ accepted: count("Events stored."), rejected: REJECTED, partitions: PARTITIONS }),
    },
  },
} as const;

export function mountOpenApi(server: FastifyInstance): void {
  server.get("/openapi.json", async () => OPENAPI);
}
