/** Reads over HTTP: the streams of this node, their partitions and their records. */
import type { FastifyInstance } from "fastify";
import { RejectedError, UnavailableError } from "../../../protocols/errors.ts";
import { cursorBefore, partitionName } from "../../../protocols/position.ts";
import { sequenceAt } from "../../../protocols/sequence.ts";
import { traceparentAt } from "../../../protocols/traceparent.ts";
import { exactJson } from "../../../protocols/values/exact_json.ts";
import { toJsonValue } from "../../../protocols/values/json_values.ts";
import type { Channel } from "../../log/log.ts";
import { recordsOf, type StoredRecord } from "../../log/stored_records.ts";
import type { PartitionView } from "../../partition/partition_feed.ts";
import { cutBatches } from "../session/cut_batches.ts";
import type { Permissions, StreamDirectory } from "../session.ts";
import { checkScope } from "../shown_streams.ts";
import { ANSWER_LIMITS, answerMemory, beginAnswer } from "./http_answers.ts";
import { holderOf } from "./http_body.ts";
import { wholeNumber } from "./parameters.ts";
import {
  type PartitionAnswer,
  RECORDS_ROUTE,
  type RecordAnswer,
  STREAM_ROUTE,
  STREAMS_ROUTE,
  type StreamAnswer,
} from "./stream_schemas.ts";

export interface StreamRoutesOptions {
  readonly directory: StreamDirectory;
  readonly permissionsOf: (request: object) => Permissions;
}

interface RecordsRoute {
  Params: { readonly stream: string; readonly partition: number };
  Querystring: {
    readonly from: string;
    readonly fromTimeMs?: number;
    readonly limit: number;
    readonly channel: string;
  };
}

export function mountStreamRoutes(server: FastifyInstance, options: StreamRoutesOptions): void {
  const { directory } = options;
  const memory = answerMemory();
  server.get("/v1/streams", { schema: STREAMS_ROUTE }, async (request) => {
    const permissions = options.permissionsOf(request);
    const names = Object.keys(directory.describe()).filter((name) => permissions.mayObserve(name));
    return { streams: await Promise.all(names.map((name) => describeStream(directory, name))) };
  });
  server.get<{ Params: { stream: string } }>("/v1/streams/:stream", { schema: STREAM_ROUTE }, async (request) => {
    const { stream } = request.params;
    checkScope(directory.describe(), options.permissionsOf(request), stream, "observe", "look at");
    return describeStream(directory, stream);
  });
  server.get<RecordsRoute>(
    "/v1/streams/:stream/partitions/:partition/records",
    {
      schema: RECORDS_ROUTE,
      // Before the parameters are judged: the audit hears of each refused scope.
      preValidation: async (request) =>
        checkScope(directory.describe(), options.permissionsOf(request), request.params.stream, "consume", "read"),
    },
    async (request, reply) => {
      const { stream, partition } = request.params;
      const permissions = options.permissionsOf(request);
      const view = await viewOf(directory, stream, partition);
      const { from, fromTimeMs, limit, channel: name } = request.query;
      const channel = asChannel(name);
      const begin = fromTimeMs === undefined ? from : await offsetAtTime(view, channel, fromTimeMs);
      const room = beginAnswer(memory, holderOf(request.raw, permissions.owner), reply.raw);
      try {
        const page = await readRecords(view, channel, begin, limit);
        reply.type("application/json; charset=utf-8").header("Content-Length", page.byteLength);
        return reply.send(room.made(page));
      } catch (error) {
        room.release();
        throw error;
      }
    },
  );
}

async function describeStream(directory: StreamDirectory, name: string): Promise<StreamAnswer> {
  const description = directory.describe()[name] ?? { partitions: 0, schemaVersions: [] };
  const numbers = Array.from({ length: description.partitions }, (_, partition) => partition);
  const partitions = await Promise.all(numbers.map((partition) => describePartition(directory, name, partition)));
  return { name, ...description, partitions };
}

