import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../../protocols/position.ts";
import type { Life, Order } from "../../../../supervisors/cluster/cluster.ts";
import { COORDINATOR_LIMITS } from "../../../../supervisors/cluster/coordinator/coordinator_state.ts";
import { Harness, life, member, settled, TIMES } from "../../../support/fakes/coordinator_harness.ts";

test("O1: no order is sent before the table is written", () => {
  const harness = new Harness(["a", "b"]);
  assert.is(harness.takeOrders().length, 0);
  harness.write();
  const orders = harness.takeOrders();
  assert.is(orders.length, 6);
  assert.ok(
    orders.every(
      ([, order]) => order.kind === "take" && order.grant.leaderEpoch === 7 && order.grant.tableVersion === 1,
    ),
  );
});

test("O2: a moving partition is granted only after its holder has released it; members get no orders about others (O6)", () => {
  const harness = settled(["a", "b"]);
  harness.members.push(member("c"));
  harness.tell({ type: "view", view: harness.view });
  harness.link("up", "c");
  harness.report("c");
  harness.nowMs += COORDINATOR_LIMITS.gatherJoinsMs;
  harness.tell({ type: "decide_due" });
  harness.write();
  const orders = harness.takeOrders();
  const kinds = orders.map(([to, { kind }]) => `${kind} ${to.node}`).sort();
  assert.equal(kinds, ["expect c", "expect c", "hand_over a", "hand_over b"]);
  assert.is(harness.state.writing, undefined);
  const [, first] = orders.find(([, { kind }]) => kind === "hand_over") as [
    Life,
    Extract<Order, { kind: "hand_over" }>,
  ];
  const from = orders.find(([, order]) => order === first)?.[0] as Life;
  // A release under a former grant changes nothing.
  harness.tell({
    type: "released",
    from,
    leaderEpoch: 7,
    partition: first.partition,
    grant: { leaderEpoch: 6, tableVersion: 1 },
  });
  assert.is(harness.state.writing, undefined);
  harness.tell({ type: "released", from, leaderEpoch: 7, partition: first.partition, grant: first.grant });
  const granted = harness.write();
  assert.equal(
    granted?.map(({ partition, holder, next }) => [partition, holder?.node, next]),
    [[first.partition, "c", undefined]],
  );
});

test("a move that takes too long is forced, with a grant above its holder's (O2)", () => {
  const harness = settled(["a", "b"]);
  harness.tell({ type: "asked", from: life("a"), leaderEpoch: 7, command: { kind: "drain", node: nodeId("b") } });
  harness.write();
  const before = harness.state.table.get("s/0")?.grant?.tableVersion ?? 0;
  harness.nowMs += TIMES.handOverWithinMs;
  harness.tell({ type: "tick" });
  const granted = harness.write() ?? [];
  assert.is(granted.length, 3);
  assert.ok(
    granted.every(
      ({ holder, grant, reason }) =>
        holder?.node === "a" && (grant?.tableVersion ?? 0) > before && /not handed over in time/.test(reason),
    ),
  );
});

test("O7: an unanswered order is repeated; a member that never heard of its grant is told when it reports", () => {
  const harness = new Harness(["a", "b"]);
  harness.write();
  harness.takeOrders();
  harness.nowMs += COORDINATOR_LIMITS.repeatAfterMs;
  harness.tell({ type: "tick" });
  assert.is(harness.takeOrders().length, 6);
  harness.report("b");
  assert.equal(
    harness.takeOrders().map(([to, { kind }]) => `${to.node} ${kind}`),
    ["b take", "b take", "b take"],
  );
});

test("a member is ordered to hand over a partition that the table gives to another life", () => {
  const harness = settled(["a", "b"]);
  const [entry] = [...harness.state.table.values()].filter(({ holder }) => holder?.node === "a");
  const old = { leaderEpoch: 3, tableVersion: 1 };
  harness.report("b", [{ partition: entry?.partition ?? "", phase: "owned", grant: old, epoch: 1 }]);
  const order = harness.takeOrders().find(([, { kind }]) => kind === "hand_over");
  assert.equal(order, [
    life("b"),
    { kind: "hand_over", partition: entry?.partition, grant: old, to: life("a"), withinMs: TIMES.drainWithinMs },
  ]);
});

test.run();
