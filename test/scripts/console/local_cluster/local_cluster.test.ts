import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LocalCluster, startLocalCluster } from "../../../../scripts/console/local_cluster/local_cluster.ts";
import { askLocalCluster } from "../../../../scripts/console/local_cluster/local_cluster_control.ts";
import { isAlive, readState } from "../../../../scripts/console/local_cluster/local_cluster_state.ts";
import { flushOf, requireRedisServer } from "../../../../scripts/console/local_cluster/local_redis.ts";
import { configurationOf, eventually } from "../../../support/processes/running_node.ts";
import { ask, freePort, requireRedis } from "../../../support/redis/redis_server.ts";

requireRedis();

const YAML = "streams: { orders: { partitions: 2 } }\n";

async function prepared(yaml = YAML) {
  const folder = await mkdtemp(join(tmpdir(), "headrace-local-"));
  const configFile = join(folder, "given.yaml");
  await writeFile(configFile, yaml);
  return { folder: join(folder, "cluster"), configFile, nodes: 1, firstPort: 0, remove: () => removed(folder) };
}

const removed = (folder: string) => rm(folder, { recursive: true, force: true });

const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => "no error",
    (error: { code?: string; message: string }) => `${error.code} ${error.message}`,
  );

const configOf = async ({ redis }: LocalCluster, key: string): Promise<string> =>
  (await ask(redis.port, `CONFIG GET ${key}\r\n`)).split("\r\n")[4] ?? "";

test("nodes start, are found by other commands, stay gone once killed, come back when asked, and end together", async () => {
  const options = await prepared();
  let changes = 0;
  const cluster = await startLocalCluster({ ...options, nodes: 2, onChange: () => (changes += 1) });
  assert.equal(
    cluster.nodes().map(({ name, state }) => `${name} ${state}`),
    ["node-1 up", "node-2 up"],
  );
  for (const { address } of cluster.nodes()) assert.is((await fetch(`${address}/healthz`)).status, 200);
  assert.is(await configOf(cluster, "appendonly"), "yes");
  assert.is(await configOf(cluster, "appendfsync"), "always", "orders promises fsync");
  assert.is(await configOf(cluster, "maxmemory-policy"), "noeviction");
  assert.is(await configOf(cluster, "bind"), "127.0.0.1");

  assert.match(await codeOf(startLocalCluster(options)), /DATA_IN_USE .*one runs there already/);

  const state = await readState(options.folder);
  assert.ok(state !== undefined);
  assert.is((await stat(join(options.folder, "cluster.json"))).mode & 0o077, 0, "it holds a secret");
  const stranger = { ...state, control: { ...state.control, secret: "guessed" } };
  assert.is(await askLocalCluster(stranger, { kind: "kill", name: "node-1", signal: "SIGKILL" }), undefined);

  const [added] = (await askLocalCluster(state, { kind: "add" })) ?? [];
  assert.is(`${added?.name} ${added?.state}`, "node-3 up");
  const [killed] = (await askLocalCluster(state, { kind: "kill", name: "node-3", signal: "SIGKILL" })) ?? [];
  assert.is(`${killed?.state} ${killed?.ending}`, "gone SIGKILL");
  assert.not.ok(isAlive(added?.pid ?? 0));
  assert.match(await codeOf(cluster.killNode("node-3", "SIGKILL")), /UNKNOWN_NODE .*\[node-1, node-2\]/);
  assert.match(await codeOf(cluster.addNode("node-1")), /must be gone: it is up/);
  assert.match(await codeOf(cluster.addNode("../up")), /must be named node-1/);
  const again = await cluster.addNode("node-3");
  assert.is(again.state, "up");
  assert.is.not(again.pid, added?.pid);
  const told = await eventually(async () => {
    const nodes = (await readState(options.folder))?.nodes ?? [];
    return nodes[2]?.pid === again.pid && nodes[2]?.state === "up" ? nodes : undefined;
  });
  assert.equal(told, cluster.nodes());

  assert.is((await cluster.killNode("node-2", "SIGSTOP")).state, "paused");
  const pids = [cluster.redis.pid, ...cluster.nodes().map(({ pid }) => pid)];
  assert.equal(await cluster.stop(), [], "one that was paused ends in order too");
  for (const pid of pids) assert.not.ok(isAlive(pid), String(pid));
  assert.is(await readState(options.folder), undefined);
  assert.ok(changes >= 8);
  await options.remove();
});

test("a taken port is named, and no process is started", async () => {
  const options = await prepared();
  const holder = spawn("redis-server", ["--port", String(await freePort()), "--save", "", "--bind", "127.0.0.1"]);
  const port = Number(holder.spawnargs[2]);
  await eventually(async () => ((await ask(port, "PING\r\n")).startsWith("+PONG") ? true : undefined));
  const said = await codeOf(startLocalCluster({ ...options, firstPort: port }));
  assert.match(said, new RegExp(`PORT_IN_USE .*node-1 on 127.0.0.1:${port} `));
  assert.is(await readState(options.folder), undefined);
  const ended = once(holder, "exit");
  holder.kill("SIGTERM");
  await ended;
  await options.remove();
});

test("Redis flushes as the strictest stream needs; one Redis cannot offer replicas", async () => {
  const flushFor = async (streams: string) => flushOf(await configurationOf(`streams: { ${streams} }\n`, tmpdir()));
  assert.is(await flushFor("a: { durability: everysec }, b: { durability: memory }"), "everysec");
  assert.is(await flushFor("a: { durability: everysec }, b: { durability: fsync }"), "always");
  assert.match(await codeOf(flushFor("a: {}, b: { durability: { replicas: 1 } }")), /b promises replicas/);
});

test("without Redis on this machine the missing program is named", async () => {
  assert.match(await codeOf(requireRedisServer("redis-server-that-is-not-there")), /MISSING_PROGRAM .*ENOENT/);
  assert.match(await codeOf(requireRedisServer(process.execPath)), /MISSING_PROGRAM .*7\.0 or newer/);
});

test.run();
