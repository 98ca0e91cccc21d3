/** What the route of http_routes.ts takes and answers. Its bodies are read by http_body.ts. */
import type { FastifySchema } from "fastify";
import type { IngestAnswer, PartitionStanding } from "./http_answer.ts";
import {
  again,
  count,
  ERROR,
  ERROR_FIELDS,
  type ErrorAnswer,
  failure,
  json,
  listOf,
  named,
  objectOf,
  parameters,
  STREAM_PATH,
  text,
  wordOf,
} from "./route_schemas.ts";

type Appended = Pick<IngestAnswer, "accepted" | "rejected" | "partitions">;

const APPENDED_FIELDS = {
  accepted: count("Events stored."),
  rejected: listOf(
    objectOf<IngestAnswer["rejected"][number]>({
      index: count("Which event of the request."),
      code: text("Why, as a word."),
      path: text("JSON Pointer to the value at fault; empty for the event as a whole."),
      reason: text("Why, as a sentence."),
    }),
  ),
  partitions: listOf(
    objectOf<PartitionStanding>({
      partition: count("Partition."),
      state: wordOf(
        ["stored", "unknown", "refused"],
        "unknown: the log did not answer in time. refused: the partition took no event.",
      ),
      events: count("Events of the request that went there and were not rejected."),
    }),
  ),
};
const APPENDED = named("Appended", objectOf<Appended>(APPENDED_FIELDS));
const PARTLY_APPENDED = named(
  "PartlyAppended",
  objectOf<ErrorAnswer & Partial<Appended & Pick<IngestAnswer, "unknown" | "refused">>>(ERROR_FIELDS, {
    ...APPENDED_FIELDS,
    unknown: listOf(count("Index."), "Events that had no answer in time: they may be stored."),
    refused: listOf(count("Index."), "Events that were not taken."),
  }),
);

export const INGEST_ROUTE: FastifySchema = {
  summary: "Append one event or many; answered once they are durable.",
  description:
    "A map is one event, a list many; lines of JSON are an event each. Up to 16 MiB inflated and 10,000 events. Events of several partitions are not atomic. Without an Idempotency-Key a repeated request may store its events twice. Text is UTF-8. Forms and plain text are taken where the stream's bodyFormats name them.",
  params: parameters(STREAM_PATH),
  headers: parameters({
    "Idempotency-Key": text("1 to 255 characters: the same request is stored once within an hour of its first try."),
    "Content-Encoding": text("gzip or identity."),
    traceparent: text("W3C trace context, stored with the batch."),
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
    200: json("Every event is stored, or set aside as named.", APPENDED, {
      "Idempotency-Replayed": { const: "true", description: "All of it had been stored before." },
    }),
    400: failure("The body cannot be read as a whole."),
    404: failure("No such stream, or none that the token shows."),
    413: failure("The body, inflated, or its number of events is over the limit."),
    415: failure("Unknown type or encoding."),
    422: json("Every event was set aside; or the key was used with another payload (IDEMPOTENCY_KEY_REUSED).", {
      oneOf: [APPENDED, ERROR],
    }),
    429: again(
      "Too much is waiting, or a partition takes nothing for now, as a sink lags and its store is full: the body says which events were refused, where not all were.",
      PARTLY_APPENDED,
    ),
    503: again("The log is not ready, or did not answer for all events in time: the body says which.", PARTLY_APPENDED),
  },
};
