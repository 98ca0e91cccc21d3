/** A member whose actor was restarted has forgotten the partitions of the node's tree: it gives the tree all orders. */
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

test("a restarted member has the tree hand over a partition that it does not know, and answers once that is done (M3)", () => {
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

test("a release from before a new grant is not reported as a release of that grant", () => {
  const state = createMember(self, CLUSTER_TIMES, 0);
  const hear = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, 0)[1];
  const handOver = { kind: "hand_over", partition: "s/0", grant, to: self, withinMs: 100 } as const;
  const take = { kind: "take", partition: "s/0", grant: { leaderEpoch: 5, tableVersion: 3 } } as const;
  hear({ type: "orders", leader, to: self, orders: [handOver, take] });
  assert.equal(hear({ type: "let_go", partition: "s/0" }), []);
  assert.is(state.holdings.get("s/0")?.phase, "claiming");
});

test("a repeated order to take reaches the tree again while the partition is not owned (M3)", () => {
  const state = createMember(self, CLUSTER_TIMES, 0);
  const hear = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, 0)[1];
  const orders = { type: "orders", leader, to: self, orders: [{ kind: "take", partition: "s/0", grant }] } as const;
  assert.ok(hear(orders).some(({ type }) => type === "take"));
  assert.ok(hear(orders).some(({ type }) => type === "take"));
  hear({ type: "owned", partition: "s/0", epoch: 9 });
  assert.not.ok(hear(orders).some(({ type }) => type === "take"));
});

test("a part of the table from an unknown coordinator makes the member report, to be sent the whole table (M2)", () => {
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

test("a partition that the table gives to another life is dropped, even if the member does not know it (M4)", () => {
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
  // Only the coordinator ends an expectation: its order is on its way.
  assert.equal(
    effects.flatMap((effect) => (effect.type === "drop" ? [effect.partition] : [])),
    ["s/0"],
  );
});

test.run();
