import { test } from "uvu";
import * as assert from "uvu/assert";
import { VIEW_AGE_MAX_MS } from "../../../supervisors/cluster/cluster_view.ts";
import type { ClusterOverview, Explanation } from "../../../supervisors/cluster/overview.ts";
import { OPERATOR, READER, SmallCluster, serveCluster } from "../../support/processes/small_cluster.ts";

const STREAMS = { orders: 4, payments: 2 };

/** A served cluster, and a stopwatch that only the test moves. */
async function served(options: { readonly isGuarded?: boolean } = {}) {
  const cluster = new SmallCluster(["a", "b", "c"], STREAMS);
  let nowMs = 0;
  const server = await serveCluster(cluster, { ...options, stopwatchMs: () => nowMs });
  const later = (): void => {
    nowMs += VIEW_AGE_MAX_MS;
  };
  const overview = async () => (await server.ask("/v1/cluster")).body as ClusterOverview;
  return { cluster, ...server, later, overview };
}

test("the overview is answered as JSON", async () => {
  const { cluster, overview, close } = await served();
  assert.equal(await overview(), JSON.parse(JSON.stringify(cluster.overview())));
  await close();
});

test("the overview is made once while nothing changes, is refreshed each 100 ms at most, and tells its age", async () => {
  const { cluster, overview, later, close } = await served();
  for (let times = 0; times < 20; times += 1) await overview();
  assert.is(cluster.asked, 1);
  cluster.ageMs = 1_234.5;
  assert.is((await overview()).ageMs, 0);
  later();
  assert.is((await overview()).ageMs, 1_235);
  assert.is(cluster.asked, 2);
  assert.is(cluster.made, 1);
  await close();
});

test("a changed node, owner or move shows after 100 ms at most", async () => {
  const { cluster, overview, later, ask, close } = await served();
  assert.equal((await overview()).moves, []);
  await cluster.ask({ kind: "drain", node: "a" as never });
  later();
  const draining = await overview();
  assert.is(draining.nodes[0]?.state, "draining");
  assert.equal(
    draining.moves.map(({ stream, partition, from }) => `${stream}/${partition} of ${from}`),
    ["orders/0 of a", "orders/3 of a"],
  );
  cluster.settle();
  later();
  assert.is((await overview()).nodes[0]?.partitions, 0);
  const { owner, epoch } = (await ask("/v1/cluster/owners/orders/0")).body as { owner: string; epoch: number };
  assert.is.not(owner, "a");
  assert.is(epoch, 2);
  await close();
});

test("an owner is answered with its address and epoch; without an owner the answer has neither", async () => {
  const { cluster, ask, later, close } = await served();
  assert.equal(await ask("/v1/cluster/owners/orders/1"), {
    status: 200,
    body: {
      stream: "orders",
      partition: 1,
      owner: "b",
      state: "owned",
      epoch: 1,
      address: "ws://127.0.0.1:7071/v1/connect",
    },
  });
  cluster.removeNode("b");
  later();
  assert.equal((await ask("/v1/cluster/owners/orders/1")).body, {
    stream: "orders",
    partition: 1,
    state: "unassigned",
  });
  await close();
});

test("an unknown stream or partition is 404 with its code, for owners and explanations alike", async () => {
  const { ask, close } = await served();
  for (const kind of ["owners", "partitions"]) {
    const codeOf = async (path: string) => {
      const { status, body } = await ask(`/v1/cluster/${kind}/${path}`);
      return `${status} ${(body as { code: string }).code}`;
    };
    assert.is(await codeOf("nothing/0"), "404 UNKNOWN_STREAM");
    assert.is(await codeOf("orders/4"), "404 UNKNOWN_PARTITION");
    assert.is(await codeOf("orders/01"), "404 UNKNOWN_PARTITION");
    assert.is(await codeOf("orders/x"), "404 UNKNOWN_PARTITION");
  }
  await close();
});

test("a partition is explained with the decision that placed it", async () => {
  const { cluster, ask, close } = await served();
  await cluster.ask({ kind: "drain", node: "c" as never });
  const { body } = await ask("/v1/cluster/partitions/orders/2");
  const { partition, reason, decision } = body as Explanation;
  assert.is(partition.state, "handing_over");
  assert.match(reason, /c is draining/);
  assert.is(decision?.id, 2);
  await close();
});

test("decisions come newest first, at most `limit`, and an invalid limit is refused", async () => {
  const { cluster, ask, close } = await served();
  for (let times = 0; times < 30; times += 1) await cluster.ask({ kind: "rebalance" });
  const idsOf = async (query: string) => {
    const { decisions } = (await ask(`/v1/cluster/decisions${query}`)).body as { decisions: { id: number }[] };
    return decisions.map(({ id }) => id);
  };
  assert.equal(await idsOf("?limit=2"), [31, 30]);
  assert.is((await idsOf("")).length, 20);
  for (const limit of ["0", "1001", "x", "1.5"]) {
    assert.is((await ask(`/v1/cluster/decisions?limit=${limit}`)).status, 400, limit);
  }
  await close();
});

test("a command reaches the coordinator and is answered 202; an unknown node is 404, no coordinator 503", async () => {
  const { cluster, ask, close } = await served();
  const post = (path: string) => ask(`/v1/cluster/${path}`, { method: "POST" });
  assert.equal(await post("nodes/b/drain"), { status: 202, body: { kind: "drain", node: "b" } });
  assert.is(cluster.overview().nodes[1]?.state, "draining");
  assert.is((await post("nodes/b/undrain")).status, 202);
  assert.is(cluster.overview().nodes[1]?.state, "ready");
  assert.is((await post("rebalance")).status, 202);
  const unknown = await post("nodes/zz/drain");
  assert.is(unknown.status, 404);
  assert.is((unknown.body as { code: string }).code, "UNKNOWN_NODE");
  cluster.loseCoordinator();
  assert.is((await post("rebalance")).status, 503);
  await close();
});

test("any token may read, only the scope admin may command, and without a token every route is refused", async () => {
  const { cluster, ask, close } = await served({ isGuarded: true });
  const statusOf = async (path: string, method: string, token?: string) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return (await ask(path, { method, headers })).status;
  };
  const reads = ["", "/decisions", "/owners/orders/0", "/partitions/orders/0"];
  for (const read of reads) {
    assert.is(await statusOf(`/v1/cluster${read}`, "GET"), 401, read);
    assert.is(await statusOf(`/v1/cluster${read}`, "GET", READER), 200, read);
  }
  for (const command of ["/nodes/a/drain", "/nodes/a/undrain", "/rebalance"]) {
    assert.is(await statusOf(`/v1/cluster${command}`, "POST"), 401, command);
    assert.is(await statusOf(`/v1/cluster${command}`, "POST", READER), 403, command);
    assert.is((await cluster.decisions(100)).length, 1, "nothing was decided");
  }
  assert.is(await statusOf("/v1/cluster/nodes/a/drain", "POST", OPERATOR), 202);
  await close();
});

test.run();
