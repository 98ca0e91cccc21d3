/**
 * The endpoint of an http sink, as a process that can be frozen. Takes batches of records, checks their offsets and
 * their producers' order against earlier batches, and answers its findings to GET.
 */
import { createServer } from "node:http";

interface Found {
  records: number;
  /** How many records came again under a known key, as an idempotent sink may send them. */
  repeated: number;
  /** How many offsets were skipped, and how many records came before an earlier one of their producer. */
  skipped: number;
  reordered: number;
}

const found: Found = { records: 0, repeated: 0, skipped: 0, reordered: 0 };
const nextOffsets = new Map<string, number>();
/** Newest number of each producer in each partition. */
const newest = new Map<string, number>();

/** `stream/partition/epoch/offset.index-offset.index`, and `/count` for several records (http_request.ts). */
const KEY = /^(.*)\/\d+\/(\d+)\.\d+-(\d+)\.\d+(?:\/\d+)?$/;
const EVENT_ID = /"id":"(\d+)-(\d+)-/;

function take(key: string, body: string): void {
  const [, partition = "", first = "", last = ""] = KEY.exec(key) ?? [];
  const next = nextOffsets.get(partition) ?? 0;
  if (Number(first) > next) found.skipped += Number(first) - next;
  nextOffsets.set(partition, Math.max(next, Number(last) + 1));
  let offset = Number(first);
  let at = 0;
  for (let end = body.indexOf("\n"); end >= 0; end = body.indexOf("\n", at)) {
    if (offset < next) found.repeated += 1;
    else takeRecord(partition, body.slice(at, end));
    offset += 1;
    at = end + 1;
  }
}

function takeRecord(partition: string, line: string): void {
  found.records += 1;
  const [, producer = "", number = ""] = EVENT_ID.exec(line) ?? [];
  const key = `${partition} ${producer}`;
  if ((newest.get(key) ?? -1) >= Number(number)) found.reordered += 1;
  newest.set(key, Number(number));
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    if (request.method === "POST") take(String(request.headers["idempotency-key"]), Buffer.concat(chunks).toString());
    response.end(JSON.stringify(found));
  });
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as { port: number }).port));
process.stdin.on("end", () => process.exit(0)).resume();
