import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { positionCheckpoint } from "../../../actors/sinks/delivery/delivery_actor.ts";
import { deliveryFolder } from "../../../actors/sinks/file/file_layout.ts";
import { partitionId } from "../../../protocols/position.ts";
import { decodeSlice } from "../../../protocols/values/event_codec.ts";
import { fromJsonValue } from "../../../protocols/values/json_values.ts";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";
import { readFileSink } from "../../support/read_file_sink.ts";

const PARTITIONS = 2;

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-replay-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function send(node: TestNode, from: number, to: number, producerId = `p${from}`): Promise<void> {
  const producer = node.producer({ producerId, stream: "orders" });
  for (let n = from; n < to; n += 1) await producer.send({ n }, { partition: n % PARTITIONS });
  await producer.close();
}

/** The `n` of every line that a file sink holds, of its own delivery or of a replay. */
async function filed(node: TestNode, sink: string, replay?: string): Promise<number[]> {
  const directory = join(node.folder, "data", sink);
  const found: number[] = [];
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const name = positionCheckpoint(replay === undefined ? { name: sink } : { name: sink, replay });
    const checkpoint = node.directory.partition("orders", partition)?.feed?.readCheckpoint(name);
    if (checkpoint === undefined) continue; // Nothing of this partition was ever written.
    const texts = await readFileSink(
      deliveryFolder(directory, replay === undefined ? {} : { replay }),
      { stream: "orders", partition: partitionId(partition) },
      checkpoint,
    );
    const lines = texts.join("").split("\n").slice(0, -1);
    found.push(...lines.map((line) => (JSON.parse(line) as { n: number }).n));
  }
  return found.sort((left, right) => left - right);
}

const range = (from: number, to: number, step = 1) =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, index) => from + index * step);

const replay = async (node: TestNode, ...args: string[]) => {
  const ended = await headrace(["replay", "orders", ...args, "--json", "--address", node.address]);
  return { code: ended.code, stderr: ended.stderr, summary: jsonLines(ended.stdout).at(-1) ?? {} };
};

