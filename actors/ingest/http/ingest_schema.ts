/** What the route of http_routes.ts takes and answers. Its bodies are read by http_body.ts. */
import type { FastifySchema } from "fastify";
import type { Verdict } from "../../../protocols/event.ts";
import type { IngestAnswer, PartitionStanding } from "./http_answer.ts";
import * as schema from "./route_schemas.ts";

type Appended = Pick<IngestAnswer, "accepted" | "rejected" | "partitions">;

const APPENDED_FIELDS = {
  accepted: schema.count("Events stored."),
  rejected: schema.listOf(
    schema.objectOf<Verdict>({
      index: schema.count("Which event of the request."),
      code: schema.text("Why, as a word."),
      path: schema.text("JSON Pointer to the value at fault; empty for the event as a whole."),
      reason: schema.text("Why, as a sentence."),
    }),
  ),
  partitions: schema.listOf(
    schema.objectOf<PartitionStanding>({
      partition: schema.count(),
      state: schema.wordOf(
        ["stored", "unknown", "refused"],
        "unknown: the log did not answer in time. refused: the partition took no event.",
      ),
      events: schema.count("Events of the request that went there and were not rejected."),
    }),
  ),
};
const APPENDED = schema.named("Appended", schema.objectOf<Appended>(APPENDED_FIELDS));
const PARTLY_APPENDED = schema.named(
  "PartlyAppended",
  schema.objectOf<schema.ErrorAnswer & Partial<Appended & Pick<IngestAnswer, "unknown" | "refused">>>(
    schema.ERROR_FIELDS,
    {
      ...APPENDED_FIELDS,
      unknown: schema.listOf(schema.count(), "Indexes of events that had no answer in time: they may be stored."),
      refused: schema.listOf(schema.count(), "Indexes of events that were not taken."),
    },
  ),
);

export const INGEST_ROUTE: FastifySchema = {
  summary: "Append one event or many; answered once they are durable.",
  description:
    "A map is one event, a list many; lines of JSON are an event each. Up to 16 MiB inflated and 10,000 events. Events of several partitions are not atomic. Without an Idempotency-Key a repeated request may store its events twice. Text is UTF-8. Forms and plain text are taken where the stream's bodyFormats name them.",
  params: schema.parameters(schema.STREAM_PATH),
  headers: schema.parameters({
    "Idempotency-Key": schema.text("1 to 255 characters: the same request is stored once within an hour of its first."),
    "Content-Encoding": schema.text("gzip or identity."),
    traceparent: schema.text("W3C trace context, stored with the batch."),
  }),
  body: {
    content: {
      "application/json": { schema: {} },
      "application/*+json": { schema: {} },
      "application/x-ndjson": { schema: { type: "string" } },
      "application/msgpack": { schema: { type: "string", format: "binary" } },
      "application/x-www-form-urlencoded": { schema: { type: "object" } },
      "text/plain": { schema: { type: "string" } },
    },
  },
  response: {
    200: schema.json("Every event is stored, or set aside as named.", APPENDED, {
      "Idempotency-Replayed": { const: "true", description: "All of it had been stored before." },
    }),
    400: schema.failure("The body cannot be read as a whole."),
    404: schema.failure("No such stream, or none that the token shows."),
    413: schema.failure("The body, inflated, or its number of events is over the limit."),
    415: schema.failure("Unknown type or encoding."),
    422: schema.json("Every event was set aside; or the key was used with another payload (IDEMPOTENCY_KEY_REUSED).", {
      oneOf: [APPENDED, schema.ERROR],
    }),
    429: schema.again(
      "Too much is waiting, or a partition takes nothing for now, as a sink lags and its store is full: the body says which events were refused, where not all were.",
      PARTLY_APPENDED,
    ),
    503: schema.again(
      "The log is not ready, or did not answer for all events in time: the body says which.",
      PARTLY_APPENDED,
    ),
  },
};
