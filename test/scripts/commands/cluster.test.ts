import { test } from "uvu";
import * as assert from "uvu/assert";
import { statusLines } from "../../../scripts/console/cluster/cluster_status.ts";
import { headrace, jsonLines, startCommand } from "../../support/processes/headrace_command.ts";
import { runningNode } from "../../support/processes/running_node.ts";
import {
  OPERATOR,
  READER,
  type ServedCluster,
  SmallCluster,
  serveCluster,
} from "../../support/processes/small_cluster.ts";

let cluster: SmallCluster;
let server: ServedCluster;
test.before.each(async () => {
  cluster = new SmallCluster(["a", "b", "c"], { orders: 6 });
  server = await serveCluster(cluster);
});
test.after.each(() => server.close());

const run = (...args: string[]) => headrace(["cluster", ...args, "--address", server.address]);

test("status lists nodes, the coordinator and partitions; as JSON it is the overview itself", async () => {
  const text = await run("status");
  assert.is(text.code, 0, text.stderr);
  assert.match(text.stdout, /^a \* +ready +2/m);
  assert.match(text.stdout, /^6 partitions; \* coordinates$/m);
  const json = await run("--json");
  assert.equal(jsonLines(json.stdout), [JSON.parse(JSON.stringify(cluster.overview()))]);
});

test("an old overview shows its age and its node", () => {
  assert.not.match(statusLines(cluster.overview()).join("\n"), /ago/);
  cluster.ageMs = 12_340;
  assert.match(statusLines(cluster.overview()).at(-1) ?? "", /as a knew it 12\.3 s ago/);
});

test("without a terminal, a watched cluster prints each change as a line, and Ctrl-C is its ordinary end", async () => {
  const watching = startCommand(["cluster", "status", "--watch", "--address", server.address]);
  await watching.line(/^6 partitions/);
  await cluster.ask({ kind: "drain", node: "c" as never });
  await watching.line(/^c is draining/);
  cluster.settle();
  await watching.line(/^1 partition c -> b: orders\/5$/);
  watching.child.kill("SIGINT");
  assert.is((await watching.ended).code, 0);
});

test("a partition is explained, and decisions are listed with their causes", async () => {
  await cluster.ask({ kind: "drain", node: "c" as never });
  const explained = await run("explain", "orders/5");
  assert.is(explained.code, 0, explained.stderr);
  assert.match(explained.stdout, /^orders\/5: c \(handing_over, epoch 1\)\n {2}c is draining: 2 partitions move/);
  assert.match(explained.stdout, /decision 2 .*term 7 {2}2 moves .*\[c draining\]/);
  const listed = await run("decisions", "--limit", "1");
  assert.match(listed.stdout, /^2 {2}\d{4}-\d\d-\d\dT/);
  assert.is(listed.stdout.trim().split("\n").length, 1);
  const json = jsonLines((await run("decisions", "--json")).stdout);
  assert.equal(
    json.map(({ id }) => id),
    [2, 1],
  );
});

test("an unknown name is exit code 64; no coordinator and no node are 69", async () => {
  for (const args of [
    ["explain", "orders/6"],
    ["explain", "orders"],
    ["drain", "zz"],
  ]) {
    assert.is((await run(...args)).code, 64, args.join(" "));
  }
  cluster.loseCoordinator();
  const refused = await run("rebalance");
  assert.is(refused.code, 69);
  assert.match(refused.stderr, /NOT_READY: .*coordinator/);
  assert.is((await headrace(["cluster", "--address", "http://127.0.0.1:1"])).code, 69);
});

test("any token may read, and only one with the scope admin may command", async () => {
  const guarded = await serveCluster(cluster, { isGuarded: true });
  const as = (token: string, ...args: string[]) =>
    headrace(["cluster", ...args, "--address", guarded.address], { environment: { HEADRACE_TOKEN: token } });
  assert.is((await as(READER, "status")).code, 0);
  assert.is((await as(READER, "rebalance")).code, 77);
  assert.is((await as(OPERATOR, "rebalance")).code, 0);
  await guarded.close();
});

test("a single node is shown, and cannot be drained", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: { orders: { partitions: 2 } }\n");
  const status = await headrace(["cluster", "--address", node.address]);
  assert.match(status.stdout, /^test +ready +2 /m);
  assert.match(status.stdout, /^2 partitions$/m);
  const refused = await headrace(["cluster", "drain", "test", "--address", node.address]);
  assert.is(refused.code, 64);
  assert.match(refused.stderr, /test is alone/);
  await node.end();
});

test.run();
