/**
 * A producer in a process of its own, to be killed: `chaos_producer.ts <endpoint> <producer id> <first order>`. Prints
 * each sent event and each outcome as a line, and ends with its standard input.
 */
import WebSocket from "ws";
import { connectWebSocket, Producer } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";

const [endpoint = "", producerId = "", first = "0"] = process.argv.slice(2);
const EVENTS_OPEN_MAX = 400;
const CLOSE_WITHIN_MS = 60_000;

const say = (...words: readonly (string | number)[]): void => {
  process.stdout.write(`${words.join(" ")}\n`);
};
const producer = new Producer({
  connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never }),
  addresses: [endpoint],
  producerId,
  stream: "readings",
  batchEventsMax: 20,
});
let isEnding = false;
let open = 0;
process.stdin.on("end", () => {
  isEnding = true;
});
process.stdin.resume();

for (let order = Number(first); !isEnding; order += 1) {
  const isInvalid = order % 50 === 49;
  const id = `${producerId}-${order}`;
  const partition = order % 2;
  say("sent", id, partition, order);
  open += 1;
  producer.sendAndConfirm({ id, n: isInvalid ? "not a number" : order }, { partition }).then(
    ({ kind }) => {
      open -= 1;
      say("told", id, kind === "stored" ? "acked" : "rejected");
    },
    () => {
      open -= 1;
      say("told", id, "in_doubt");
    },
  );
  if (order % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  while (open > EVENTS_OPEN_MAX && !isEnding) await new Promise((resolve) => setTimeout(resolve, 5));
}
await producer.close({ timeoutMs: CLOSE_WITHIN_MS });
// An exit at once would lose output that the reader has not taken yet.
process.stdout.write("", () => process.exit(0));
