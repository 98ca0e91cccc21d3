import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { linesOf } from "../../support/file_sink_lines.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";

const yaml = `
log: { type: lmdb }
streams: { orders: { partitions: 1, eventTime: /at }, missed: { partitions: 1 } }
sinks:
  counts: { type: file, directory: counts }
  missed: { type: stream, stream: missed }
pipelines:
  per_minute:
    from: orders
    steps:
      - map: { customer: event.customer, at: event.at }
      - count: { by: event.customer, every: 1m }
      - map: { customer: event.key, orders: event.count }
    time: { idleAfter: 1h }
    to: [counts]
    outputs: { late: [missed, { sink: counts, as: late }] }
`;

const MINUTE_MS = 60_000;
const MINUTE_0 = Date.parse("2026-03-01T12:00:00Z");

interface Standing {
  readonly as?: string;
  readonly lagRecords: number;
  readonly deadLettersStored: number;
}

/** All sinks have everything, and none has set a record aside. */
async function delivered(node: TestNode): Promise<void> {
  await eventually(async () => {
    const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as { sinks: Standing[] };
    assert.ok(sinks.every(({ deadLettersStored }) => deadLettersStored === 0));
    return sinks.length === 3 && sinks.every(({ lagRecords }) => lagRecords === 0) ? true : undefined;
  });
}

test("late records and records from the future reach the sinks of the output `late` once each, over restarts, and no other sink", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-late-"));
  const late: object[] = [];
  const counted: object[] = [];
  let far = 0;
  for (const life of [0, 1, 2]) {
    const node = await runningNode(yaml, { folder });
    const producer = node.producer({ producerId: "p", stream: "orders" });
    const send = async (customer: string, at: number) => {
      await producer.send({ customer, at, note: `life ${life}` });
      return { customer, at, note: `life ${life}` };
    };
    await send("a", MINUTE_0 + life * MINUTE_MS);
    await send("a", MINUTE_0 + (life + 1) * MINUTE_MS);
    counted.push({ customer: "a", orders: life === 0 ? 1 : 2 });
    const missed = await send("b", MINUTE_0 + life * MINUTE_MS + 500); // its window has closed
    const [windowStart, windowEnd] = [life, life + 1].map((minute) =>
      new Date(MINUTE_0 + minute * MINUTE_MS).toISOString(),
    );
    late.push({ event: missed, stream: "orders", reason: "late", windowStart, windowEnd });
    far = Date.now() + 86_400_000 + life;
    late.push({ event: await send("c", far), stream: "orders", reason: "future" });
    await producer.close();
    await delivered(node);
    if (life === 2) {
      const path = "/v1/streams/missed/partitions/0/records?limit=100";
      const { records } = (await (await fetch(`${node.address}${path}`)).json()) as {
        records: { event: Record<string, unknown> }[];
      };
      assert.equal(
        records.map(({ event }) => [(event.event as { note: string }).note, event.reason]),
        late.map((one) => [(one as { event: { note: string } }).event.note, (one as { reason: string }).reason]),
      );
    }
    assert.equal(await node.end(), []);
  }
  const byText = (lines: readonly object[]) => lines.map((line) => JSON.stringify(line)).sort();
  assert.equal(byText(await linesOf<object>(join(folder, "data", "counts", "as=late"))), byText(late));
  assert.equal(byText(await linesOf<object>(join(folder, "data", "counts", "orders"))), byText(counted));
  await rm(folder, { recursive: true });
});

test.run();
