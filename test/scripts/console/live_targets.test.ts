import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createSocketServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { settledWithin } from "../../../actors/kernel/settled_within.ts";
import { checkFile } from "../../../scripts/console/check_file.ts";
import { tryTargets } from "../../../scripts/console/live_targets.ts";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";

let folder: string;
let port: number;
const server = createServer((request, response) => {
  response.writeHead(request.url === "/refused" ? 403 : 405).end();
});
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-targets-"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
test.after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

async function put(paths: Readonly<Record<string, string>>): Promise<string> {
  const sinks = Object.entries(paths).map(([name, url]) => `  ${name}: { type: http, url: "${url}" }`);
  const file = join(folder, "headrace.yaml");
  const pipeline = `pipelines: { p: { from: s, to: [${Object.keys(paths).join()}, out] } }`;
  await writeFile(file, `streams: { s: {} }\n${pipeline}\nsinks:\n${sinks.join("\n")}\n  out: { type: stdout }\n`);
  return file;
}

test("lint --connect tells each target that does not take this node, by its line, and ends with 69", async () => {
  await put({ good: `http://127.0.0.1:${port}/in`, bad: `http://127.0.0.1:${port}/refused` });
  const plain = await headrace(["lint", "--connect"], { folder });
  assert.is(plain.code, 69, plain.stderr);
  assert.match(plain.stdout, /^headrace.yaml: sinks\/good: reached\n/m);
  assert.match(plain.stdout, /^headrace.yaml:5: \/sinks\/bad: not reached: Cannot post to .* is 403$/m);
  assert.not.match(plain.stdout, /out/, "a kind without a live check is left out");
  const lines = jsonLines((await headrace(["lint", "--connect", "--json"], { folder })).stdout);
  assert.equal(
    lines.map(({ kind, path, isReached }) => [kind, path, isReached]),
    [
      ["target", "/sinks/good", true],
      ["target", "/sinks/bad", false],
      ["summary", undefined, undefined],
    ],
  );
});

test("lint without --connect touches no target, and with it a sound one ends with 0", async () => {
  await put({ bad: "http://127.0.0.1:1/" });
  assert.is((await headrace(["lint"], { folder })).code, 0);
  await put({ good: `http://127.0.0.1:${port}/in` });
  assert.is((await headrace(["lint", "--connect"], { folder })).code, 0);
});

test("doctor fails for a target that is out of reach, with its reason", async () => {
  await put({ bad: "http://127.0.0.1:1/" });
  const ended = await headrace(["doctor", "--json", "--address", "http://127.0.0.1:1"], { folder });
  assert.is(ended.code, 1);
  const check = jsonLines(ended.stdout).find(({ name }) => name === "target of sinks/bad");
  assert.is(check?.verdict, "fail");
  assert.match(String(check?.detail), /ECONNREFUSED/);
});

test("silent targets are tried side by side, each within its own deadline", async () => {
  const silent = createSocketServer((socket) => socket.resume());
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
  const checked = await checkFile(await put({ one: url, two: url }));
  if (checked.kind !== "sound") throw new Error("not sound");
  const reasons = (await tryTargets(checked.configuration, 50)).map(({ name, reason }) => [name, reason]);
  const late = "no answer within 50 ms";
  assert.equal(reasons, [
    ["one", late],
    ["two", late],
  ]);
  const closed = new Promise((resolve) => silent.close(resolve));
  assert.ok(await settledWithin(closed, 5_000), "both calls were told to end");
});

test.run();
