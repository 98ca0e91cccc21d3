/** `headrace inspect`: shows one event: its place, its producer, the sinks that have it, and why it was set aside. */
import type { Command } from "commander";
import { type DeliveryTarget, deliveryText } from "../../actors/sinks/delivery/delivery_names.ts";
import type { Event } from "../../protocols/mod.ts";
import { partitionName } from "../../protocols/position.ts";
import { decodeSlice } from "../../protocols/values/event_codec.ts";
import { fromJsonValue, toJsonValue } from "../../protocols/values/json_values.ts";
import { wholeNumber } from "../console/arguments.ts";
import { EXIT, UsageError } from "../console/exit_codes.ts";
import {
  addNodeOptions,
  type NodeClient,
  type NodeOptions,
  nodeClient,
  type ReadRecord,
} from "../console/node_client.ts";
import { print, printJson, remark } from "../console/output.ts";

const PAGE_RECORDS = 1_000;

interface InspectOptions extends NodeOptions {
  readonly rejected?: boolean;
  readonly producer?: string;
  readonly sequence?: string;
  readonly json?: boolean;
}

export function addInspect(program: Command): void {
  addNodeOptions(
    program
      .command("inspect")
      .description("Tell where one event is and what became of it.")
      .argument("<stream>", "stream")
      .argument("<partition>", "partition")
      .argument("[offset]", "offset of the record"),
  )
    .option("--rejected", "the offset is one of the events that validation set aside")
    .option("--producer <id>", "find the event by its producer ...")
    .option("--sequence <sequence>", "... and by its sequence: n, or term.position.index")
    .option("--json", "print one line of JSON")
    .addHelpText(
      "after",
      `
By producer and sequence it looks through what was rejected first, then through the records. Exit code 1: not found.

Examples:
  headrace inspect orders 2 1718
  headrace inspect orders 2 0 --rejected
  headrace inspect orders 2 --producer sensor-1 --sequence 42 --json`,
    )
    .action(async (stream: string, partition: string, offset: string | undefined, options: InspectOptions) => {
      process.exitCode = await inspect(stream, wholeNumber("partition", partition), offset, options);
    });
}

interface Found {
  readonly channel: "records" | "rejected";
  readonly record: ReadRecord;
}

async function inspect(
  stream: string,
  partition: number,
  offset: string | undefined,
  options: InspectOptions,
): Promise<number> {
  const client = await nodeClient(options);
  const found =
    offset === undefined
      ? await findBySequence(client, stream, partition, options)
      : await findByOffset(client, stream, partition, wholeNumber("offset", offset), options.rejected === true);
  if (found === undefined) return EXIT.failed;
  const sinks = found.channel === "records" ? await sinksPast(client, stream, partition, found.record) : [];
  const described = describe(stream, partition, found);
  if (options.json === true) await printJson({ ...described, sinks });
  else await tell(described, sinks);
  return EXIT.ok;
}

async function findByOffset(
  client: NodeClient,
  stream: string,
  partition: number,
  offset: number,
  isRejected: boolean,
): Promise<Found | undefined> {
  const channel = isRejected ? "rejected" : "records";
  const page = await client.page(stream, partition, { channel, from: offset, limit: 1 });
  const [record] = page.records;
  if (record?.position.offset === offset) return { channel, record };
  const where = `${partitionName({ stream, partition })} (${channel})`;
  if (offset < page.firstOffset) remark(`${where}: retention removed it: the first offset left is ${page.firstOffset}`);
  else remark(`${where}: there is no offset ${offset} yet: the next one is ${page.endOffset}`);
  return undefined;
}

async function findBySequence(
  client: NodeClient,
  stream: string,
  partition: number,
  { producer, sequence: text }: InspectOptions,
): Promise<Found | undefined> {
  if (producer === undefined || text === undefined) {
    throw new UsageError("Cannot inspect as it needs an offset, or --producer and --sequence");
  }
  const sequence = parseSequence(text);
  const isIt = ({ producerId, sequence: of }: { readonly producerId?: unknown; readonly sequence?: unknown }) =>
    producerId === producer && String(of) === String(sequence);
  for (const channel of ["rejected", "records"] as const) {
    // A dead letter holds the event's producer and sequence as fields.
    const matches = (record: ReadRecord) => isIt(channel === "rejected" ? record.event : record);
    const record = await search(client, stream, partition, channel, matches);
    if (record !== undefined) return { channel, record };
  }
  remark(
    `${partitionName({ stream, partition })}: nothing of producer ${producer} with sequence ${sequence.join(".")} is there`,
  );
  return undefined;
}

