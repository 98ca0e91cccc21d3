/**
 * Many producers in one process, one WebSocket each, that send a small batch now and then: `session_process.ts <first
 * number> <how many> <partitions> <ms between batches> <addresses...>`. Ends with its standard input, and then says
 * what became of its events, as a line of JSON.
 */
import WebSocket from "ws";
import { connectWebSocket, Producer } from "../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK } from "../../protocols/wire/frames.ts";
import { workloadEvent } from "../workload.ts";
import { STREAM } from "./bench_cluster.ts";
import { delay } from "./monotonic.ts";

const [first = "0", count = "0", partitions = "1", everyMs = "1000", ...addresses] = process.argv.slice(2);
const BATCH_EVENTS = 5;
/** Most producers that connect at once, as a node registers each in its store. */
const OPENING_MAX = 50;
const CLOSE_WITHIN_MS = 30_000;

const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never });
const told = { sessions: Number(count), acked: 0, inDoubt: 0, rejected: 0, failed: 0 };
let isEnding = false;
const ended = new Promise<void>((resolve) => {
  process.stdin.resume().on("end", () => {
    isEnding = true;
    resolve();
  });
});

const producers: Producer[] = [];
for (let from = 0; from < Number(count) && !isEnding; from += OPENING_MAX) {
  const opened = Array.from({ length: Math.min(OPENING_MAX, Number(count) - from) }, (_, at) =>
    openOne(Number(first) + from + at),
  );
  producers.push(...(await Promise.all(opened)));
}
process.stdout.write("open\n");
await Promise.all(producers.map((producer, at) => send(producer, Number(first) + at)));
const closed = await Promise.all(producers.map((producer) => producer.close({ timeoutMs: CLOSE_WITHIN_MS })));
told.inDoubt = closed.reduce((sum, { inDoubt }) => sum + inDoubt.length, 0);
process.stdout.write(`${JSON.stringify(told)}\n`, () => process.exit(0));

/** Opens a producer that stays with one node, so that it has one connection. If that node is gone, it tries another. */
async function openOne(number: number): Promise<Producer> {
  const at = number % addresses.length;
  const producer = new Producer({
    connect,
    addresses: [...addresses.slice(at), ...addresses.slice(0, at)],
    ...{ producerId: `session-${number}`, stream: STREAM, forward: true },
    onAck: ({ count: acked }) => {
      told.acked += acked;
    },
    onRejected: () => {
      told.rejected += 1;
    },
  });
  await producer.open(STREAM, number % Number(partitions));
  return producer;
}

async function send(producer: Producer, number: number): Promise<void> {
  await delay(Math.random() * Number(everyMs));
  for (let n = 0; !isEnding; n += BATCH_EVENTS) {
    for (let at = 0; at < BATCH_EVENTS; at += 1) {
      producer.send(workloadEvent(number, n + at), { partition: number % Number(partitions) }).catch(() => {
        told.failed += 1;
      });
    }
    await Promise.race([delay(Number(everyMs)), ended]);
  }
}
