import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines, startCommand } from "../../support/processes/headrace_command.ts";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const ORDERS = `
log: { type: memory }
streams:
  free: { partitions: 2, durability: memory }
  orders:
    partitions: 4
    key: /customer
    durability: memory
    schema:
      type: object
      required: [customer, amount]
      properties: { customer: { type: string }, amount: { type: number, minimum: 0 } }
`;

const node = nodeOfEachTest(test, ORDERS);
let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-produce-"));
});
test.after(async () => {
  await rm(folder, { recursive: true, force: true });
});

const at = () => ["--address", node.address];
const fileOf = async (name: string, text: string): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
};
async function eventsOf(stream: string): Promise<Record<string, unknown>[]> {
  const ended = await headrace(["tail", stream, "--from", "earliest", "--no-follow", ...at()]);
  assert.is(ended.code, 0, ended.stderr);
  return jsonLines(ended.stdout);
}

test("NDJSON from stdin is accepted and can be read back, and rejected events are listed with line, path and reason", async () => {
  const input = '{"customer":"a","amount":1}\n{"customer":"b","amount":-2}\n\nnot json\n{"customer":"c","amount":3}\n';
  const ended = await headrace(["produce", "orders", ...at()], { input });
  assert.is(ended.code, 65);
  assert.match(ended.stdout, /orders: 2 accepted, 2 rejected, 0 in doubt/);
  assert.match(ended.stderr, /^stdin:2: SCHEMA_VIOLATION at \/amount: must be >= 0/m);
  assert.match(ended.stderr, /^stdin:4: MALFORMED_EVENT/m);
  assert.not.match(ended.stderr, /^\s+at /m);
  const amounts = (await eventsOf("orders")).map((event) => event.amount);
  assert.equal(amounts.sort(), [1, 3]);
});

test("with --json rejected events and the summary are lines of JSON", async () => {
  const input = '{"customer":"a","amount":-1}\n{"customer":"a","amount":5}\n';
  const ended = await headrace(["produce", "orders", "--json", ...at()], { input });
  const [rejected, summary] = jsonLines(ended.stdout);
  assert.equal(
    { kind: rejected?.kind, line: rejected?.line, path: rejected?.path },
    { kind: "rejected", line: 1, path: "/amount" },
  );
  assert.is(summary?.accepted, 1);
  assert.is(summary?.rejected, 1);
});

test("a JSON array, CSV and plain lines become the same events, whatever their layout", async () => {
  const array = await fileOf("a.json", '[\n {"n": 1, "text": "a ] , \\" b"},\n{"n":2,"deep":{"list":[1,[2]]}} ]\n');
  const csv = await fileOf("b.csv", '\ufeffn,text,code\r\n3,"two\nlines",007\r\n4.5,,true\r\n');
  const lines = await fileOf("c.log", "first line\nsecond line");
  const ended = await headrace(["produce", "free", array, csv, lines, ...at()]);
  assert.is(ended.code, 0, ended.stderr);
  const events = await eventsOf("free");
  const found = (field: string) => events.filter((event) => event[field] !== undefined);
  assert.equal(
    found("n").sort((left, right) => Number(left.n) - Number(right.n)),
    [
      { n: 1, text: 'a ] , " b' },
      { n: 2, deep: { list: [1, [2]] } },
      { n: 3, text: "two\nlines", code: "007" },
      { n: 4.5, code: true },
    ],
  );
  assert.equal(
    found("line")
      .map(({ line }) => line)
      .sort(),
    ["first line", "second line"],
  );
});

