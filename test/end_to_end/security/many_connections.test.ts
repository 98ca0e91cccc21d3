import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Sequence } from "../../../protocols/sequence.ts";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import type { AckFrame } from "../../../protocols/wire/frames.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { runningNode } from "../../support/processes/running_node.ts";

const YAML = `
log: { type: memory }
streams:
  readings: { partitions: 4, durability: memory }
`;

test("a thousand connections produce beside one that is as busy as possible", async () => {
  const node = await runningNode(YAML);
  try {
    const busy = node.producer({ producerId: "busy", stream: "readings", lingerMs: 1 });
    const filling = busy.sendAll(Array.from({ length: 100_000 }, (_, n) => ({ n, text: "x".repeat(200) })));
    const clients: RawClient[] = [];
    for (let at = 0; at < 990; at += 90) {
      const batch = Array.from({ length: 90 }, () => RawClient.open(node.endpoint));
      clients.push(...(await Promise.all(batch)));
    }
    const acks = await Promise.all(
      clients.map(async (client, at): Promise<AckFrame> => {
        const partition = at % 4;
        const producerEpoch = await client.produceTo(`client-${at}`, "readings", partition);
        const ack = await client.ask({
          type: "append",
          stream: "readings",
          partition,
          producerEpoch,
          previousSequence: null,
          sequences: { first: [0, 0, 0], count: 1 },
          events: encodeEvents([{ at }], { asRecords: false }),
        });
        assert.is(ack?.type, "ack", JSON.stringify(ack));
        return ack as AckFrame;
      }),
    );
    assert.is(acks.length, 990);
    assert.ok(acks.every(({ lastSequence }) => (lastSequence satisfies Sequence)[1] === 0));
    assert.is(await filling, 100_000);
    assert.equal((await busy.close()).inDoubt, []);
    for (const client of clients) client.end();
  } finally {
    await node.end();
  }
});

test.run();
