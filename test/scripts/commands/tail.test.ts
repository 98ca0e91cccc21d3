import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines, startCommand } from "../../support/processes/headrace_command.ts";
import { headraceArguments } from "../../support/processes/headrace_program.ts";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const ORDERS = `
log: { type: memory }
security:
  tokens:
    - { name: reader, valueEnv: READER, scopes: ["consume:orders"] }
    - { name: all, valueEnv: ALL, scopes: [admin] }
streams:
  orders:
    partitions: 2
    key: /customer
    durability: memory
    schema: { type: object, properties: { amount: { type: number, minimum: 0 } } }
  secrets: { partitions: 1, durability: memory }
`;
const READER = "reader-token-reader-token-reader-token";
const ALL = "admin-token-admin-token-admin-token-admin";

const node = nodeOfEachTest(test, ORDERS, { secrets: { READER, ALL } });
let folder: string;
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-tail-"));
  await writeFile(join(folder, "token"), `${READER}\n`);
  const producer = node.producer({ producerId: "p", stream: "orders", token: ALL });
  for (let n = 0; n < 40; n += 1) await producer.send({ customer: `c${n % 4}`, amount: n });
  await producer.send({ customer: "c1", amount: -1 });
  await producer.close();
});
test.after.each(async () => {
  await rm(folder, { recursive: true, force: true });
});

const at = () => ["--address", node.address, "--token-file", join(folder, "token")];

test("from the earliest record, with positions, in order, up to a limit", async () => {
  const ended = await headrace([
    "tail",
    "orders",
    "--partition",
    "0",
    "--from",
    "earliest",
    "--limit",
    "5",
    "--json",
    ...at(),
  ]);
  assert.is(ended.code, 0, ended.stderr);
  const records = jsonLines(ended.stdout);
  assert.equal(
    records.map(({ partition, offset }) => [partition, offset]),
    [0, 1, 2, 3, 4].map((offset) => [0, offset]),
  );
  assert.is(records[0]?.producerId, "p");
  assert.ok(!Number.isNaN(Date.parse(String(records[0]?.appendedAt))));
});

test("from an offset, and from a time", async () => {
  const args = ["tail", "orders", "--partition", "0", "--no-follow", "--json", ...at()];
  const fromOffset = jsonLines((await headrace([...args, "--from", "3"])).stdout);
  assert.is(fromOffset[0]?.offset, 3);
  const fromTime = jsonLines((await headrace([...args, "--from", "1h"])).stdout);
  assert.is(fromTime[0]?.offset, 0);
  const wrong = await headrace([...args, "--from", "yesterday"]);
  assert.is(wrong.code, 64);
  assert.match(wrong.stderr, /must be earliest, latest, an offset, a time/);
});

test("rejected events come with their reason and the event as it was sent", async () => {
  const ended = await headrace([
    "tail",
    "orders",
    "--channel",
    "rejected",
    "--from",
    "earliest",
    "--no-follow",
    ...at(),
  ]);
  const [letter] = jsonLines(ended.stdout);
  assert.equal(
    [letter?.code, letter?.path, letter?.event],
    ["SCHEMA_VIOLATION", "/amount", { customer: "c1", amount: -1 }],
  );
});

test("new records are printed as they come, and Ctrl-C ends the command without a stack trace", async () => {
  const running = startCommand(["tail", "orders", ...at()]);
  const producer = node.producer({ producerId: "late", stream: "orders", token: ALL });
  let amount = 1_000;
  const offered = setInterval(() => void producer.send({ customer: "late", amount: amount++ }), 20);
  await running.line(/"late"/);
  clearInterval(offered);
  running.child.kill("SIGINT");
  const ended = await running.ended;
  await producer.close();
  assert.is(ended.code, 130);
  assert.is(ended.stderr, "");
});

test("a reader that closes its input ends the command, without an error", async () => {
  const line = `"$@" | head -n 1; echo "\${PIPESTATUS[0]}"`;
  const tail = [
    "tail",
    "orders",
    "--from",
    "earliest",
    "--address",
    node.address,
    "--token-file",
    join(folder, "token"),
  ];
  const args = ["-c", line, "bash", process.execPath, ...headraceArguments(tail)];
  const child = spawn("bash", args, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const producer = node.producer({ producerId: "flood", stream: "orders", token: ALL });
  const offered = setInterval(() => void producer.send({ customer: "flood", amount: 1 }), 20);
  await new Promise((resolve) => child.on("close", resolve));
  clearInterval(offered);
  await producer.close();
  assert.match(stdout, /^\{.*\}\n0\n$/);
  assert.is(stderr, "");
});

test("a missing or insufficient token ends with 77; one that may not see the stream ends with 64", async () => {
  const without = await headrace(["tail", "orders", "--address", node.address, "--no-follow"]);
  assert.is(without.code, 77, without.stderr);
  assert.match(without.stderr, /UNAUTHENTICATED/);
  const hidden = await headrace(["tail", "secrets", "--no-follow", ...at()]);
  assert.is(hidden.code, 64, hidden.stderr);
  assert.match(hidden.stderr, /UNKNOWN_STREAM/);
  const produced = await headrace(["produce", "orders", ...at()], { input: '{"amount":1}\n' });
  assert.is(produced.code, 77, produced.stderr);
  assert.match(produced.stderr, /FORBIDDEN/);
});

test.run();
