/** `npm run cluster` as a person runs it, without a terminal. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readState } from "../../../../scripts/console/local_cluster/local_cluster_state.ts";
import { headrace } from "../../../support/processes/headrace_command.ts";
import { eventually } from "../../../support/processes/running_node.ts";
import { requireRedis } from "../../../support/redis/redis_server.ts";

requireRedis();

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "headrace-script-"));
});
test.after(() => rm(folder, { recursive: true }));

function cluster(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, ["--import", "tsx", "scripts/cluster.ts", "--folder", folder, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const line = (pattern: RegExp): Promise<true> =>
    eventually(() => {
      if (child.exitCode !== null && !pattern.test(output)) throw new Error(`ended without ${pattern}:\n${output}`);
      return pattern.test(output) ? true : undefined;
    });
  return { child, ended, line, output: () => output };
}

test("the demo runs on nodes that share its partitions, changes are lines, and SIGTERM ends everything in order", async () => {
  const run = cluster(["--nodes", "1", "--port", "0"]);
  await run.line(/^36 partitions; \* coordinates$/m);
  assert.match(run.output(), /^node-1 \* +ready +36 .*http:\/\/127\.0\.0\.1:\d+$/m);
  const added = await headrace(["cluster", "add-node", "--folder", folder]);
  assert.is(added.code, 0, added.stderr);
  await run.line(/^\d+ partitions? node-1 -> node-2/m);
  const killed = await headrace(["cluster", "kill-node", "node-2", "--yes", "--folder", folder]);
  assert.is(killed.code, 0, killed.stderr);
  await run.line(/^node-2 is gone \(SIGKILL\) \(was ready\)$/m);
  await run.line(/^\d+ partitions? node-2 -> node-1/m);
  run.child.kill("SIGTERM");
  assert.is(await run.ended, 0, run.output());
  assert.match(run.output(), /^ending the nodes, then Redis \.\.\.$/m);
  assert.is(await readState(folder), undefined);
});

test("a taken port, an invalid port and a missing Redis are reported, each with its exit code", async () => {
  const holder = createServer();
  const port = await new Promise<number>((resolve) => {
    holder.listen(0, "127.0.0.1", () => resolve((holder.address() as { port: number }).port));
  });
  const taken = cluster(["--nodes", "1", "--port", String(port)]);
  assert.is(await taken.ended, 78);
  assert.match(taken.output(), new RegExp(`PORT_IN_USE: .*node-1 on 127\\.0\\.0\\.1:${port} .*another program`));
  holder.close();
  assert.is(await cluster(["--port", "65535"]).ended, 64);
  assert.is(await cluster(["--nodes", "17"]).ended, 64);
  const without = cluster([], { PATH: folder });
  assert.is(await without.ended, 69);
  assert.match(without.output(), /MISSING_PROGRAM: .*redis-server must be installed/);
  assert.not.match(without.output(), /\n\s+at /);
});

test.run();