test("an import that is resumed sends only the missing events, so that every event is stored once", async () => {
  const first = Array.from({ length: 700 }, (_, n) => JSON.stringify({ customer: `r${n % 5}`, amount: n })).join("\n");
  const all = `${first}\n${JSON.stringify({ customer: "r1", amount: 700 })}\n`;
  const file = await fileOf("orders.ndjson", first);
  const args = ["produce", "orders", file, "--producer", "import-1", "--resume", "--json", ...at()];
  const [before] = jsonLines((await headrace(args)).stdout);
  assert.is(before?.accepted, 700);
  await writeFile(file, all);
  const [after] = jsonLines((await headrace(args)).stdout);
  assert.equal([after?.accepted, after?.alreadyStored], [1, 700]);
  const amounts = (await eventsOf("orders"))
    .filter(({ customer }) => /^r/.test(String(customer)))
    .map(({ amount }) => Number(amount));
  assert.equal(
    amounts.sort((left, right) => left - right),
    Array.from({ length: 701 }, (_, n) => n),
  );
});

test("an unknown stream, file and option each have an error and an exit code of their own", async () => {
  const stream = await headrace(["produce", "ordres", ...at()], { input: '{"a":1}\n' });
  assert.is(stream.code, 64);
  assert.match(stream.stderr, /UNKNOWN_STREAM/);
  const file = await headrace(["produce", "orders", "nowhere.ndjson", ...at()]);
  assert.is(file.code, 66);
  assert.match(file.stderr, /Cannot read nowhere.ndjson/);
  const option = await headrace(["produce", "orders", "--colour", "red"]);
  assert.is(option.code, 64);
  for (const { stderr } of [stream, file, option]) assert.not.match(stderr, /^\s+at /m);
});

test("a node that is out of reach is reported with advice, and the exit code is 69", async () => {
  const ended = await headrace(["produce", "orders", "--address", "http://127.0.0.1:1"], { input: '{"a":1}\n' });
  assert.is(ended.code, 69);
  assert.match(ended.stderr, /Cannot reach http:\/\/127.0.0.1:1 .*headrace up/);
});

test("a node that answers HTTP and refuses the upgrade ends the command within seconds, with the reason", async () => {
  const server = createServer((request, response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify({ streams: [] }));
    request.resume();
  });
  server.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const args = ["produce", "orders", "--give-up", "10m", "--address", `http://127.0.0.1:${port}`];
  const ended = await headrace(args, { input: '{"a":1}\n' });
  assert.match(ended.stderr, /must accept the upgrade: it answered 403, likely as the node does not allow this Origin/);
  assert.is.not(ended.code, 0);
  server.close();
});

test("Ctrl-C stores the events read so far and ends with 130", async () => {
  const running = startCommand(["produce", "free", "--json", ...at()]);
  const seen = startCommand(["tail", "free", "--from", "latest", "--limit", "1", ...at()]);
  const offered = setInterval(() => running.child.stdin.write('{"late":true}\n'), 20);
  await seen.ended;
  clearInterval(offered);
  running.child.kill("SIGINT");
  const ended = await running.ended;
  assert.is(ended.code, 130, ended.stderr);
  const [summary] = jsonLines(ended.stdout);
  assert.ok(Number(summary?.accepted) >= 1);
  assert.is(summary?.inDoubt, 0);
  assert.is((await eventsOf("free")).filter(({ late }) => late === true).length, summary?.accepted);
});

test("a named pipe is read to its end, and one without a writer does not block Ctrl-C", async () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const reading = startCommand(["produce", "free", pipe, "--json", ...at()]);
  await writeFile(pipe, '{"piped":1}\n{"piped":2}\n');
  const read = await reading.ended;
  assert.is(read.code, 0, read.stderr);
  assert.is(jsonLines(read.stdout)[0]?.accepted, 2);
  const seen = startCommand(["tail", "free", "--from", "latest", "--limit", "1", ...at()]);
  const waiting = startCommand(["produce", "free", "-", pipe, ...at()]);
  const offered = setInterval(() => waiting.child.stdin.write('{"before":"the pipe"}\n'), 20);
  await seen.ended;
  clearInterval(offered);
  waiting.child.stdin.end();
  waiting.child.kill("SIGINT");
  assert.is((await waiting.ended).code, 130);
});

test.run();
