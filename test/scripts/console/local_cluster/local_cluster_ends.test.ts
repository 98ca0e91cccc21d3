import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startLocalCluster } from "../../../../scripts/console/local_cluster/local_cluster.ts";
import { readState, writeState } from "../../../../scripts/console/local_cluster/local_cluster_state.ts";
import { eventually } from "../../../support/processes/running_node.ts";
import { ask, freePort, requireRedis, startRedis } from "../../../support/redis/redis_server.ts";

requireRedis();

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
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

test("a node that cannot come up fails the start with its output, and Redis ends too", async () => {
  const options = await prepared(
    "streams: { s: {} }\npipelines: { p: { from: s, to: [csv] } }\nsinks: { csv: { type: file, directory: out, format: csv } }\n",
  );
  assert.match(await codeOf(startLocalCluster(options)), /INVALID_CONFIGURATION .*node-1 .*exit code 78[\s\S]*csv/);
  const log = await readFile(join(options.folder, "redis.log"), "utf8");
  assert.match(log, /bye bye/);
  await options.remove();
});

test("an invalid configuration is reported before any process runs", async () => {
  const options = await prepared("streams: { s: { partitons: 1 } }\n");
  assert.match(await codeOf(startLocalCluster(options)), /did you mean partitions/);
  assert.match(await codeOf(readFile(join(options.folder, "redis.log"))), /ENOENT/);
  await options.remove();
});

async function endedBy(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

test("nodes and Redis end with their starter, however it ends, and its files do not block the next start", async () => {
  const options = await prepared();
  const program = join(ROOT, "test/support/processes/local_cluster_program.ts");
  const starter = spawn(process.execPath, ["--import", "tsx", program, JSON.stringify(options)], { cwd: ROOT });
  const state = await eventually(async () => {
    const found = await readState(options.folder);
    return found?.nodes[0]?.state === "up" ? found : undefined;
  });
  await endedBy(starter, "SIGKILL");
  // By a plain connection, as a request of `fetch` may never settle if its server is killed.
  const port = Number(new URL(state.nodes[0]?.address ?? "").port);
  await eventually(async () => ((await ask(port, "GET /healthz HTTP/1.0\r\n\r\n")) === "" ? true : undefined));
  await eventually(async () => ((await ask(state.redis.port, "PING\r\n")) === "" ? true : undefined));
  assert.equal(await readState(options.folder), state, "it had no time to remove it");
  const cluster = await startLocalCluster(options);
  assert.is(cluster.nodes()[0]?.state, "up");
  assert.equal(await cluster.stop(), []);
  await options.remove();
});

test("a Redis that an earlier cluster left behind is named, and not touched", async () => {
  const options = await prepared();
  const redis = await startRedis();
  await mkdir(options.folder);
  await writeState(options.folder, {
    ...{ version: 1, pid: 1, control: { port: await freePort(), secret: "gone" }, nodes: [] },
    redis: { port: redis.port, pid: redis.pid },
  });
  assert.match(
    await codeOf(startLocalCluster(options)),
    new RegExp(`DATA_IN_USE .*port ${redis.port} \\(kill ${redis.pid} ends it\\)`),
  );
  assert.match(await ask(redis.port, "PING\r\n"), /PONG/);
  await redis.stop();
  await options.remove();
});

test("an abort during the start ends the processes that run by then", async () => {
  const options = await prepared();
  const ending = new AbortController();
  const onChange = () => ending.abort();
  assert.is.not(await codeOf(startLocalCluster({ ...options, onChange, signal: ending.signal })), "no error");
  assert.match(await readFile(join(options.folder, "redis.log"), "utf8"), /bye bye/);
  assert.is(await readState(options.folder), undefined);
  await options.remove();
});

test.run();
