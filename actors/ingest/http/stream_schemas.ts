/** What the routes of stream_routes.ts take and answer. */
import type { FastifySchema } from "fastify";
import type { Position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { StreamDescription } from "../../../protocols/wire/frames.ts";
import {
  again,
  count,
  failure,
  json,
  listOf,
  named,
  objectOf,
  PARTITION_PATH,
  parameters,
  STREAM_PATH,
  text,
  wordOf,
} from "./route_schemas.ts";

export interface PartitionAnswer {
  readonly partition: number;
  readonly state: "owned" | "claiming";
  readonly epoch?: number;
  readonly firstOffset?: number;
  readonly endOffset?: number;
  readonly sizeBytes?: number;
  readonly rejected?: number;
}

export interface StreamAnswer extends Omit<StreamDescription, "partitions"> {
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

const STREAM = named(
  "Stream",
  objectOf<StreamAnswer>(
    {
      name: text("Its name."),
      schemaVersions: listOf(count("Version."), "Versions of its JSON Schema that may be used."),
      partitions: listOf(
        objectOf<PartitionAnswer>(
          {
            partition: count("Partition."),
            state: wordOf(
              ["owned", "claiming"],
              "claiming: its owner cannot be reached now, and its numbers are left out.",
            ),
          },
          {
            epoch: count("The owner's epoch."),
            firstOffset: count("The oldest offset kept."),
            endOffset: count("The offset of the next record."),
            sizeBytes: count("Bytes stored."),
            rejected: count("Rejected events kept."),
          },
        ),
      ),
    },
    {
      key: text("JSON Pointer to the field whose value chooses an event's partition."),
      owners: {
        type: "object",
        additionalProperties: text("Address."),
        description: "Addresses of owners, by partition.",
      },
    },
  ),
);

const RECORD = named(
  "Record",
  objectOf<RecordAnswer>(
    {
      position: objectOf<Position>({
        epoch: count("The epoch of the owner that wrote it."),
        offset: count("Its offset."),
      }),
      event: { description: "The event, in the typed JSON of docs/protocol.md." },
      appendedAtMs: count("When, in milliseconds since 1970."),
      schemaVersion: count("The version of the schema that it was checked by; 0 for none."),
      producerId: text("Its producer."),
      sequence: listOf(count("Number."), "The producer's own count: term, position and index."),
    },
    { traceparent: text("W3C trace context.") },
  ),
);

const UNSEEN = failure("No such stream, or none that the token shows.");

export const STREAMS_ROUTE: FastifySchema = {
  summary: "Streams that the token shows.",
  response: { 200: json("Streams.", objectOf<{ streams: object }>({ streams: listOf(STREAM) })) },
};

export const STREAM_ROUTE: FastifySchema = {
  summary: "One stream and its partitions.",
  params: parameters(STREAM_PATH),
  response: { 200: json("The stream.", STREAM), 404: UNSEEN },
};

export const RECORDS_MAX = 1_000;

export const RECORDS_ROUTE: FastifySchema = {
  summary: "Records of a partition.",
  params: parameters(PARTITION_PATH),
  querystring: parameters({
    from: { ...text("Offset, earliest or latest."), default: "0" },
    fromTimeMs: count("Time of append, in milliseconds since 1970, instead of from."),
    limit: { type: "integer", minimum: 1, maximum: RECORDS_MAX, default: 100, description: "Most records answered." },
    channel: { ...text("records, rejected or dead_letters/<sink>."), default: "records" },
  }),
  response: {
    200: json(
      "Records: as many as fit into 1 MiB, and the first however large.",
      objectOf<{ firstOffset: number; endOffset: number; records: object }>({
        firstOffset: count("The oldest offset kept."),
        endOffset: count("The offset of the next record."),
        records: listOf(RECORD),
      }),
    ),
    404: failure("No such stream or partition, or none that the token shows."),
    429: again("Too many answers wait to be read by their clients."),
    503: again("Nobody owns the partition now."),
  },
};
