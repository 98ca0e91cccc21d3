/** A member whose actor was started again knows nothing of what the node's tree holds: the tree is asked. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../../protocols/position.ts";
import { CLUSTER_TIMES, type Leader, type Life } from "../../../../supervisors/cluster/cluster.ts";
import { stepMember } from "../../../../supervisors/cluster/member/member_machine.ts";
import {
  createMember,
  type MemberEffect,
  type MemberMessage,
} from "../../../../supervisors/cluster/member/member_state.ts";

const self: Life = { node: nodeId("b"), incarnation: 1 };
const leader: Leader = { node: nodeId("a"), incarnation: 1, leaderEpoch: 5 };
const grant = { leaderEpoch: 4, tableVersion: 2 };

test("it has the tree hand over what it does not know of, and answers once that is done", () => {
  const state = createMember(self, CLUSTER_TIMES, 0);
  const hear = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, 0)[1];
  const handOver = { kind: "hand_over", partition: "s/0", grant, to: leader, withinMs: 100 } as const;
  hear({ type: "report_again", leader });
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

test("part of the table from a coordinator that it does not know has it ask for all of it (M2)", () => {
  for (const heardFirst of ["table", "orders"] as const) {
    const state = createMember(self, CLUSTER_TIMES, 0);
    const hear = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, 0)[1];
    const part = { version: 3, isWhole: false, entries: [], epochs: [], members: undefined, rates: undefined };
    const message: MemberMessage =
      heardFirst === "table"
        ? { type: "table", leader, ...part }
        : { type: "orders", leader, to: self, orders: [{ kind: "take", partition: "s/0", grant }] };
    const reports = (effects: readonly MemberEffect[]) =>
      effects.filter((effect) => effect.type === "tell_coordinator" && effect.message.type === "report");
    assert.is(reports(hear(message)).length, 1);
    assert.is(reports(hear(message)).length, 0);
  }
});

test("what the table gives to others is dropped, whether or not it is known here (M4)", () => {
  const other: Life = { node: nodeId("c"), incarnation: 1 };
  const state = createMember(self, CLUSTER_TIMES, 0);
  const hear = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, 0)[1];
  const entry = (partition: string, holder: Life, next?: Life) => ({
    ...{ partition, holder, grant, next, decision: 1, reason: "" },
  });
  hear({ type: "orders", leader, to: self, orders: [{ kind: "expect", partition: "s/3" }] });
  const effects = hear({
    ...{ type: "table", leader, version: 3, isWhole: true, epochs: [], members: undefined, rates: undefined },
    entries: [entry("s/0", other), entry("s/1", self), entry("s/2", other, self), entry("s/3", other)],
  });
  // What it knows itself to expect is the coordinator's to end: the order is on its way.
  assert.equal(
    effects.flatMap((effect) => (effect.type === "drop" ? [effect.partition] : [])),
    ["s/0"],
  );
});

test.run();
