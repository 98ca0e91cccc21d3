import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { linesOf } from "../../support/file_sink_lines.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

const yaml = `
log: { type: lmdb }
streams: { orders: { partitions: 1, eventTime: /at } }
sinks:
  counts: { type: file, directory: counts }
pipelines:
  per_minute:
    from: orders
    steps:
      - filter: event.amount > 0
      - count: { by: event.customer, every: 1m }
      - map: { customer: event.key, orders: event.count, from: event.windowStart }
    time: { idleAfter: 1h }
    to: [counts]
`;

const MINUTE_MS = 60_000;
const MINUTE_0 = Date.parse("2026-03-01T12:00:00Z");

test("windows that are open when a node ends are counted on by the next one, and each is emitted once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-windows-"));
  const expected: object[] = [];
  for (const life of [0, 1, 2]) {
    const node = await runningNode(yaml, { folder });
    const producer = node.producer({ producerId: "p", stream: "orders" });
    const send = (customer: string, minute: number, amount = 5) =>
      producer.send({ customer, amount, at: MINUTE_0 + minute * MINUTE_MS + 500 });
    // The window of minute `life` was opened by the life before, and is closed by this one.
    for (const customer of ["a", "a", "b"]) await send(customer, life);
    await send("a", life, 0);
    await send("a", life + 1);
    if (life > 0) await send("b", life - 1); // its window has closed
    await producer.close();
    const from = new Date(MINUTE_0 + life * MINUTE_MS).toISOString();
    expected.push({ customer: "a", orders: life === 0 ? 2 : 3, from }, { customer: "b", orders: 1, from });
    await eventually(async () => {
      const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as {
        sinks: { nextOffset: number; deadLetters: number }[];
      };
      return sinks[0]?.nextOffset === expected.length + life ? true : undefined;
    });
    assert.equal(await node.end(), []);
  }
  const lines = await linesOf<{ readonly from: string; readonly customer: string }>(join(folder, "data", "counts"));
  const placeOf = ({ from, customer }: (typeof lines)[number]) => `${from} ${customer}`; // files of several lives
  assert.equal(
    [...lines].sort((left, right) => placeOf(left).localeCompare(placeOf(right))),
    expected,
  );
  await rm(folder, { recursive: true });
});

test.run();