async function call(node: TestNode, method: string, path: string, body?: unknown) {
  const response = await fetch(`${node.address}/v1/replays${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** Begins a replay over HTTP and waits for its end, like the command, but without a process of its own. */
async function finished(node: TestNode, request: { readonly name: string; readonly [key: string]: unknown }) {
  await call(node, "POST", "", { stream: "orders", ...request });
  return await eventually(async () => {
    const { body } = await call(node, "GET", `/${request.name}`);
    return body.state === "running" ? undefined : body;
  });
}

const FILES = `
log: { type: memory }
streams: { orders: { partitions: 2, durability: memory } }
sinks:
  even: { type: file, directory: even }
  again: { type: file, directory: again }
pipelines: { evens: { from: orders, steps: [{ filter: "int(event.n) % 2 == 0" }], to: [even, again] } }
`;

const READER = "the token of the reader";
const BOSS = "the token of the boss";

test("replays R1, R3: a replay into a sink writes every record of its range once, beside the sink's own delivery, and repeats none", async () => {
  const node = await runningNode(FILES);
  await send(node, 0, 200);
  await eventually(async () => ((await filed(node, "even")).length === 100 ? true : undefined));
  const own = () => node.directory.partition("orders", 0)?.feed?.readCheckpoint("sink/even");
  const before = own();
  const dry = await replay(node, "--into-sink", "even", "--name", "r1", "--dry-run");
  assert.equal([dry.code, dry.summary.records, dry.summary.isDryRun], [0, 200, true]);
  const first = await replay(node, "--into-sink", "even", "--name", "r1");
  assert.is(first.code, 0, first.stderr);
  assert.equal([first.summary.state, first.summary.deliveredRecords, first.summary.records], ["done", 200, 200]);
  assert.equal(await filed(node, "even", "r1"), range(0, 200));
  const folder = join(deliveryFolder(join(node.folder, "data", "even"), { replay: "r1" }), "orders", "0");
  const files = await readdir(folder);
  assert.equal(
    files.filter((name) => name.endsWith(".part")),
    [],
  );
  assert.ok(files.includes("segment-0000000000000000.ndjson"), "published, as nobody will come after it");
  assert.equal(await filed(node, "even"), range(0, 200, 2));
  assert.is(own(), before, "the sink's own position did not move");
  const second = await replay(node, "--into-sink", "even", "--name", "r1");
  assert.equal([second.code, second.summary.deliveredRecords, second.summary.doneRecords], [0, 0, 200]);
  await send(node, 200, 220);
  const third = await finished(node, { name: "r1", sink: "even" });
  assert.equal([third.deliveredRecords, third.doneRecords], [20, 220], "a later end goes on");
  assert.equal(await filed(node, "even", "r1"), range(0, 220));
  assert.equal(await node.end(), []);
});

test("a range of offsets, and an empty range of times", async () => {
  const node = await runningNode(FILES);
  await send(node, 0, 100);
  const some = await replay(node, "--into-sink", "even", "--from", "10", "--to", "20", "--partition", "1");
  assert.equal([some.code, some.summary.deliveredRecords], [0, 10], some.stderr);
  assert.equal(await filed(node, "even", String(some.summary.name)), range(21, 41, 2));
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const none = await finished(node, { name: "soon", sink: "even", from: { timeMs: Date.parse(soon) } });
  assert.equal([none.state, none.records], ["done", 0]);
  await node.end();
});

test("a replay into a pipeline goes through its steps to each of its sinks", async () => {
  const node = await runningNode(FILES);
  await send(node, 0, 100);
  const done = await finished(node, { name: "p1", pipeline: "evens", from: { offset: 10 } });
  assert.equal([done.records, done.doneRecords, done.deliveredRecords], [160, 160, 80]);
  for (const sink of ["even", "again"]) assert.equal(await filed(node, sink, "p1"), range(20, 100, 2));
  await node.end();
});

/** An HTTP endpoint that answers with `status`, and keeps the bodies that it took by idempotency key. */
async function endpoint(status: (event: { n: number }, key: string) => number) {
  const taken = new Map<string, number[]>();
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const event = JSON.parse(Buffer.concat(chunks).toString()) as { n: number };
      const key = String(request.headers["idempotency-key"]);
      const code = status(event, key);
      if (code === 200) taken.set(key, [...(taken.get(key) ?? []), event.n]);
      response.writeHead(code).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as AddressInfo;
  return { taken, url: `http://127.0.0.1:${port}/`, close: () => server.close() };
}

test("dead letters go through the steps if a step had failed, and else straight to the sink", async () => {
  let isRefusing = true;
  const hook = await endpoint(() => (isRefusing ? 400 : 200));
  const node = await runningNode(`
log: { type: memory }
streams: { orders: { partitions: 2, durability: memory } }
sinks: { hook: { type: http, url: "${hook.url}" } }
pipelines: { p: { from: orders, steps: [{ map: { n: "event.odd ? event.missing : event.n + 1000.0" } }], to: [hook] } }
`);
  const producer = node.producer({ producerId: "p", stream: "orders" });
  for (let n = 0; n < 3; n += 1) await producer.send({ n, odd: false }, { partition: 1 });
  await producer.send({ n: 3, odd: true }, { partition: 1 });
  await producer.close();
  const path = "/v1/streams/orders/partitions/1/records?channel=dead_letters/hook&from=latest";
  await eventually(async () => {
    const { endOffset } = (await (await fetch(`${node.address}${path}`)).json()) as { endOffset: number };
    return endOffset === 4 ? true : undefined;
  });
  isRefusing = false;
  const straight = await finished(node, { name: "straight", channel: "dead_letters/hook", sink: "hook" });
  assert.equal([straight.deliveredRecords, straight.skippedLetters], [3, 1]);
  assert.equal([...hook.taken.values()].flat().sort(), [1000, 1001, 1002], "as they came out of the steps");
  hook.taken.clear();
  const back = await replay(node, "--dead-letters", "hook", "--into-pipeline", "p");
  assert.equal([back.code, back.summary.deliveredRecords, back.summary.deadLetters], [65, 3, 1]);
  assert.equal([...hook.taken.values()].flat().sort(), [1000, 1001, 1002]);
  for (const key of hook.taken.keys()) assert.match(key, /^replay\/~letter\/hook\/orders\/1\/\d+\/\d\.0$/);
  const again = await replay(node, "--dead-letters", "hook", "--into-pipeline", "p");
  assert.equal(
    [again.summary.deliveredRecords, again.summary.deadLetters],
    [0, 1],
    "the letter it wrote itself is new",
  );
  hook.close();
  await node.end();
});

test("a letter that is replayed too early stays a letter of its event, and each event arrives once after the fault is mended", () =>
  inFolder(async (folder) => {
    let isRefusing = false;
    const posts: { readonly key: string; readonly n: number }[] = [];
    const hook = await endpoint((event, key) => {
      if (isRefusing) return 400;
      posts.push({ key, n: event.n });
      return 200;
    });
    const withFilter = (filter: string) => `
log: { type: lmdb }
streams: { orders: { partitions: 1 } }
sinks: { hook: { type: http, url: "${hook.url}" } }
pipelines: { p: { from: orders, steps: [{ filter: "${filter}" }], to: [hook] } }
`;
    const letters = async (node: TestNode) => {
      const path = "/v1/streams/orders/partitions/0/records?channel=dead_letters/hook&from=earliest";
      const page = (await (await fetch(`${node.address}${path}`)).json()) as { records: { event: unknown }[] };
      return page.records.map(({ event }) => fromJsonValue(event) as Record<string, unknown>);
    };
    const lettersOf = (node: TestNode, count: number) =>
      eventually(async () => {
        const found = await letters(node);
        return found.length === count ? found : undefined;
      });
    const again = { channel: "dead_letters/hook", pipeline: "p" };

    const broken = await runningNode(withFilter("event.amount > 1"), { folder });
    const producer = broken.producer({ producerId: "p", stream: "orders" });
    await producer.send({ n: 0, amount: 2 }, { partition: 0 });
    for (const n of [1, 2]) await producer.send({ n }, { partition: 0 });
    await producer.close();
    const [first] = await lettersOf(broken, 2);
    await finished(broken, { name: "early", ...again });
    await finished(broken, { name: "other", ...again });
    const tried = await lettersOf(broken, 6);
    for (const [at, letter] of tried.entries()) {
      assert.equal(decodeSlice(letter.original as Uint8Array), { n: 1 + (at % 2) });
    }
    assert.equal(
      [tried[2]?.original, tried[2]?.source],
      [first?.original, first?.source],
      "the event's own bytes and place",
    );
    const { epoch } = first?.source as { epoch: number };
    assert.equal(tried[4]?.replayed, { replay: "other", channel: "dead_letters/hook", epoch, offset: 2 });
    await broken.end();

    posts.length = 0;
    const mended = await runningNode(withFilter("!has(event.amount) || event.amount > 1"), { folder });
    const early = await finished(mended, { name: "early", ...again });
    assert.equal([early.deliveredRecords, early.deadLetters], [2, 0], "the same command, once the reason is gone");
    assert.equal(
      posts.map(({ n }) => n),
      [1, 2],
    );
    const keys = posts.map(({ key }) => key);
    assert.equal(
      keys,
      [1, 2].map((offset) => `replay/~letter/hook/orders/0/${epoch}/${offset}.0`),
    );
    posts.length = 0;
    await finished(mended, { name: "third", ...again });
    assert.equal(
      posts,
      [1, 2].map((n) => ({ key: keys[n - 1], n })),
      "another name: each record once, under the same key",
    );

    posts.length = 0;
    isRefusing = true;
    await finished(mended, { name: "refused", ...again });
    isRefusing = false;
    const refused = (await lettersOf(mended, 8)).slice(6);
    assert.equal(
      refused.map(({ code, source }) => [code, source]),
      [
        ["SINK_REJECTED", first?.source],
        ["SINK_REJECTED", { ...(first?.source as object), offset: 2 }],
      ],
    );
    await finished(mended, { name: "straight", channel: "dead_letters/hook", sink: "hook" });
    assert.equal(
      posts,
      [1, 2].map((n) => ({ key: keys[n - 1], n })),
    );
    await mended.end();
    hook.close();
  }));

test("a rejected event that a step fails on stays the event that was sent", async () => {
  const hook = await endpoint(() => 200);
  const node = await runningNode(`
log: { type: memory }
streams:
  orders: { partitions: 2, durability: memory, schema: { type: object, properties: { n: { type: integer, maximum: 9 } } } }
sinks: { hook: { type: http, url: "${hook.url}" } }
pipelines: { p: { from: orders, steps: [{ filter: "event.amount > 1" }], to: [hook] } }
`);
  await send(node, 10, 11);
  for (const name of ["a", "b"]) {
    const done = await finished(node, { name, channel: "rejected", pipeline: "p" });
    assert.equal([done.deliveredRecords, done.deadLetters], [0, 1]);
  }
  const path = "/v1/streams/orders/partitions/0/records?channel=dead_letters/hook&from=earliest";
  const { records } = (await (await fetch(`${node.address}${path}`)).json()) as { records: { event: unknown }[] };
  const found = records.map(({ event }) => fromJsonValue(event) as Record<string, unknown>);
  for (const { original } of found) assert.equal(decodeSlice(original as Uint8Array), { n: 10 });
  assert.is((found[0]?.source as Record<string, unknown>).channel, "rejected");
  const again = await finished(node, { name: "c", channel: "dead_letters/hook", pipeline: "p" });
  assert.equal([again.records, again.deadLetters], [2, 1], "one event, set aside twice");
  hook.close();
  await node.end();
});

test("a node that is stopped in the middle of a replay goes on with it when it starts again", () =>
  inFolder(async (folder) => {
    let isAway = false;
    let taken = 0;
    const hook = await endpoint(() => {
      taken += 1;
      return isAway || taken > 30 ? 503 : 200;
    });
    const yaml = `
log: { type: lmdb }
streams: { orders: { partitions: 2 } }
sinks: { hook: { type: http, url: "${hook.url}" } }
`;
    const first = await runningNode(yaml, { folder });
    await send(first, 0, 100);
    const begun = await call(first, "POST", "", { name: "r", stream: "orders", sink: "hook" });
    assert.equal([begun.status, begun.body.state, begun.body.records], [200, "running", 100]);
    await eventually(async () => {
      const { body } = await call(first, "GET", "/r");
      return (body.waiting as unknown[]).length > 0 ? true : undefined;
    });
    await first.end();
    taken = Number.NEGATIVE_INFINITY;
    isAway = false;
    const second = await runningNode(yaml, { folder });
    const done = await eventually(async () => {
      const { body } = await call(second, "GET", "/r");
      return body.state === "done" ? body : undefined;
    });
    assert.is(done.doneRecords, 100);
    assert.equal(
      [...hook.taken.values()].map(([n]) => Number(n)).sort((left, right) => left - right),
      range(0, 100),
      "each record under a key of its own, the same one before and after",
    );
    await second.end();
    hook.close();
  }));

test("replays R3: a cancelled replay that is begun again goes on from its position", async () => {
  let isAway = true;
  const hook = await endpoint(() => (isAway ? 503 : 200));
  const node = await runningNode(`
log: { type: memory }
streams: { orders: { partitions: 2, durability: memory } }
sinks: { hook: { type: http, url: "${hook.url}" } }
`);
  await send(node, 0, 10);
  await call(node, "POST", "", { name: "c", stream: "orders", sink: "hook", from: { offset: 2 } });
  const cancelled = await replay(node, "--into-sink", "hook", "--name", "c", "--from", "2", "--cancel");
  assert.equal([cancelled.code, cancelled.summary.state], [0, "cancelled"]);
  isAway = false;
  const again = await finished(node, { name: "c", sink: "hook", from: { offset: 2 } });
  assert.equal([again.state, again.deliveredRecords], ["done", 6]);
  assert.is(hook.taken.size, 6);
  hook.close();
  await node.end();
});

test("events that validation set aside go into a sink as they were sent", async () => {
  const node = await runningNode(`
log: { type: memory }
streams:
  orders: { partitions: 2, durability: memory, schema: { type: object, properties: { n: { type: integer, maximum: 9 } } } }
sinks: { bad: { type: file, directory: bad } }
`);
  await send(node, 0, 20);
  const done = await finished(node, { name: "bad", channel: "rejected", sink: "bad" });
  assert.equal([done.records, done.deliveredRecords], [10, 10]);
  assert.equal(await filed(node, "bad", "bad"), range(10, 20));
  const metrics = await (await fetch(`${node.address}/metrics`)).text();
  assert.match(metrics, /headrace_records_replayed_total\{[^}]*sink="bad"[^}]*\} 10/);
  await node.end();
});

