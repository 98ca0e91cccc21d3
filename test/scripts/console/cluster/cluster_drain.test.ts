import { test } from "uvu";
import * as assert from "uvu/assert";
import { judgeDrain } from "../../../../scripts/console/cluster/cluster_drain.ts";
import { headrace, jsonLines, startCommand } from "../../../support/processes/headrace_command.ts";
import { eventually } from "../../../support/processes/running_node.ts";
import { type ServedCluster, SmallCluster, serveCluster } from "../../../support/processes/small_cluster.ts";

let cluster: SmallCluster;
let server: ServedCluster;
test.before.each(async () => {
  cluster = new SmallCluster(["a", "b", "c"], { orders: 6 });
  server = await serveCluster(cluster);
});
test.after.each(() => server.close());

const run = (...args: string[]) => headrace(["cluster", ...args, "--address", server.address]);
const draining = () => eventually(() => (cluster.overview().nodes[1]?.state === "draining" ? true : undefined));

test("a drain waits until the node owns no partition, and reports how many were moved", async () => {
  const running = startCommand(["cluster", "drain", "b", "--json", "--address", server.address]);
  await draining();
  cluster.settle(1);
  // The node is asked at each look. After an answer with a partition left it is asked once more.
  const looks = cluster.asked;
  await eventually(() => (cluster.asked > looks + 2 || running.child.exitCode !== null ? true : undefined));
  assert.is(running.child.exitCode, null, "one partition is still there");
  cluster.settle();
  const ended = await running.ended;
  assert.is(ended.code, 0, ended.stderr);
  assert.equal(jsonLines(ended.stdout), [{ kind: "summary", node: "b", state: "done", partitions: 0, moved: 2 }]);
});

test("with --no-wait the coordinator is asked, and the command does not wait", async () => {
  const ended = await run("drain", "b", "--no-wait");
  assert.is(ended.code, 0, ended.stderr);
  assert.match(ended.stdout, /b is told to drain: 2 partitions to move/);
  assert.is(cluster.overview().moves.length, 2);
  assert.is((await run("undrain", "b")).code, 0);
  assert.is(cluster.overview().nodes[1]?.state, "ready");
  assert.is((await run("rebalance")).code, 0);
  assert.is((await cluster.decisions(1))[0]?.triggers[0]?.kind, "asked");
});

test("a drain that is called off ends with 75, and Ctrl-C with 130 while the drain goes on", async () => {
  const called = startCommand(["cluster", "drain", "b", "--address", server.address]);
  await draining();
  const looks = cluster.asked;
  await eventually(() => (cluster.asked > looks + 2 ? true : undefined));
  await cluster.ask({ kind: "undrain", node: "b" as never });
  const off = await called.ended;
  assert.is(off.code, 75, off.stderr);
  assert.match(off.stderr, /called off: b still owns 2 partitions/);
  const interrupted = startCommand(["cluster", "drain", "b", "--address", server.address]);
  await draining();
  interrupted.child.kill("SIGINT");
  const ended = await interrupted.ended;
  assert.is(ended.code, 130);
  assert.match(ended.stderr, /the drain goes on: b still owns 2 partitions/);
  assert.is(cluster.overview().nodes[1]?.state, "draining");
});

test("a drain is done when the node is gone or owns no partition, and not before the node is known to drain", () => {
  const judge = (wasDraining = true) => judgeDrain(cluster.overview(), "b", wasDraining);
  assert.is(judge(false), "under way", "the command has not arrived yet");
  assert.is(judge(), "called off");
  cluster.setState("b", "draining");
  assert.is(judge(), "under way");
  cluster.setState("b", "expired");
  assert.is(judge(), "under way", "it died, and its partitions lie there still");
  cluster.removeNode("b");
  assert.is(judge(), "done");
});

test.run();
