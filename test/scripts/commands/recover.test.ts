import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace, jsonLines } from "../../support/processes/headrace_command.ts";
import { runningNode } from "../../support/processes/running_node.ts";
import { ask, requireRedis, startRedis } from "../../support/redis/redis_server.ts";

requireRedis();

test("an emptied store is reported and refused, until its loss is accepted", async () => {
  const redis = await startRedis({ appendfsync: "always" });
  const folder = await mkdtemp(join(tmpdir(), "headrace-recover-"));
  const yaml = `log: { type: redis, url: "${redis.url}" }\nstreams: { orders: { partitions: 1 } }\n`;
  await writeFile(join(folder, "headrace.yaml"), yaml);
  const recover = async (...args: string[]) => {
    const ended = await headrace(["recover", "--data", "data", "--json", ...args], { folder });
    return { code: ended.code, state: jsonLines(ended.stdout)[0]?.state, stderr: ended.stderr };
  };
  const startAndStop = async () => await (await runningNode(yaml, { folder })).stop(5_000);

  assert.equal(await recover(), { code: 64, state: "unknown", stderr: "" });
  await startAndStop();
  assert.equal(await recover(), { code: 0, state: "sound", stderr: "" });
  await ask(redis.port, "FLUSHALL\r\n");
  const refusal = await startAndStop().then(
    () => "it started",
    (error: { code?: string }) => error.code,
  );
  assert.is(refusal, "STORE_LOST");
  assert.equal(await recover(), { code: 69, state: "lost", stderr: "" });
  assert.equal(await recover("--accept-loss"), { code: 0, state: "accepted", stderr: "" });
  assert.equal(await recover(), { code: 0, state: "sound", stderr: "" });
  assert.equal(await startAndStop(), []);
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

test("an embedded log whose data file is gone is reported and refused, until its loss is accepted", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-recover-"));
  const yaml = "streams: { orders: { partitions: 1 } }\n";
  await writeFile(join(folder, "headrace.yaml"), yaml);
  const recover = async (...args: string[]) => {
    const ended = await headrace(["recover", "--data", "data", "--json", ...args], { folder });
    return { code: ended.code, state: jsonLines(ended.stdout)[0]?.state };
  };
  const startAndStop = async () => await (await runningNode(yaml, { folder })).stop(5_000);
  assert.equal(await recover(), { code: 64, state: "unknown" });
  await startAndStop();
  assert.equal(await recover("--accept-loss"), { code: 0, state: "sound" });
  await rm(join(folder, "data", "log", "data.mdb"));
  const refusal = await startAndStop().then(
    () => "it started",
    (error: { code?: string }) => error.code,
  );
  assert.is(refusal, "STORE_LOST");
  assert.equal(await recover(), { code: 69, state: "lost" });
  assert.equal(await recover("--accept-loss"), { code: 0, state: "accepted" });
  assert.equal(await startAndStop(), []);
  await rm(folder, { recursive: true, force: true });
});

test("a log in memory has no store to lose", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-recover-"));
  await writeFile(join(folder, "headrace.yaml"), "log: { type: memory }\nstreams: {}\n");
  const ended = await headrace(["recover"], { folder });
  assert.is(ended.code, 0);
  assert.match(ended.stdout, /nothing to recover/);
  await rm(folder, { recursive: true, force: true });
});

test.run();