test("a replay into a derived stream is exactly once, beside what its pipeline derived", async () => {
  const node = await runningNode(`
log: { type: memory }
streams: { orders: { partitions: 2, durability: memory }, copy: { partitions: 1, durability: memory } }
sinks: { copied: { type: stream, stream: copy } }
pipelines: { p: { from: orders, to: [copied] } }
`);
  await send(node, 0, 20);
  const copies = () => node.directory.partition("copy", 0)?.feed?.committedOffset("records");
  await eventually(() => (copies() === 20 ? true : undefined));
  for (const run of [1, 2]) {
    await finished(node, { name: "s", pipeline: "p" });
    assert.is(copies(), 40, `after run ${run}`);
  }
  await node.end();
});

test("a request that cannot be replayed is refused with the reason, before anything begins", () =>
  inFolder(async (folder) => {
    await writeFile(join(folder, "steps.mjs"), "export const same = (event) => event;\n");
    const node = await runningNode(
      `
log: { type: memory }
streams:
  orders: { partitions: 2, durability: memory }
  other: { partitions: 1, durability: memory }
sinks: { a: { type: stdout }, b: { type: stdout } }
pipelines:
  own: { from: orders, steps: [{ call: "./steps.mjs#same" }], to: [a] }
  elsewhere: { from: other, to: [b] }
security: { tokens: [{ name: reader, valueEnv: READER, scopes: [consume] }, { name: boss, valueEnv: BOSS, scopes: [admin] }] }
`,
      { folder, secrets: { READER, BOSS } },
    );
    const post = async (body: object, token = BOSS) => {
      const response = await fetch(`${node.address}/v1/replays`, {
        method: "POST",
        body: JSON.stringify({ name: "x", stream: "orders", ...body }),
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      });
      return `${response.status} ${((await response.json()) as { message?: string }).message}`;
    };
    assert.match(await post({ sink: "a" }, READER), /^403 .*scope admin/);
    assert.match(await post({ sink: "c" }), /^400 .*sink must be one of \[a, b\]/);
    assert.match(await post({ pipeline: "own" }), /^400 .*steps of pipeline own must be filters and maps/);
    assert.match(await post({ pipeline: "elsewhere" }), /^400 .*must read the stream/);
    assert.match(await post({ sink: "a", pipeline: "own" }), /^400 .*into a sink or into a pipeline/);
    assert.match(await post({ sink: "a", channel: "dead_letters/c" }), /^400 .*dead letters must be one of/);
    assert.match(await post({ sink: "a", partitions: [7] }), /^404 .*partition 7/);
    assert.match(await post({ sink: "a", from: { offset: -1 } }), /^400 .*\/from/);
    assert.match(await post({ sink: "a", name: "../x" }), /^400 .*its name/);
    assert.match(await post({ sink: "a" }), /^200/);
    assert.match(await post({ sink: "b" }), /^400 .*another one of that name/);
    await node.end();
  }));

test("exactly one target must be named", async () => {
  const two = await headrace(["replay", "orders", "--into-sink", "a", "--into-stream", "b"]);
  assert.is(two.code, 64);
  assert.match(two.stderr, /exactly one of --into-stream, --into-sink and --into-pipeline/);
});

test.run();
