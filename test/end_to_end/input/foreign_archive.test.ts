/**
 * A file sink whose folder holds segments of another log: after a wrong data folder, a lost log, or a log in memory.
 */
import { mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";

interface Standing {
  readonly state: string;
  readonly reason?: string;
  readonly needsPerson?: boolean;
  readonly lagRecords: number;
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-archive-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const configuration = (folder: string, log: string) => `
log: { type: ${log} }
streams: { orders: { partitions: 1 } }
sinks: { out: { type: file, directory: ${JSON.stringify(join(folder, "out"))}, segmentAgeMaxMs: 50 } }
pipelines: { p: { from: orders, to: [out] } }
`;

const standing = async (node: TestNode): Promise<Standing | undefined> => {
  const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as { sinks: Standing[] };
  return sinks[0];
};

async function send(node: TestNode, ...values: number[]): Promise<void> {
  const url = `${node.address}/v1/streams/orders/events`;
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url, {
    method: "POST",
    headers,
    body: JSON.stringify(values.map((value) => ({ value }))),
  });
  assert.is(answer.status, 200);
}

/** The values of the published segments, in order. */
async function published(folder: string): Promise<number[]> {
  const partition = join(folder, "out", "orders", "0");
  const names = (await readdir(partition).catch(() => [])).filter((name) => name.endsWith(".ndjson")).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(partition, name), "utf8")));
  return texts.flatMap((text) => text.trim().split("\n")).map((line) => (JSON.parse(line) as { value: number }).value);
}

const publishes = (folder: string, count: number) =>
  eventually(async () => ((await published(folder)).length === count ? true : undefined));

async function waits(node: TestNode): Promise<Standing> {
  return await eventually(async () => {
    const found = await standing(node);
    return found?.state === "retrying" ? found : undefined;
  });
}

test("a node on another data folder leaves the folder alone and says why, and the right node goes on", () =>
  inFolder(async (folder) => {
    const start = (data: string) => runningNode(configuration(folder, "lmdb"), { folder: join(folder, data) });
    const right = await start("right");
    await send(right, 1, 2, 3);
    await publishes(folder, 3);
    await right.stop(5_000);
    for (const life of [1, 2]) {
      const wrong = await start("wrong");
      await send(wrong, 100 + life);
      const { reason = "", needsPerson, lagRecords } = await waits(wrong);
      assert.match(reason, /must belong to log [-0-9a-f]{36}: it belongs to log [-0-9a-f]{36}/);
      assert.ok(reason.includes(join(folder, "out", "orders", "0")));
      assert.is(needsPerson, true);
      assert.is(lagRecords, life);
      const doctor = await headrace(["doctor", "--json", "--address", wrong.address], { folder });
      const found = jsonLines(doctor.stdout).find(({ name }) => name === "sink out");
      assert.is(found?.verdict, "fail");
      assert.match(String(found?.detail), /waits in orders\/0: Cannot write to/);
      assert.match(wrong.logged.join("\n"), /trying again to open: Cannot write to/);
      await wrong.stop(5_000);
      assert.equal(await published(folder), [1, 2, 3]);
    }
    const back = await start("right");
    await send(back, 4);
    await publishes(folder, 4);
    assert.equal(await published(folder), [1, 2, 3, 4]);
    await back.stop(5_000);
  }));

for (const log of ["memory", "lmdb"]) {
  test(`a new log (${log}) goes on by itself once the folder of the log before it is moved away`, () =>
    inFolder(async (folder) => {
      const start = () => runningNode(configuration(folder, log), { folder });
      const first = await start();
      await send(first, 1, 2);
      await publishes(folder, 2);
      await first.stop(5_000);
      if (log === "lmdb") await rename(join(folder, "data", "log"), join(folder, "data", "log.damaged"));
      const second = await start();
      await send(second, 10, 20, 30);
      await waits(second);
      assert.equal(await published(folder), [1, 2]);
      await rename(join(folder, "out"), join(folder, "out.before"));
      await publishes(folder, 3);
      assert.equal(await published(folder), [10, 20, 30]);
      await second.stop(5_000);
    }));
}

test.run();
