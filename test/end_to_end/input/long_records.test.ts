/** Records whose JSON text is longer than a client's frame may be come to subscribers of both subprotocols. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { Consumer, connectWebSocket, type Event } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const node = nodeOfEachTest(test, "log: { type: memory }\nstreams: { s: { partitions: 1, durability: memory } }\n");
/** A control character takes one byte in MessagePack, and six in JSON. */
const LONG = "\u0001".repeat(900_000);
/** Longer than an event may be: set aside whole. */
const TOO_LONG = "x".repeat(1_100_000);

for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
  test(`${subprotocol}: records and rejected events of any length are read whole, and those behind them`, async () => {
    const producer = node.producer({ producerId: "p", stream: "s" });
    for (const text of ["a", LONG, "b"]) await producer.sendAndConfirm({ text });
    for (const text of [TOO_LONG, TOO_LONG]) assert.is((await producer.sendAndConfirm({ text })).kind, "rejected");
    await producer.close();
    const consumer = new Consumer({
      connect: connectWebSocket({ subprotocol, webSocket: WebSocket as never }),
      addresses: [node.endpoint],
    });
    const eventsOf = async (channel: "records" | "rejected", count: number): Promise<(Event | undefined)[]> => {
      const events: (Event | undefined)[] = [];
      for await (const item of consumer.subscribe({ stream: "s", channel, from: "earliest" })) {
        if (item.kind === "records") events.push(...item.records.map(({ event }) => event));
        if (events.length === count) break;
      }
      return events;
    };
    const texts = (await eventsOf("records", 3)).map((event) => event?.text);
    assert.ok(texts[0] === "a" && texts[1] === LONG && texts[2] === "b");
    for (const event of await eventsOf("rejected", 2))
      assert.ok((event?.original as Uint8Array).length > TOO_LONG.length, "the letter holds the whole event");
    await consumer.close();
  });
}

test.run();