function parseSequence(text: string): readonly [number, number, number] {
  const parts = text.split(".").map((part) => wholeNumber("--sequence", part));
  const [term = 0, position = 0, index = 0] = parts;
  if (parts.length === 1) return [0, term, 0];
  if (parts.length === 3) return [term, position, index];
  throw new UsageError(`Cannot use --sequence ${text} as it must be n or term.position.index`);
}

async function search(
  client: NodeClient,
  stream: string,
  partition: number,
  channel: string,
  matches: (record: ReadRecord) => boolean,
): Promise<ReadRecord | undefined> {
  for (let from = 0; ; ) {
    const { records, endOffset } = await client.page(stream, partition, { channel, from, limit: PAGE_RECORDS });
    const found = records.find(matches);
    const last = records.at(-1);
    if (found !== undefined) return found;
    if (last === undefined || last.position.offset + 1 >= endOffset) return undefined;
    from = last.position.offset + 1;
  }
}

interface SinkStanding extends DeliveryTarget {
  readonly stream: string;
  readonly partition: number;
  readonly state: string;
  readonly reason?: string;
  readonly nextOffset: number;
}

async function sinksPast(client: NodeClient, stream: string, partition: number, { position }: ReadRecord) {
  const { sinks } = await client.get<{ readonly sinks: readonly SinkStanding[] }>("/v1/sinks");
  return sinks
    .filter((standing) => standing.stream === stream && standing.partition === partition)
    .map(({ state, reason, nextOffset, ...standing }) => {
      const isPast = nextOffset > position.offset;
      const behindRecords = isPast ? 0 : position.offset - nextOffset + 1;
      return {
        sink: deliveryText(standing),
        isPast,
        behindRecords,
        state,
        ...(reason === undefined ? {} : { reason }),
      };
    });
}

function describe(stream: string, partition: number, { channel, record }: Found) {
  const { position, appendedAtMs, traceparent } = record;
  const where = { stream, partition, channel, ...position, appendedAt: new Date(appendedAtMs).toISOString() };
  if (channel === "rejected") return { ...where, ...describeLetter(record.event) };
  const { producerId, sequence, schemaVersion, event } = record;
  const trace = traceparent === undefined ? {} : { traceparent, traceId: traceparent.split("-")[1] ?? "" };
  return { ...where, producerId, sequence, schemaVersion, ...trace, event };
}

function describeLetter(event: Event) {
  const letter = fromJsonValue({ ...event }) as Event;
  const { code, path, reason, by, producerId, sequence, original } = letter;
  const told = { code, path, reason, by, producerId, sequence };
  if (!(original instanceof Uint8Array)) return told;
  try {
    return { ...told, event: toJsonValue(decodeSlice(original)) };
  } catch {
    return { ...told, original: toJsonValue(original) }; // The bytes are malformed, and were set aside for that.
  }
}

const LABELS: Readonly<Record<string, string>> = {
  appendedAt: "appended at",
  producerId: "producer",
  schemaVersion: "schema version",
  traceId: "trace",
};

async function tell(
  { stream, partition, channel, epoch, offset, ...rest }: ReturnType<typeof describe>,
  sinks: Awaited<ReturnType<typeof sinksPast>>,
): Promise<void> {
  const what = channel === "rejected" ? "rejected event" : "offset";
  await print(`${partitionName({ stream, partition })} ${what} ${offset} (epoch ${epoch})`);
  for (const [key, value] of Object.entries(rest)) {
    const text = Array.isArray(value) ? value.join(".") : typeof value === "object" ? JSON.stringify(value) : value;
    await print(`  ${(LABELS[key] ?? key).padEnd(15)} ${text}`);
  }
  if (channel === "records" && sinks.length === 0) await print("  no sink reads this stream");
  for (const { sink, isPast, behindRecords, state, reason } of sinks) {
    const standing = isPast ? "past it" : `not yet: ${behindRecords} records before it, ${state}`;
    await print(`  sink ${sink.padEnd(10)} ${standing}${reason === undefined ? "" : ` (${reason})`}`);
  }
}
