/** What the routes of replay_routes.ts take and answer. */
import type { FastifySchema } from "fastify";
import * as schema from "../../actors/ingest/http/route_schemas.ts";
import type { ReplayDescription } from "./replay_record.ts";

const wholeNumber = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const place = (...words: readonly string[]): schema.Schema => ({
  oneOf: [
    { enum: words },
    { type: "object", additionalProperties: false, required: ["offset"], properties: { offset: wholeNumber } },
    { type: "object", additionalProperties: false, required: ["timeMs"], properties: { timeMs: wholeNumber } },
  ],
  default: words.at(-1),
});
const CHANNEL = schema.text(
  "records, rejected, or dead_letters/ with a sink, or with sink@as for a delivery of that name.",
);

const REQUEST: schema.Schema = {
  type: "object",
  additionalProperties: false,
  required: ["name", "stream"],
  properties: {
    name: schema.text("Begun again under its name, a replay goes on and repeats nothing."),
    stream: { type: "string" },
    channel: { ...CHANNEL, pattern: "^(records|rejected|dead_letters/.+)$", default: "records" },
    from: { ...place("earliest"), description: "earliest (default), {offset} or {timeMs}, a time of append." },
    to: {
      ...place("earliest", "latest"),
      description: "Not included: latest (default: the end seen now), {offset} or {timeMs}.",
    },
    partitions: { type: "array", items: wholeNumber, minItems: 1, uniqueItems: true, description: "Default: all." },
    sink: schema.text("Straight into this sink, or sink@as: as its delivery of that name."),
    pipeline: schema.text("Through the steps of this pipeline, into its sinks."),
    isDryRun: { type: "boolean", default: false, description: "Judge and count only." },
  },
};

const REPLAY = schema.named(
  "Replay",
  schema.objectOf<ReplayDescription>(
    {
      name: schema.text("Its name."),
      stream: schema.text("What it reads."),
      channel: CHANNEL,
      from: { ...place("earliest"), description: "Where it began." },
      sinks: schema.listOf(schema.text("Sink, or sink@as."), "Where it leads to."),
      state: schema.wordOf(["running", "done", "cancelled"]),
      createdAtMs: schema.count("When it was first begun, in milliseconds since 1970."),
      records: schema.count("Records of its range, once for each sink."),
      doneRecords: schema.count("Of these, delivered, filtered or set aside."),
      deliveredRecords: schema.count("Records written, since the node started."),
      deadLetters: schema.count("Records set aside, since the node started."),
      skippedLetters: schema.count("Letters that cannot be sent again, since the node started."),
      waiting: schema.listOf(
        schema.objectOf<ReplayDescription["waiting"][number]>({
          partition: schema.count("Partition."),
          sink: schema.text("Sink, or sink@as."),
          reason: schema.text("What it waits for."),
        }),
      ),
    },
    {
      sink: schema.text("The sink that it was begun for."),
      pipeline: schema.text("The pipeline that it was begun for."),
    },
  ),
);

const NO_REPLAY = schema.failure("No such replay (NOT_FOUND).");
const params = schema.parameters({ name: schema.text("The replay's name.") });
const NEEDS = "Needs the scope admin.";

export const REPLAYS_ROUTE: FastifySchema = {
  summary: `Replays into sinks and pipelines. ${NEEDS}`,
  response: { 200: schema.json("Replays.", schema.objectOf<{ replays: object }>({ replays: schema.listOf(REPLAY) })) },
};

export const BEGIN_ROUTE: FastifySchema = {
  summary: `Begin a replay, or go on with the one of that name. ${NEEDS}`,
  body: REQUEST,
  response: {
    200: schema.json("The replay.", REPLAY),
    400: schema.failure("It cannot be replayed; why is named."),
    404: schema.failure("No such stream or partition."),
    503: schema.again("The log is not ready, or too many replays run."),
  },
};

export const REPLAY_ROUTE: FastifySchema = {
  summary: `How far a replay is. ${NEEDS}`,
  params,
  response: { 200: schema.json("The replay.", REPLAY), 404: NO_REPLAY },
};

export const CANCEL_ROUTE: FastifySchema = {
  summary: `End a replay where it is. ${NEEDS}`,
  params,
  response: { 200: schema.json("The replay.", REPLAY), 404: NO_REPLAY, 503: schema.again("The log is not ready.") },
};
