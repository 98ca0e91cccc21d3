import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { nodeOfEachTest, runningNode, type TestNode } from "../../support/processes/running_node.ts";

const ORDERS = `
log: { type: memory }
streams:
  orders:
    partitions: 3
    key: /customer
    durability: memory
    schema: { type: object, properties: { amount: { type: number, minimum: 0 } } }
  notes: { partitions: 1, durability: memory }
`;

const node = nodeOfEachTest(test, ORDERS);
let folder: string;
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-backup-"));
  const producer = node.producer({ producerId: "p", stream: "orders" });
  for (let n = 0; n < 600; n += 1) await producer.send({ customer: `c${n % 9}`, amount: n });
  await producer.send({ customer: "bad", amount: -1 });
  const at = new Date(1_700_000_000_000);
  await producer.send({ at, bytes: new Uint8Array([1, 2, 255]), big: 2n ** 60n }, { stream: "notes" });
  await producer.close();
});
test.after.each(async () => {
  await rm(folder, { recursive: true, force: true });
});

const backup = (name: string, ...args: string[]) =>
  headrace(["backup", join(folder, name), "--json", "--address", node.address, ...args]);
const restore = (into: TestNode, name: string, ...args: string[]) =>
  headrace(["restore", join(folder, name), "--json", "--address", into.address, ...args]);
async function recordsOf(from: TestNode, stream: string, partition: number) {
  const args = ["tail", stream, "--partition", String(partition), "--from", "earliest", "--no-follow"];
  return jsonLines((await headrace([...args, "--address", from.address])).stdout);
}

test("a backup is restored in order, each partition as it was, and a second restore changes nothing", async () => {
  const saved = await backup("all");
  assert.is(saved.code, 0, saved.stderr);
  const [summary] = jsonLines(saved.stdout);
  assert.equal([summary?.records, summary?.rejected], [601, 1]);
  const empty = await runningNode(ORDERS);
  const first = await restore(empty, "all");
  assert.is(first.code, 0, first.stderr);
  assert.is(jsonLines(first.stdout)[0]?.accepted, 601);
  const again = await restore(empty, "all");
  assert.equal([jsonLines(again.stdout)[0]?.accepted, jsonLines(again.stdout)[0]?.alreadyStored], [0, 601]);
  for (let partition = 0; partition < 3; partition += 1) {
    assert.equal(await recordsOf(empty, "orders", partition), await recordsOf(node, "orders", partition));
  }
  assert.equal(await recordsOf(empty, "notes", 0), [
    { at: { $time: "2023-11-14T22:13:20.000Z" }, bytes: { $bytes: "AQL/" }, big: { $int: "1152921504606846976" } },
  ]);
  await empty.end();
});

test("a restore refuses a partition with other records, and a stream with other partitions", async () => {
  await backup("shape", "--stream", "orders");
  const filled = await restore(node, "shape");
  assert.is(filled.code, 64);
  assert.match(filled.stderr, /must be empty: it holds \d+ records of others/);
  const other = await runningNode(ORDERS.replace("partitions: 3", "partitions: 2"));
  const refused = await restore(other, "shape");
  await other.end();
  assert.is(refused.code, 64);
  assert.match(refused.stderr, /must have 3 partitions, as it had: current value is 2/);
});

test("a damaged backup is reported before any event is sent", async () => {
  await backup("damaged", "--stream", "notes");
  const sound = await headrace(["restore", join(folder, "damaged"), "--verify-only"]);
  assert.is(sound.code, 0, sound.stderr);
  const file = join(folder, "damaged", "notes-0.records.ndjson");
  await writeFile(file, (await readFile(file, "utf8")).replace("AQL/", "AQL+"));
  const empty = await runningNode(ORDERS);
  const ended = await restore(empty, "damaged");
  assert.is(ended.code, 65);
  assert.match(ended.stderr, /must have the checksum/);
  assert.equal(await recordsOf(empty, "notes", 0), []);
  await empty.end();
});

test("a backup does not write to a folder that holds files", async () => {
  await writeFile(join(folder, "notes.txt"), "");
  const ended = await headrace(["backup", folder, "--address", node.address]);
  assert.is(ended.code, 64);
  assert.match(ended.stderr, /must be empty/);
});

test.run();
