import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { eventually, nodeOfEachTest, runningNode } from "../../support/processes/running_node.ts";

const STREAMS = `
log: { type: memory }
streams:
  orders:
    partitions: 3
    key: /customer
    durability: memory
    schema:
      type: object
      required: [amount]
      properties: { amount: { type: number, minimum: 0 } }
  again: { partitions: 2, key: /customer, durability: memory }
  some: { partitions: 2, durability: memory }
  lately: { partitions: 2, durability: memory }
  repaired: { partitions: 1, durability: memory }
`;

const node = nodeOfEachTest(test, STREAMS);
test.before.each(async () => {
  const producer = node.producer({ producerId: "p", stream: "orders" });
  for (let n = 0; n < 900; n += 1) await producer.send({ customer: `c${n % 30}`, amount: n });
  await producer.send({ customer: "bad", amount: -1 });
  await producer.close();
});

const at = () => ["--address", node.address];
async function eventsOf(stream: string): Promise<Record<string, unknown>[]> {
  return jsonLines((await headrace(["tail", stream, "--from", "earliest", "--no-follow", ...at()])).stdout);
}
const replay = async (...args: string[]) => {
  const ended = await headrace(["replay", ...args, "--json", ...at()]);
  return { code: ended.code, stderr: ended.stderr, summary: jsonLines(ended.stdout).at(-1) };
};

test("a dry run counts and sends nothing", async () => {
  const { code, summary } = await replay("orders", "--into-stream", "again", "--dry-run");
  assert.is(code, 0);
  assert.equal([summary?.read, summary?.accepted], [900, 0]);
  assert.is((await eventsOf("again")).length, 0);
});

test("a replay keeps the order of each key, and a second run writes no event again", async () => {
  const first = await replay("orders", "--into-stream", "again");
  assert.is(first.code, 0, first.stderr);
  assert.is(first.summary?.accepted, 900);
  const second = await replay("orders", "--into-stream", "again");
  assert.equal([second.summary?.accepted, second.summary?.alreadyStored], [0, 900]);
  const events = await eventsOf("again");
  for (let key = 0; key < 30; key += 1) {
    const amounts = events.filter(({ customer }) => customer === `c${key}`).map(({ amount }) => amount);
    const expected = Array.from({ length: 900 }, (_, n) => n).filter((n) => n % 30 === key);
    assert.equal(amounts, expected);
  }
});

test("a replay that was cut short goes on from its end", async () => {
  const some = await replay("orders", "--into-stream", "some", "--from", "10", "--to", "20");
  assert.is(some.summary?.accepted, 30);
  const rest = await replay("orders", "--into-stream", "some", "--from", "10", "--to", "35");
  assert.equal([rest.summary?.accepted, rest.summary?.alreadyStored], [45, 30]);
  const other = await replay("orders", "--into-stream", "some", "--from", "10", "--to", "12", "--name", "once more");
  assert.is(other.summary?.accepted, 6);
});

test("an empty range of times ends at once", async () => {
  const soon = new Date(Date.now() + 60_000).toISOString();
  const { code, summary } = await replay("orders", "--into-stream", "some", "--from", soon);
  assert.is(code, 0);
  assert.is(summary?.read, 0);
});

test("rejected events are sent again as they were", async () => {
  const { code, summary } = await replay("orders", "--rejected", "--into-stream", "repaired");
  assert.is(code, 0);
  assert.is(summary?.accepted, 1);
  assert.equal(await eventsOf("repaired"), [{ customer: "bad", amount: -1 }]);
});

test("a replay into a target that refuses a record names the record and the reason", async () => {
  const ended = await headrace(["replay", "orders", "--rejected", "--into-stream", "orders", ...at()]);
  assert.is(ended.code, 65);
  assert.match(ended.stderr, /^orders\/\d@0: SCHEMA_VIOLATION at \/amount/m);
});

test("an event that is rejected again and again is sent once at each try, whatever the name", async () => {
  const own = await runningNode(STREAMS);
  const producer = own.producer({ producerId: "p", stream: "orders" });
  for (const n of [1, 2]) await producer.send({ customer: "bad", amount: -n });
  await producer.close();
  for (const name of [[], [], ["--name", "other"], ["--name", "third"], []]) {
    const args = ["replay", "orders", "--rejected", "--into-stream", "orders", "--json", ...name];
    const ended = await headrace([...args, "--address", own.address]);
    const { rejected, accepted } = jsonLines(ended.stdout).at(-1) ?? {};
    assert.equal([ended.code, rejected, accepted], [65, 2, 0], ended.stdout);
  }
  const into = ["replay", "orders", "--rejected", "--into-stream", "repaired", "--json", "--address", own.address];
  const before = jsonLines((await headrace([...into, "--to", "2", "--partition", "0", "1", "2"])).stdout).at(-1);
  assert.equal([before?.repeated, before?.accepted], [0, 2], "the first two are the events themselves");
  const repaired = jsonLines((await headrace(into)).stdout).at(-1);
  assert.equal([repaired?.read, repaired?.repeated, repaired?.alreadyStored, repaired?.accepted], [12, 10, 2, 0]);
  await own.end();
});

test("a replay from a relative place shows the absolute time, and --from this time goes on with it", async () => {
  const first = await headrace(["replay", "orders", "--from", "1h", "--into-stream", "lately", ...at()]);
  assert.match(first.stdout, /orders into lately, as replay\/orders\/records\/\S+\/lately: 900 accepted/);
  const [, place = ""] = /with --from (\S+) the command goes on/.exec(first.stderr) ?? [];
  const again = await replay("orders", "--from", place, "--into-stream", "lately");
  assert.equal([again.summary?.accepted, again.summary?.alreadyStored], [0, 900], again.stderr);
  const ended = await headrace(["replay", "orders", "--from", "1h", "--into-sink", "none", "--cancel", ...at()]);
  assert.is(ended.code, 64);
  assert.match(ended.stderr, /Cannot cancel a replay from 1h as its name must be known/);
});

test("records that a sink set aside are sent again as they were, once", async () => {
  const refusing = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(400).end());
  });
  await new Promise<void>((resolve) => refusing.listen(0, "127.0.0.1", () => resolve()));
  const { port } = refusing.address() as AddressInfo;
  const own = await runningNode(`
log: { type: memory }
streams:
  orders: { partitions: 2, durability: memory }
  retry: { partitions: 2, durability: memory }
sinks: { hook: { type: http, url: "http://127.0.0.1:${port}/" } }
pipelines: { send: { from: orders, to: [hook] } }
`);
  const producer = own.producer({ producerId: "p", stream: "orders" });
  for (let n = 0; n < 3; n += 1) await producer.send({ n }, { partition: 1 });
  await producer.close();
  const path = "/v1/streams/orders/partitions/1/records?channel=dead_letters/hook&from=latest";
  await eventually(async () => {
    const { endOffset } = (await (await fetch(`${own.address}${path}`)).json()) as { endOffset: number };
    return endOffset === 3 ? true : undefined;
  });
  const address = ["--address", own.address];
  const args = ["replay", "orders", "--dead-letters", "hook", "--into-stream", "retry", "--json", ...address];
  const [first, second] = [await headrace(args), await headrace(args)];
  assert.is(jsonLines(first.stdout)[0]?.accepted, 3, first.stderr);
  assert.is(jsonLines(second.stdout)[0]?.accepted, 0);
  const again = await headrace(["tail", "retry", "--from", "earliest", "--no-follow", ...address]);
  assert.equal(jsonLines(again.stdout), [{ n: 0 }, { n: 1 }, { n: 2 }]);
  await own.end();
  refusing.close();
});

test.run();
