/** Retention by size on a whole node: it counts the bytes that the log stores, not those of the events alone. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { eventually, nodeOfEachTest } from "../../support/processes/running_node.ts";

const KEPT_BYTES = 65_536;
const node = nodeOfEachTest(
  test,
  `
log: { type: memory }
streams: { s: { partitions: 1, durability: memory, retention: { size: ${KEPT_BYTES}, onFull: trim }, schema: { type: object, required: [n] } } }
`,
);

interface Shown {
  readonly partitions: readonly { readonly firstOffset: number; readonly sizeBytes: number }[];
}

test("events of 3 bytes from a producer with a long name are trimmed while their owner lives, and so are its rejected ones", async () => {
  const producer = node.producer({ producerId: "€".repeat(80), stream: "s", lingerMs: 0 });
  // Each event is a batch of its own, as it is sent after the answer to the last one.
  for (let n = 0; n < 400; n += 1) await producer.sendAndConfirm({ n });
  for (let n = 0; n < 400; n += 1) assert.is((await producer.sendAndConfirm({ m: n })).kind, "rejected");
  const shown = await eventually(async () => {
    const { partitions } = (await (await fetch(`${node.address}/v1/streams/s`)).json()) as Shown;
    return (partitions[0]?.firstOffset ?? 0) > 0 ? partitions[0] : undefined;
  });
  assert.ok(shown.sizeBytes <= 2 * KEPT_BYTES, `it shows ${shown.sizeBytes} bytes`);
  await eventually(async () => {
    const path = "/v1/streams/s/partitions/0/records?channel=rejected&from=earliest&limit=1";
    const { firstOffset } = (await (await fetch(node.address + path)).json()) as { readonly firstOffset: number };
    return firstOffset > 0 ? true : undefined;
  });
  await producer.close();
});

test.run();
