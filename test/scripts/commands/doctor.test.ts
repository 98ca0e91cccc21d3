import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { runningNode } from "../../support/processes/running_node.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-doctor-"));
});
test.after(() => rm(folder, { recursive: true, force: true }));

async function doctor(yaml: string, address = "http://127.0.0.1:1") {
  await writeFile(join(folder, "headrace.yaml"), yaml);
  const ended = await headrace(["doctor", "--json", "--address", address], { folder });
  const checks = jsonLines(ended.stdout);
  const verdictOf = (name: string) => checks.find((check) => String(check.name).startsWith(name))?.verdict;
  return { code: ended.code, stderr: ended.stderr, checks, verdictOf };
}

test("a sound machine and a running node are ok, and the port that the node holds is no fault", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: { orders: {} }\n");
  const { code, verdictOf, checks } = await doctor(`node: { port: ${node.port} }\n`, node.address);
  await node.end();
  assert.is(code, 0, JSON.stringify(checks));
  for (const name of ["runtime", "configuration", "package lmdb", "data folder", "node at", "port"]) {
    assert.is(verdictOf(name), "ok", name);
  }
});

test("a node that does not answer is a warning, a configuration with a typo a failure", async () => {
  const { code, verdictOf } = await doctor("node: { prot: 1 }\n");
  assert.is(code, 1);
  assert.is(verdictOf("node at"), "warn");
  assert.is(verdictOf("configuration"), "fail");
});

test("a port that another program holds is a failure", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: {}\n");
  const { code, verdictOf } = await doctor(`node: { port: ${node.port} }\n`);
  await node.end();
  assert.is(code, 1);
  assert.is(verdictOf("port"), "fail");
});

test("a Redis that does not flush as the tiers need fails, and the advice names the setting", async () => {
  const redis = await startRedis({ appendfsync: "everysec", maxmemoryPolicy: "allkeys-lru" });
  const log = `node: { port: 0 }\nlog: { type: redis, url: "${redis.url}" }\n`;
  const careless = await doctor(`${log}streams: { orders: {} }\n`);
  assert.is(careless.code, 1);
  assert.is(careless.verdictOf(`redis redis://127.0.0.1:${redis.port}`), "ok");
  assert.is(careless.verdictOf("redis appendonly"), "ok");
  assert.is(careless.verdictOf("redis appendfsync"), "fail");
  assert.is(careless.verdictOf("redis maxmemory-policy"), "fail");
  const advice = careless.checks.find(({ name }) => name === "redis appendfsync")?.advice;
  assert.is(advice, "redis-cli config set appendfsync always");
  const modest = await doctor(`${log}streams: { orders: { durability: everysec } }\n`);
  assert.is(modest.verdictOf("redis appendfsync"), "ok");
  await redis.stop();
  const gone = await doctor(`${log}streams: {}\n`);
  assert.is(gone.code, 1);
  assert.is(gone.verdictOf("redis redis://"), "fail");
  assert.not.match(gone.stderr, /^\s+at /m);
});

test("every named node of a Redis Cluster is checked, and the master that sentinels name", async () => {
  const [one, other] = [await startRedis(), await startRedis()];
  const nodes = await doctor(
    `node: { port: 0 }\nlog: { type: redis, urls: ["${one.url}", "${other.url}"] }\nstreams: {}\n`,
  );
  assert.is(nodes.verdictOf(`redis ${one.url}`), "ok");
  assert.is(nodes.verdictOf(`redis ${other.url}`), "ok");
  await other.stop();
  const away = `node: { port: 0 }\nlog: { type: redis, sentinel: { master: main, urls: ["${other.url}"] } }\nstreams: {}\n`;
  assert.is((await doctor(away)).verdictOf("redis main"), "fail");
  await one.stop();
});

test.run();
