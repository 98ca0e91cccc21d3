/** What the routes of stream_routes.ts take and answer. */
import type { FastifySchema } from "fastify";
import type { Position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { StreamDescription } from "../../../protocols/wire/frames.ts";
import * as schema from "./route_schemas.ts";

export interface PartitionAnswer
  extends Readonly<Partial<Record<"epoch" | "firstOffset" | "endOffset" | "sizeBytes" | "rejected", number>>> {
  readonly partition: number;
  readonly state: "owned" | "claiming";
}

export interface StreamAnswer extends Omit<StreamDescription, "partitions" | "owners"> {
  readonly name: string;
  readonly partitions: readonly PartitionAnswer[];
}

export interface RecordAnswer {
  readonly position: Position;
  readonly event: unknown;
  readonly appendedAtMs: number;
  readonly schemaVersion: number;
  readonly producerId: string;
  readonly sequence: Sequence;
  readonly traceparent?: string;
}

const STREAM = schema.named(
  "Stream",
  schema.objectOf<StreamAnswer>(
    {
      name: schema.text(),
      schemaVersions: schema.listOf(schema.count(), "Versions of its JSON Schema that may be used."),
      partitions: schema.listOf(
        schema.objectOf<PartitionAnswer>(
          {
            partition: schema.count(),
            state: schema.wordOf(
              ["owned", "claiming"],
              "claiming: no owner can be reached, and its numbers are left out.",
            ),
          },
          {
            epoch: schema.count("The owner's epoch."),
            firstOffset: schema.count("The oldest offset kept."),
            endOffset: schema.count("The offset of the next record."),
            sizeBytes: schema.count("Bytes stored."),
            rejected: schema.count("Rejected events kept."),
          },
        ),
      ),
    },
    { key: schema.text("JSON Pointer to the field whose value chooses an event's partition.") },
  ),
);

const RECORD = schema.named(
  "Record",
  schema.objectOf<RecordAnswer>(
    {
      position: schema.objectOf<Position>({
        epoch: schema.count("Of the owner that wrote it."),
        offset: schema.count(),
      }),
      event: { description: "The event, in the typed JSON of docs/protocol.md." },
      appendedAtMs: schema.count("When, in milliseconds since 1970."),
      schemaVersion: schema.count("The version of the schema that it was checked by; 0 for none."),
      producerId: schema.text(),
      sequence: schema.listOf(schema.count(), "The producer's own count: term, position and index."),
    },
    { traceparent: schema.text("W3C trace context.") },
  ),
);

const UNSEEN = schema.failure("No such stream, or none that the token shows.");

export const STREAMS_ROUTE: FastifySchema = {
  summary: "Streams that the token shows.",
  response: { 200: schema.json("Streams.", schema.objectOf<{ streams: object }>({ streams: schema.listOf(STREAM) })) },
};

export const STREAM_ROUTE: FastifySchema = {
  summary: "One stream and its partitions.",
  params: schema.parameters(schema.STREAM_PATH),
  response: { 200: schema.json("The stream.", STREAM), 404: UNSEEN },
};

const RECORDS_MAX = 1_000;

export const RECORDS_ROUTE: FastifySchema = {
  summary: "Records of a partition.",
  params: schema.parameters(schema.PARTITION_PATH),
  querystring: schema.parameters({
    from: { ...schema.text("Offset, earliest or latest."), default: "0" },
    fromTimeMs: schema.count("Time of append, in milliseconds since 1970, instead of from."),
    limit: { type: "integer", minimum: 1, maximum: RECORDS_MAX, default: 100, description: "Most records answered." },
    channel: {
      ...schema.text("records, rejected, dead_letters/<sink> or dead_letters/<sink>@<as>."),
      default: "records",
    },
  }),
  response: {
    200: schema.json(
      "Records: as many as fit into 1 MiB, and the first however large.",
      schema.objectOf<{ firstOffset: number; endOffset: number; records: object }>({
        firstOffset: schema.count("The oldest offset kept."),
        endOffset: schema.count("The offset of the next record."),
        records: schema.listOf(RECORD),
      }),
    ),
    404: schema.failure("No such stream or partition, or none that the token shows."),
    429: schema.again("Too many answers wait to be read by their clients."),
    503: schema.again("Nobody owns the partition now."),
  },
};
