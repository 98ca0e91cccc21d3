/**
 * A producer of the cluster's chaos in a process of its own. Its one argument is a `ProducerPlan` in JSON. Prints each
 * sent event and each outcome as a line. Ends once its standard input has ended and all its events are settled.
 *
 *     sent <stream> <partition> <order>
 *     told <stream> <partition> <order> acked|rejected|in_doubt [code]
 *     lost <stream> <partition> <after order> <to order>
 */
import WebSocket from "ws";
import { HeadraceError } from "../../../protocols/errors.ts";
import { connectWebSocket, Producer } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import { pairOf } from "./chaos_pipelines.ts";

export interface ProducerPlan {
  readonly id: string;
  readonly addresses: readonly string[];
  readonly forward: boolean;
  readonly eventsPerSecond: number;
  /** Number of partitions by stream. */
  readonly streams: Readonly<Record<string, number>>;
  readonly settleWithinMs: number;
}

const plan = JSON.parse(process.argv[2] ?? "") as ProducerPlan;
const EVENTS_OPEN_MAX = 2_000;
const TICK_MS = 20;
/** One in this many events does not match the schema. */
const INVALID_EVERY = 53;

const said: string[] = [];
const say = (...words: readonly (string | number)[]): void => {
  said.push(words.join(" "));
};
const tell = (): void => {
  if (said.length > 0) process.stdout.write(`${said.splice(0).join("\n")}\n`);
};
const producer = new Producer({
  connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never }),
  addresses: plan.addresses,
  forward: plan.forward,
  producerId: plan.id,
  batchEventsMax: 20,
  onLost: ({ stream, partition, from, to }) => say("lost", stream, partition, from?.[1] ?? -1, to[1]),
});
let isEnding = false;
let open = 0;
process.stdin.on("end", () => {
  isEnding = true;
});
process.stdin.resume();

const targets = Object.entries(plan.streams).flatMap(([stream, partitions]) =>
  Array.from({ length: partitions }, (_, partition) => ({ stream, partition })),
);

function send(order: number): void {
  const { stream, partition } = targets[order % targets.length]!;
  const isInvalid = order % INVALID_EVERY === INVALID_EVERY - 1;
  const name = [stream, partition, order] as const;
  say("sent", ...name);
  open += 1;
  const pair = pairOf(plan.id, order, targets.length);
  const event = { id: `${plan.id}-${order}`, n: isInvalid ? "not a number" : order, pair };
  producer.sendAndConfirm(event, { stream, partition, sequence: [0, order, 0] }).then(
    ({ kind }) => {
      open -= 1;
      say("told", ...name, kind === "stored" ? "acked" : "rejected");
    },
    (error) => {
      open -= 1;
      say("told", ...name, "in_doubt", error instanceof HeadraceError ? error.code : String(error));
    },
  );
}

let order = 0;
let due = 0;
for (let lookedAt = performance.now(); !isEnding; ) {
  const now = performance.now();
  // Events that a halt held back are not all sent at its end.
  due = Math.min(due + ((now - lookedAt) * plan.eventsPerSecond) / 1_000, plan.eventsPerSecond / 5);
  lookedAt = now;
  for (; due >= 1 && open < EVENTS_OPEN_MAX; due -= 1) send(order++);
  tell();
  await new Promise((resolve) => setTimeout(resolve, TICK_MS));
}
const telling = setInterval(tell, TICK_MS);
await producer.close({ timeoutMs: plan.settleWithinMs });
clearInterval(telling);
tell();
// An exit at once would lose output that the reader has not taken yet.
process.stdout.write("", () => process.exit(0));
