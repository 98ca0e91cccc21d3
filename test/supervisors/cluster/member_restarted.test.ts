/** A member whose actor was started again knows nothing of what the node's tree holds: the tree is asked. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../protocols/position.ts";
import { CLUSTER_TIMES, type Leader, type Life } from "../../../supervisors/cluster/cluster.ts";
import { stepMember } from "../../../supervisors/cluster/member_machine.ts";
import { createMember, type MemberEffect, type MemberMessage } from "../../../supervisors/cluster/member_state.ts";

const self: Life = { node: nodeId("b"), incarnation: 1 };
const leader: Leader = { node: nodeId("a"), incarnation: 1, leaderEpoch: 5 };
const grant = { leaderEpoch: 4, tableVersion: 2 };

test("it has the tree hand over what it does not know of, and answers once that is done", () => {
  const state = createMember(self, CLUSTER_TIMES, 0);
  const hear = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, 0)[1];
  const handOver = { kind: "hand_over", partition: "s/0", grant, to: leader, withinMs: 100 } as const;
  const ordered = hear({ type: "orders", leader, to: self, orders: [handOver] });
  assert.ok(ordered.some(({ type }) => type === "hand_over"));
  assert.not.ok(ordered.some(({ type }) => type === "tell_coordinator"));
  const again = hear({ type: "orders", leader, to: self, orders: [handOver] });
  assert.not.ok(again.some(({ type }) => type === "hand_over"));
  assert.equal(hear({ type: "let_go", partition: "s/0" }), [
    {
      type: "tell_coordinator",
      node: "a",
      message: { type: "released", from: self, leaderEpoch: 5, partition: "s/0", grant },
    },
  ]);
});

test("what was let go of before it was given back is not told of as what was given", () => {
  const state = createMember(self, CLUSTER_TIMES, 0);
  const hear = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, 0)[1];
  const handOver = { kind: "hand_over", partition: "s/0", grant, to: self, withinMs: 100 } as const;
  const take = { kind: "take", partition: "s/0", grant: { leaderEpoch: 5, tableVersion: 3 } } as const;
  hear({ type: "orders", leader, to: self, orders: [handOver, take] });
  assert.equal(hear({ type: "let_go", partition: "s/0" }), []);
  assert.is(state.holdings.get("s/0")?.phase, "claiming");
});

test("an order to take that comes again before the partition is owned reaches the tree again", () => {
  const state = createMember(self, CLUSTER_TIMES, 0);
  const hear = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, 0)[1];
  const orders = { type: "orders", leader, to: self, orders: [{ kind: "take", partition: "s/0", grant }] } as const;
  assert.ok(hear(orders).some(({ type }) => type === "take"));
  assert.ok(hear(orders).some(({ type }) => type === "take"));
  hear({ type: "owned", partition: "s/0", epoch: 9 });
  assert.not.ok(hear(orders).some(({ type }) => type === "take"));
});

test.run();
