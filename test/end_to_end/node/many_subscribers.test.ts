/** Many subscribers of one partition: how often the node decodes a batch for them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import {
  type RecordsFrame,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
  type Subprotocol,
} from "../../../protocols/wire/frames.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { decodeCountOfEachTest } from "../../support/decode_count.ts";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const SUBSCRIBERS = 20;
const node = nodeOfEachTest(test, "{ log: { type: memory }, streams: { s: { partitions: 1, durability: memory } } }");
const decodes = decodeCountOfEachTest(test);

/** Subscribers from the newest record on, once the node follows the partition for each of them. */
async function subscribers(subprotocol: Subprotocol): Promise<readonly RawClient[]> {
  const all = await Promise.all(Array.from({ length: SUBSCRIBERS }, () => RawClient.open(node.endpoint, subprotocol)));
  for (const [subscription, client] of all.entries()) {
    await client.ask({ type: "hello", client: "reader" });
    const partitions = [{ partition: 0, from: "latest" } as const];
    const begun = await client.ask({
      type: "subscribe",
      subscription,
      stream: "s",
      partitions,
      creditBytes: 1_000_000,
    });
    assert.is(begun?.type, "records");
  }
  return all;
}

async function recordsOf(client: RawClient): Promise<RecordsFrame> {
  const frame = await client.next();
  if (frame?.type !== "records") throw new Error(`no records: ${JSON.stringify(frame)}`);
  return frame;
}

/** A producer of a session of its own. Answers the bytes of each batch that it has stored. */
async function storing() {
  const producer = await RawClient.open(node.endpoint);
  const producerEpoch = await producer.produceTo("p", "s", 0);
  let sent = 0;
  return {
    end: () => producer.end(),
    store: async (text: string): Promise<Uint8Array> => {
      const events = encodeEvents([{ n: sent, text }, { n: 9007199254740993n }], { asRecords: true });
      const answer = await producer.ask({
        ...{ type: "append", stream: "s", partition: 0, producerEpoch, events },
        previousSequence: sent === 0 ? null : [0, sent - 1, 0],
        sequences: { first: [0, sent, 0], count: 2 },
      });
      assert.is(answer?.type, "ack");
      sent += 2;
      return events;
    },
  };
}

test("subscribers over JSON get a batch that the node has decoded once for all of them", async () => {
  const clients = await subscribers(SUBPROTOCOL_JSON);
  const { store, end } = await storing();
  for (const [at, text] of ["first", "a text with ümlauts", "third"].entries()) {
    const stored = await store(text);
    for (const [subscription, client] of clients.entries()) {
      const frame = await recordsOf(client);
      assert.is(frame.subscription, subscription, "each frame names its own subscription");
      assert.is(frame.endOffset, 2 * (at + 1));
      assert.equal(
        frame.batches.map(({ firstOffset, count }) => [firstOffset, count]),
        [[2 * at, 2]],
      );
      assert.equal(frame.batches[0]?.events, stored);
    }
    assert.is(decodes.of(stored), 1);
  }
  for (const client of clients) client.end();
  end();
});

test("subscribers over MessagePack get the stored bytes, and the node decodes none of them", async () => {
  const clients = await subscribers(SUBPROTOCOL_MSGPACK);
  const { store, end } = await storing();
  const stored = await store("as it came");
  for (const client of clients) assert.equal([...((await recordsOf(client)).batches[0]?.events ?? [])], [...stored]);
  assert.is(decodes.of(stored), 0);
  for (const client of clients) client.end();
  end();
});

test.run();
