import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listenForControl } from "../../../../scripts/console/local_cluster/local_cluster_control.ts";
import { type LocalClusterState, writeState } from "../../../../scripts/console/local_cluster/local_cluster_state.ts";
import { headrace } from "../../../support/processes/headrace_command.ts";

test("nodes are started and killed in a local cluster only, and killing needs --yes", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-cluster-"));
  const local = (...args: string[]) => headrace(["cluster", ...args, "--folder", folder]);
  const nowhere = await local("add-node");
  assert.is(nowhere.code, 64);
  assert.match(nowhere.stderr, /npm run cluster must have started it there: nodes of any other cluster/);

  const asked: unknown[] = [];
  const control = await listenForControl(async (request) => {
    asked.push(request);
    return [{ name: "node-4", address: "http://127.0.0.1:7073", state: "up" }];
  });
  const { port, secret } = control;
  const one = { name: "node-1", port: 7070, address: "http://127.0.0.1:7070", pid: 1, state: "up" } as const;
  const state: LocalClusterState = {
    ...{ version: 1, pid: process.pid, control: { port, secret } },
    ...{ redis: { port: 1, pid: 1 }, nodes: [one] },
  };
  await writeState(folder, state);
  assert.match((await local("add-node")).stdout, /^node-4 is up: http:\/\/127.0.0.1:7073\/$/m);
  assert.is((await local("kill-node", "node-1")).code, 64);
  assert.is((await local("kill-node", "node-1", "--yes", "--signal", "SIGHUP")).code, 64);
  const other = await local("kill-node", "node-1", "--yes", "--address", "http://127.0.0.1:9999");
  assert.is(other.code, 64);
  assert.match(other.stderr, /must be a node of the cluster in/);
  assert.equal(asked, [{ kind: "add" }]);
  assert.is((await local("kill-node", "node-1", "--yes", "--address", "http://127.0.0.1:7070")).code, 0);
  assert.equal(asked[1], { kind: "kill", name: "node-1", signal: "SIGKILL" });

  control.close();
  const stale = await local("add-node");
  assert.is(stale.code, 64);
  assert.match(stale.stderr, /it left its state behind and is gone/);
  await writeFile(join(folder, "cluster.json"), '{"version":');
  assert.match((await local("add-node")).stderr, /must have started it there/);
  await rm(folder, { recursive: true });
});

test.run();