async function describePartition(
  directory: StreamDirectory,
  stream: string,
  partition: number,
): Promise<PartitionAnswer> {
  const entry = directory.partition(stream, partition);
  const isKnown = await entry?.view?.ready().then(
    () => true,
    () => false, // its owner cannot be reached now
  );
  if (entry?.view === undefined || isKnown !== true) return { partition, state: "claiming" };
  const { firstOffset, endOffset, sizeBytes, epochs } = entry.view.bounds("records");
  const rejected = entry.view.bounds("rejected");
  const epoch = entry.feed?.epoch ?? epochs.at(-1)?.epoch;
  return {
    partition,
    state: "owned",
    ...(epoch === undefined ? {} : { epoch }),
    firstOffset,
    endOffset,
    sizeBytes,
    rejected: rejected.endOffset - rejected.firstOffset,
  };
}

/** The offset of the first record appended at or after a time, as the text of a query. */
async function offsetAtTime(view: PartitionView, channel: Channel, timeMs: number): Promise<string> {
  const before = await view.seek(channel, timeMs);
  return before === undefined ? "earliest" : String(before.offset + 1);
}

/** A page as JSON. Its records are written one by one, as the size of their text is known only then. */
async function readRecords(view: PartitionView, channel: Channel, from: string, recordsMax: number): Promise<Buffer> {
  const bounds = view.bounds(channel);
  const wanted = from === "latest" ? bounds.endOffset : from === "earliest" ? 0 : wholeNumber("from", from, 0);
  const fromOffset = Math.max(wanted, bounds.firstOffset);
  const after = cursorBefore(bounds.epochs, Math.min(fromOffset, bounds.endOffset));
  const result = await view.read(channel, after, ANSWER_LIMITS.answerBytesMax, true);
  if (result.kind !== "records") {
    throw new UnavailableError("NOT_READY", `Cannot read at ${fromOffset} as retention has just moved: ${result.kind}`);
  }
  const records: string[] = [];
  let sizeBytes = 0;
  // Cut before decoding: of a large batch only the records that are answered are decoded.
  const { batches } = cutBatches(result.batches, fromOffset, ANSWER_LIMITS.answerBytesMax, recordsMax);
  for (const record of recordsOf(batches, fromOffset, (batch) => view.peek(batch).all)) {
    // As text: the server's own writer would change numbers beyond 2^53.
    const text = exactJson(describeRecord(record));
    sizeBytes += Buffer.byteLength(text);
    if (records.length > 0 && sizeBytes > ANSWER_LIMITS.answerBytesMax) break;
    records.push(text);
  }
  const { firstOffset, endOffset } = bounds;
  return Buffer.from(`{"firstOffset":${firstOffset},"endOffset":${endOffset},"records":[${records.join(",")}]}`);
}

function describeRecord({ position, event, batch, index }: StoredRecord): RecordAnswer {
  const traceparent = traceparentAt(batch, index);
  return {
    position,
    event: toJsonValue(event),
    appendedAtMs: batch.appendedAtMs,
    schemaVersion: batch.schemaVersion,
    producerId: batch.producerId,
    sequence: sequenceAt(batch.sequences, index),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

async function viewOf(directory: StreamDirectory, stream: string, partition: number): Promise<PartitionView> {
  const entry = directory.partition(stream, partition);
  if (entry === undefined) {
    throw new RejectedError(
      "UNKNOWN_PARTITION",
      `Cannot read ${stream} as the partition must be below ${directory.describe()[stream]?.partitions}: current value is ${partition}`,
    );
  }
  if (entry.view !== undefined) {
    await entry.view.ready();
    return entry.view;
  }
  throw new UnavailableError(
    "NOT_READY",
    `Cannot read ${partitionName({ stream, partition })} as its owner must hold it: it is being claimed`,
  );
}

function asChannel(text: string): Channel {
  if (text === "records" || text === "rejected" || DEAD_LETTERS.test(text)) return text as Channel;
  throw new RejectedError(
    "MALFORMED_FRAME",
    `Cannot read as channel must be records, rejected, dead_letters/<sink> or dead_letters/<sink>@<as>: current value is ${text.slice(0, 128)}`,
  );
}

/** `dead_letters/` and the name of a sink, or of a delivery there, as configurations allow them. */
const DEAD_LETTERS = /^dead_letters\/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}(@[A-Za-z0-9][A-Za-z0-9_.-]{0,99})?$/;
