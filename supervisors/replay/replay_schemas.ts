/** What the routes of replay_routes.ts take and answer. */
import type { FastifySchema } from "fastify";
import {
  again,
  count,
  failure,
  json,
  listOf,
  named,
  objectOf,
  parameters,
  type Schema,
  text,
  wordOf,
} from "../../actors/ingest/http/route_schemas.ts";
import type { ReplayDescription } from "./replay_record.ts";

const wholeNumber = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const place = (...words: readonly string[]): Schema => ({
  oneOf: [
    { enum: words },
    { type: "object", additionalProperties: false, required: ["offset"], properties: { offset: wholeNumber } },
    { type: "object", additionalProperties: false, required: ["timeMs"], properties: { timeMs: wholeNumber } },
  ],
  default: words.at(-1),
});
const CHANNEL = text("records, rejected or dead_letters/<sink>.");

const REQUEST: Schema = {
  type: "object",
  additionalProperties: false,
  required: ["name", "stream"],
  properties: {
    name: text("Begun again under its name, a replay goes on and repeats nothing."),
    stream: { type: "string" },
    channel: { ...CHANNEL, pattern: "^(records|rejected|dead_letters/.+)$", default: "records" },
    from: { ...place("earliest"), description: "earliest (default), {offset} or {timeMs}, a time of append." },
    to: {
      ...place("earliest", "latest"),
      description: "Not included: latest (default: the end seen now), {offset} or {timeMs}.",
    },
    partitions: { type: "array", items: wholeNumber, minItems: 1, uniqueItems: true, description: "Default: all." },
    sink: text("Straight into this sink."),
    pipeline: text("Through the steps of this pipeline, into its sinks."),
    isDryRun: { type: "boolean", default: false, description: "Judge and count only." },
  },
};

const REPLAY = named(
  "Replay",
  objectOf<ReplayDescription>(
    {
      name: text("Its name."),
      stream: text("What it reads."),
      channel: CHANNEL,
      from: { ...place("earliest"), description: "Where it began." },
      sinks: listOf(text("Sink."), "Where it leads to."),
      state: wordOf(["running", "done", "cancelled"]),
      createdAtMs: count("When it was first begun, in milliseconds since 1970."),
      records: count("Records of its range, once for each sink."),
      doneRecords: count("Of these, delivered, filtered or set aside."),
      deliveredRecords: count("Records written, since the node started."),
      deadLetters: count("Records set aside, since the node started."),
      skippedLetters: count("Letters that cannot be sent again, since the node started."),
      waiting: listOf(
        objectOf<ReplayDescription["waiting"][number]>({
          partition: count("Partition."),
          sink: text("Sink."),
          reason: text("What it waits for."),
        }),
      ),
    },
    { sink: text("The sink that it was begun for."), pipeline: text("The pipeline that it was begun for.") },
  ),
);

const NO_REPLAY = failure("No such replay (NOT_FOUND).");
const params = parameters({ name: text("The replay's name.") });
const NEEDS = "Needs the scope admin.";

export const REPLAYS_ROUTE: FastifySchema = {
  summary: `Replays into sinks and pipelines. ${NEEDS}`,
  response: { 200: json("Replays.", objectOf<{ replays: object }>({ replays: listOf(REPLAY) })) },
};

export const BEGIN_ROUTE: FastifySchema = {
  summary: `Begin a replay, or go on with the one of that name. ${NEEDS}`,
  body: REQUEST,
  response: {
    200: json("The replay.", REPLAY),
    400: failure("It cannot be replayed; why is named."),
    404: failure("No such stream or partition."),
    503: again("The log is not ready, or too many replays run."),
  },
};

export const REPLAY_ROUTE: FastifySchema = {
  summary: `How far a replay is. ${NEEDS}`,
  params,
  response: { 200: json("The replay.", REPLAY), 404: NO_REPLAY },
};

export const CANCEL_ROUTE: FastifySchema = {
  summary: `End a replay where it is. ${NEEDS}`,
  params,
  response: { 200: json("The replay.", REPLAY), 404: NO_REPLAY, 503: again("The log is not ready.") },
};
