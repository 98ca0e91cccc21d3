import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Handover, Handovers } from "../../dashboard/handovers.ts";
import type { ClusterState } from "../../dashboard/node_api.ts";
import { SmallCluster } from "../support/processes/small_cluster.ts";

const told = ({ from, to, partitions, endedAtMs }: Handover): string =>
  `${from} -> ${to}: ${partitions.join(" ")} ${endedAtMs ?? "under way"}`;

function watched() {
  const cluster = new SmallCluster(["a", "b", "c"], { orders: 6 });
  const handovers = new Handovers();
  const look = (atMs: number) =>
    handovers.observe(JSON.parse(JSON.stringify(cluster.overview())) as ClusterState, atMs).map(told);
  return { cluster, look };
}

test("a move is told while it is under way and after, with all partitions that went the same way", async () => {
  const { cluster, look } = watched();
  assert.equal(look(0), []);
  await cluster.ask({ kind: "drain", node: "c" as never });
  assert.equal(look(1_000), ["c -> a: orders/2 under way", "c -> b: orders/5 under way"]);
  cluster.settle(1);
  assert.equal(look(2_000), ["c -> b: orders/5 under way", "c -> a: orders/2 2000"]);
  cluster.settle();
  assert.equal(look(3_000), ["c -> b: orders/5 3000", "c -> a: orders/2 2000"]);
  cluster.removeNode("b");
  assert.equal(look(4_000)[0], "b -> undefined: orders/1 orders/4 orders/5 4000");
});

test("a move that began and ended between two looks is told too, and old moves are forgotten", async () => {
  const { cluster, look } = watched();
  look(0);
  for (let round = 1; round <= 10; round += 1) {
    await cluster.ask({ kind: "drain", node: "c" as never });
    cluster.settle();
    look(round);
    await cluster.ask({ kind: "undrain", node: "c" as never });
    cluster.settle();
  }
  const seen = look(11);
  assert.ok(seen.length > 0 && seen.length <= 8, String(seen.length));
  assert.match(seen[0] ?? "", /11$/);
});

test.run();
