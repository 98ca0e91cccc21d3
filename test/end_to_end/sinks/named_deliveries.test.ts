import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { deliveryFolder } from "../../../actors/sinks/file/file_layout.ts";
import { partitionId } from "../../../protocols/position.ts";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";
import { readFileSink } from "../../support/read_file_sink.ts";

/** Events that pass one pipeline as they are, and the other one with 1,000 added. */
const yaml = (url: string) => `
log: { type: lmdb }
streams: { orders: { partitions: 1 }, copies: { partitions: 1 } }
sinks:
  files: { type: file, directory: files }
  hook: { type: http, url: "${url}", recordsPerRequest: 1 }
  copied: { type: stream, stream: copies }
pipelines:
  plain: { from: orders, to: [files, hook, copied] }
  more:
    from: orders
    steps: [{ map: { n: event.n + 1000.0 } }]
    to: [{ sink: files, as: slow }, { sink: hook, as: slow }, { sink: copied, as: slow }]
`;

/** An endpoint that takes each key once, and refuses the numbers in `refused`. */
async function endpoint() {
  const taken: number[] = [];
  const keys = new Set<unknown>();
  const refused = new Set<number>();
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    const { n } = JSON.parse(body) as { n: number };
    if (refused.has(n)) return void response.writeHead(422).end("refused");
    const key = request.headers["idempotency-key"];
    if (!keys.has(key)) taken.push(n);
    keys.add(key);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return { taken, keys, refused, url, close: () => server.close() };
}

interface Standing {
  readonly sink: string;
  readonly as?: string;
  readonly nextOffset: number;
  readonly deadLettersStored: number;
}

const standings = async (node: TestNode): Promise<Record<string, Standing>> => {
  const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as { sinks: Standing[] };
  return Object.fromEntries(sinks.map((one) => [`${one.sink} ${one.as ?? "-"}`, one]));
};

const NAMES = ["copied -", "copied slow", "files -", "files slow", "hook -", "hook slow"];

async function delivered(node: TestNode, count: number): Promise<Record<string, Standing>> {
  return await eventually(async () => {
    const found = await standings(node);
    return NAMES.every((name) => found[name]?.nextOffset === count) ? found : undefined;
  });
}

async function filed(
  node: TestNode,
  checkpoint: string,
  of: { readonly as?: string; readonly replay?: string },
): Promise<number[]> {
  const stored = node.directory.partition("orders", 0)?.feed?.readCheckpoint(checkpoint);
  const partition = { stream: "orders", partition: partitionId(0) };
  const texts = await readFileSink(deliveryFolder(join(node.folder, "data", "files"), of), partition, stored);
  return jsonLines(texts.join("")).map((line) => line.n as number);
}

const byNumber = (numbers: readonly number[]) => [...numbers].sort((left, right) => left - right);

test("two pipelines of a stream deliver to the same sinks, each exactly once and with a standing of its own, over a restart", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-named-"));
  const hook = await endpoint();
  hook.refused.add(1002);
  const send = async (node: TestNode, from: number, to: number) => {
    const producer = node.producer({ producerId: `p${from}`, stream: "orders" });
    for (let n = from; n < to; n += 1) await producer.send({ n }, { partition: 0 });
    await producer.close();
  };
  const first = await runningNode(yaml(hook.url), { folder });
  await send(first, 0, 4);
  const found = await delivered(first, 4);
  assert.equal(Object.keys(found).sort(), NAMES);
  assert.equal([found["hook -"]?.deadLettersStored, found["hook slow"]?.deadLettersStored], [0, 1]);
  const metrics = await (await fetch(`${first.address}/metrics`)).text();
  for (const of of ['sink="files",as="slow"', 'sink="files"']) {
    assert.match(metrics, new RegExp(`headrace_records_delivered_total\\{${of},stream="orders",[^}]*\\} 4\n`));
    assert.match(metrics, new RegExp(`headrace_sink_lag_records\\{${of},stream="orders",partition="0",[^}]*\\} 0\n`));
  }
  assert.equal(await first.end(), []);

  const node = await runningNode(yaml(hook.url), { folder });
  await send(node, 4, 6);
  await delivered(node, 6);
  assert.equal(await filed(node, "sink/files", {}), [0, 1, 2, 3, 4, 5]);
  assert.equal(await filed(node, "sink/files@slow", { as: "slow" }), [1000, 1001, 1002, 1003, 1004, 1005]);
  assert.equal(byNumber(hook.taken), [0, 1, 2, 3, 4, 5, 1000, 1001, 1003, 1004, 1005]);
  assert.is([...hook.keys].filter((key) => String(key).startsWith("@slow/orders/0/")).length, 5);
  const path = "/v1/streams/copies/partitions/0/records?limit=100";
  const copies = (await (await fetch(`${node.address}${path}`)).json()) as { records: { event: { n: number } }[] };
  const numbers = byNumber(copies.records.map(({ event }) => event.n));
  assert.equal(numbers, [0, 1, 2, 3, 4, 5, 1000, 1001, 1002, 1003, 1004, 1005]);

  hook.refused.clear();
  const args = ["--dead-letters", "hook@slow", "--into-sink", "hook@slow", "--json", "--address", node.address];
  for (const name of [[], ["--name", "again"]]) {
    const ended = await headrace(["replay", "orders", ...name, ...args]);
    assert.is(ended.code, 0, ended.stderr);
    if (name.length === 0) assert.match(ended.stdout, /dead_letters-hook:slow-earliest-sink-hook:slow/);
    assert.is(hook.taken.filter((n) => n === 1002).length, 1, "the letter is sent, and no second time");
  }
  const replayed = await headrace([
    "replay",
    "orders",
    "--into-pipeline",
    "more",
    "--name",
    "r",
    "--json",
    "--address",
    node.address,
  ]);
  assert.is(replayed.code, 0, replayed.stderr);
  assert.equal(
    await filed(node, "sink/files@slow/replay/r", { as: "slow", replay: "r" }),
    [1000, 1001, 1002, 1003, 1004, 1005],
  );
  assert.equal(await node.end(), []);
  hook.close();
  await rm(folder, { recursive: true });
});

test.run();
