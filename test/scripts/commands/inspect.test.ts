import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";

const ORDERS = `
log: { type: memory }
streams:
  orders:
    partitions: 1
    durability: memory
    schema: { type: object, properties: { amount: { type: number, minimum: 0 } } }
sinks:
  archive: { type: file, directory: FOLDER, format: ndjson }
  away: { type: http, url: "http://127.0.0.1:1/" }
pipelines:
  keep: { from: orders, to: [archive, away] }
`;

let node: TestNode;
let archive: string;
test.before(async () => {
  archive = await mkdtemp(join(tmpdir(), "headrace-inspect-"));
  node = await runningNode(ORDERS.replace("FOLDER", archive));
  const producer = node.producer({ producerId: "till-1", stream: "orders" });
  for (const amount of [5, 6, -7, 8]) await producer.send({ amount });
  await producer.close();
  const standings = async () => {
    const answer = await (await fetch(`${node.address}/v1/sinks`)).json();
    return (answer as { sinks: { sink: string; nextOffset: number; state: string }[] }).sinks;
  };
  await eventually(async () => {
    const sinks = await standings();
    const isDone = sinks.some(({ sink, nextOffset }) => sink === "archive" && nextOffset === 3);
    return isDone && sinks.some(({ sink, state }) => sink === "away" && state === "retrying") ? true : undefined;
  });
});
test.after(async () => {
  await node.end();
  await rm(archive, { recursive: true, force: true });
});

const inspect = async (...args: string[]) => {
  const ended = await headrace(["inspect", "orders", "0", ...args, "--json", "--address", node.address]);
  return { ...ended, found: jsonLines(ended.stdout)[0] };
};

test("a record is shown with its producer, its sequence and the sinks that are past it", async () => {
  const { code, found } = await inspect("2");
  assert.is(code, 0);
  assert.equal(found?.event, { amount: 8 });
  assert.equal([found?.producerId, found?.sequence, found?.schemaVersion], ["till-1", [0, 3, 0], 1]);
  assert.ok(!Number.isNaN(Date.parse(String(found?.appendedAt))));
  const sinks = found?.sinks as { sink: string; isPast: boolean; behindRecords: number; reason?: string }[];
  const archive = sinks.find(({ sink }) => sink === "archive");
  const away = sinks.find(({ sink }) => sink === "away");
  assert.equal([archive?.isPast, archive?.behindRecords], [true, 0]);
  assert.equal([away?.isPast, away?.behindRecords], [false, 3]);
  assert.ok(String(away?.reason).length > 0);
});

test("a rejected event is found by producer and sequence, with its reason and its content", async () => {
  const { found } = await inspect("--producer", "till-1", "--sequence", "2");
  assert.equal([found?.channel, found?.code, found?.path], ["rejected", "SCHEMA_VIOLATION", "/amount"]);
  assert.match(String(found?.reason), />= 0/);
  assert.equal(found?.event, { amount: -7 });
});

test("an accepted event is found by producer and sequence", async () => {
  const { found } = await inspect("--producer", "till-1", "--sequence", "0.3.0");
  assert.equal([found?.channel, found?.offset], ["records", 2]);
});

test("a missing record is reported, with exit code 1", async () => {
  const beyond = await inspect("17");
  assert.is(beyond.code, 1);
  assert.match(beyond.stderr, /no offset 17 yet: the next one is 3/);
  const unknown = await inspect("--producer", "till-2", "--sequence", "0");
  assert.is(unknown.code, 1);
});

test.run();
