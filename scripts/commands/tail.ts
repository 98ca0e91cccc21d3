/** `headrace tail`: prints records as they come, each as one line of JSON, which `produce` reads as the same event. */
import type { Command } from "commander";
import type { ConsumedItem, ConsumedRecord, Event } from "../../protocols/mod.ts";
import { partitionName } from "../../protocols/position.ts";
import { decodeSlice } from "../../protocols/values/event_codec.ts";
import { exactJson } from "../../protocols/values/exact_json.ts";
import { toJsonValue } from "../../protocols/values/json_values.ts";
import { oneOf, place, wholeNumber } from "../console/arguments.ts";
import { EXIT, UsageError } from "../console/exit_codes.ts";
import {
  addNodeOptions,
  type NodeClient,
  type NodeOptions,
  nodeClient,
  type StreamStanding,
} from "../console/node_client.ts";
import { endWithReader, interruption, print, remark } from "../console/output.ts";

interface TailOptions extends NodeOptions {
  readonly from: string;
  readonly partition?: readonly string[];
  readonly limit?: string;
  readonly channel: string;
  readonly follow: boolean;
  readonly json?: boolean;
}

export function addTail(program: Command): void {
  addNodeOptions(
    program.command("tail").description("Print records as they come.").argument("<stream>", "stream to read"),
  )
    .option("--from <place>", "earliest, latest, an offset, a time, or how long ago", "latest")
    .option("--partition <n...>", "partitions to read (default: all)")
    .option("--limit <n>", "end after so many records")
    .option("--channel <name>", "records, or rejected: what validation set aside, with the reason", "records")
    .option("--no-follow", "end where the stream ends now")
    .option("--json", "print whole records: position, time, producer, schema version and trace, not the event alone")
    .addHelpText(
      "after",
      `
Records of one partition come in order. Ctrl-C ends it (exit code 130).

Examples:
  headrace tail orders
  headrace tail orders --from 10m --json
  headrace tail orders --from earliest --no-follow > orders.ndjson
  headrace tail orders --channel rejected --from 2026-11-23T10:00:00Z`,
    )
    .action(async (stream: string, options: TailOptions) => {
      endWithReader();
      process.exitCode = await tail(stream, options);
    });
}

async function tail(stream: string, options: TailOptions): Promise<number> {
  const channel = oneOf("--channel", options.channel, ["records", "rejected"]);
  const from = place("--from", options.from, Date.now());
  const limit = options.limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber("--limit", options.limit, 1);
  const client = await nodeClient(options);
  const standing = await client.stream(stream);
  const partitions = chosenPartitions(options.partition, standing);
  const ends = options.follow ? undefined : await endsOf(client, stream, partitions, channel);
  if (from === "latest" && ends !== undefined) return EXIT.ok;
  const interrupted = interruption();
  const consumer = client.consumer((error) => remark(`${error.message}: trying again`));
  let left = limit;
  try {
    if (ends?.size === 0) return EXIT.ok;
    for await (const item of consumer.subscribe({ stream, partitions, from, channel, signal: interrupted })) {
      if (item.kind !== "records") remarkBreak(item);
      else {
        for (const record of item.records) {
          if (!isBefore(record, ends?.get(item.partition))) continue;
          await print(exactJson(described(item, record, options.json === true, channel)));
          left -= 1;
          if (left <= 0) return EXIT.ok;
        }
      }
      if (ends !== undefined && isAtEnd(item, ends)) return EXIT.ok;
    }
  } finally {
    consumer.close();
  }
  return interrupted.aborted ? EXIT.interrupted : EXIT.ok;
}

function chosenPartitions(wanted: readonly string[] | undefined, { name, partitions }: StreamStanding): number[] {
  if (wanted === undefined) return partitions.map(({ partition }) => partition);
  return wanted.map((text) => {
    const partition = wholeNumber("--partition", text);
    if (partition < partitions.length) return partition;
    throw new UsageError(`Cannot read partition ${text} as ${name} has ${partitions.length}, numbered from 0`);
  });
}

/** The current end offset of each partition that holds records. */
async function endsOf(client: NodeClient, stream: string, partitions: readonly number[], channel: string) {
  const ends = new Map<number, number>();
  for (const partition of partitions) {
    const { firstOffset, endOffset } = await client.page(stream, partition, { channel, from: "latest", limit: 1 });
    if (endOffset > firstOffset) ends.set(partition, endOffset);
  }
  return ends;
}

const isBefore = (record: ConsumedRecord, end: number | undefined): boolean =>
  end === undefined || record.position.offset < end;

/** Removes a partition from the list once it was read to its end. True if it was the last one. */
function isAtEnd(item: ConsumedItem, ends: Map<number, number>): boolean {
  const end = ends.get(item.partition);
  if (end === undefined) return ends.size === 0;
  const next = nextOffset(item);
  if (next !== undefined && next >= end) ends.delete(item.partition);
  return ends.size === 0;
}

function nextOffset(item: ConsumedItem): number | undefined {
  switch (item.kind) {
    case "records": {
      const last = item.records.at(-1);
      return last === undefined ? undefined : last.position.offset + 1;
    }
    case "trimmed":
      return item.firstOffset;
    case "truncated":
      return item.divergence;
  }
}

function remarkBreak(item: Exclude<ConsumedItem, { kind: "records" }>): void {
  const where = partitionName(item);
  if (item.kind === "trimmed") remark(`${where}: retention removed records: going on at offset ${item.firstOffset}`);
  else remark(`${where}: the log lost its records from offset ${item.divergence} on: going on there`);
}

function described(item: ConsumedItem, record: ConsumedRecord, isWhole: boolean, channel: string): unknown {
  const event = toJsonValue(channel === "rejected" ? readable(record.event) : record.event);
  if (!isWhole) return event;
  const { position, appendedAtMs, schemaVersion, producerId, traceparent } = record;
  return {
    stream: item.stream,
    partition: item.partition,
    epoch: position.epoch,
    offset: position.offset,
    appendedAt: new Date(appendedAtMs).toISOString(),
    producerId,
    schemaVersion,
    ...(traceparent === undefined ? {} : { traceparent }),
    event,
  };
}

/** A dead letter with its original event, if that can be read. */
export function readable(letter: Event): Event {
  if (!(letter.original instanceof Uint8Array)) return letter;
  const { original, ...rest } = letter;
  try {
    return { ...rest, event: decodeSlice(original as Uint8Array) };
  } catch {
    return letter; // The bytes are malformed, and were set aside for that.
  }
}
