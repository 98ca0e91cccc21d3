import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../../protocols/position.ts";
import {
  CLUSTER_TIMES,
  type Leader,
  type Life,
  type Member,
  type Order,
} from "../../../../supervisors/cluster/cluster.ts";
import type { StoreView } from "../../../../supervisors/cluster/leases/lease_store.ts";
import { stepMember } from "../../../../supervisors/cluster/member/member_machine.ts";
import {
  createMember,
  type MemberEffect,
  type MemberMessage,
} from "../../../../supervisors/cluster/member/member_state.ts";
import { member as memberOf } from "../../../support/fakes/coordinator_term.ts";

const SELF: Life = { node: nodeId("b"), incarnation: 4 };
const leader = (leaderEpoch: number, node = "a"): Leader => ({ node: nodeId(node), incarnation: 1, leaderEpoch });
const grant = (leaderEpoch: number, tableVersion: number) => ({ leaderEpoch, tableVersion });
const member = (node: string, incarnation = 1): Member => memberOf(node, incarnation, { expiresInMs: 1 });

function memberUnderTest() {
  const state = createMember(SELF, CLUSTER_TIMES, 1_000);
  const clock = { nowMs: 1_000 };
  const tell = (message: MemberMessage): readonly MemberEffect[] => stepMember(state, message, clock.nowMs)[1];
  const view = (more: Partial<StoreView> = {}): MemberMessage => ({
    type: "viewed",
    view: {
      members: [member("a"), member("b", 4), member("c")],
      leader: leader(7),
      leaseExpiresInMs: 1_000,
      tableVersion: 0,
      ...more,
    },
  });
  const orders = (of: Leader, ...list: readonly Order[]): readonly MemberEffect[] =>
    tell({ type: "orders", leader: of, to: SELF, orders: list });
  return { state, clock, tell, view, orders };
}
const kinds = (effects: readonly MemberEffect[]) => effects.map(({ type }) => type);
const said = (effects: readonly MemberEffect[]) =>
  effects.flatMap((effect) => (effect.type === "tell_coordinator" ? [effect.message] : []));
const take = (partition: string, of = grant(7, 3)): Order => ({ kind: "take", partition, grant: of });
const handOver = (partition: string, of = grant(7, 3)): Order => ({
  ...{ kind: "hand_over", partition, grant: of, to: { node: nodeId("c"), incarnation: 1 }, withinMs: 100 },
});

test("M1: an order of a lower term than the highest seen is not carried out", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  assert.equal(kinds(orders(leader(7), take("s/0"))), ["take"]);
  tell({ type: "report_again", leader: leader(8, "c") });
  assert.equal(orders(leader(7), take("s/1"), handOver("s/0")), []);
  assert.equal(kinds(orders(leader(8, "c"), take("s/1", grant(8, 4)))), ["take"]);
});

test("M1: an order for another life of the node is not carried out", () => {
  const { tell, view } = memberUnderTest();
  tell(view());
  const effects = tell({ type: "orders", leader: leader(7), to: { ...SELF, incarnation: 3 }, orders: [take("s/0")] });
  assert.equal(effects, []);
});

test("M2: a member first reports all its holdings to each coordinator", () => {
  const { tell, view, orders } = memberUnderTest();
  assert.equal(
    said(tell(view())).map(({ type }) => type),
    ["report"],
  );
  orders(leader(7), take("s/0"), { kind: "expect", partition: "s/1" });
  tell({ type: "owned", partition: "s/0", epoch: 50 });
  const [report] = said(tell({ type: "report_again", leader: leader(8, "c") }));
  assert.equal(report, {
    ...{ type: "report", from: SELF, leaderEpoch: 8 },
    holdings: [
      { partition: "s/0", phase: "owned", grant: grant(7, 3), epoch: 50 },
      { partition: "s/1", phase: "expecting", grant: undefined, epoch: undefined },
    ],
  });
});

test("M3: a repeated order is answered alike and carried out once", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0"));
  // The partition is not owned yet: the tree gets the order again, and tolerates it.
  assert.equal(kinds(orders(leader(7), take("s/0"))), ["take"]);
  assert.equal(
    said(tell({ type: "owned", partition: "s/0", epoch: 50 })).map(({ type }) => type),
    ["claimed"],
  );
  assert.equal(
    said(orders(leader(7), take("s/0"))).map(({ type }) => type),
    ["claimed"],
  );
  assert.ok(kinds(orders(leader(7), handOver("s/0"))).includes("hand_over"));
  assert.not.ok(kinds(orders(leader(7), handOver("s/0"))).includes("hand_over"));
  assert.equal(
    said(tell({ type: "let_go", partition: "s/0" })).map(({ type }) => type),
    ["released"],
  );
  // An unknown partition: the tree gets the order, as this actor may have taken the partition before a restart.
  assert.ok(kinds(orders(leader(7), handOver("s/0"))).includes("hand_over"));
  assert.equal(
    said(tell({ type: "let_go", partition: "s/0" })).map(({ type }) => type),
    ["released"],
  );
});

test("a hand-over under an earlier grant does not end a later grant", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0", grant(7, 9)));
  const effects = orders(leader(7), handOver("s/0", grant(7, 3)));
  assert.equal(kinds(effects), ["tell_coordinator"]);
  assert.equal(orders(leader(7), take("s/0", grant(7, 3))), []);
});

test("a partition held under a grant that the store lost is handed over or claimed, as the next coordinator orders", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0", grant(7, 9)), take("s/1", grant(7, 9)));
  tell({ type: "owned", partition: "s/0", epoch: 50 });
  tell({ type: "owned", partition: "s/1", epoch: 51 });
  const next = leader(8, "c");
  tell({ type: "report_again", leader: next });
  const from = { from: SELF, leaderEpoch: 8 };
  // The table went back to its former state.
  assert.equal(said(orders(next, take("s/1", grant(7, 3)))), [
    { type: "claimed", ...from, partition: "s/1", grant: grant(7, 3), epoch: 51 },
  ]);
  const effects = orders(next, handOver("s/0", grant(7, 3)));
  assert.ok(kinds(effects).includes("hand_over"));
  assert.equal(said(effects), []);
  assert.equal(said(tell({ type: "let_go", partition: "s/0" })), [
    { type: "released", ...from, partition: "s/0", grant: grant(7, 3) },
  ]);
});

test("a partition superseded under an earlier grant than the held one is kept", () => {
  const { state, tell, view, orders } = memberUnderTest();
  tell(view());
  // The tree reports that before the newer order reaches it.
  orders(leader(7), take("s/0", grant(7, 9)), { kind: "expect", partition: "s/1" });
  assert.equal(tell({ type: "superseded", partition: "s/0", grant: grant(7, 3) }), []);
  assert.equal(tell({ type: "superseded", partition: "s/1", grant: grant(7, 3) }), []);
  assert.equal([...state.holdings.keys()], ["s/0", "s/1"]);
  const told = said(tell({ type: "superseded", partition: "s/0", grant: grant(7, 9) }));
  assert.equal(told, [{ type: "released", from: SELF, leaderEpoch: 7, partition: "s/0", grant: grant(7, 9) }]);
});

test("M4: a partition that the table gives to another life with a later grant is dropped", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0"));
  const entry = {
    partition: "s/0",
    holder: { node: nodeId("c"), incarnation: 1 },
    next: undefined,
    decision: 0,
    reason: "",
  };
  const table = {
    type: "table",
    leader: leader(7),
    version: 4,
    isWhole: false,
    epochs: [],
    members: undefined,
    rates: undefined,
  } as const;
  assert.not.ok(kinds(tell({ ...table, entries: [{ ...entry, grant: grant(7, 2) }] })).includes("drop"));
  const effects = tell({ ...table, entries: [{ ...entry, grant: grant(7, 4) }] });
  assert.ok(kinds(effects).includes("drop"));
  const point = effects.find((effect) => effect.type === "point_to");
  assert.is(point?.type === "point_to" && point.owner?.node, "c");
});

test("during a handover requests are directed to the next owner, before and after the table names it", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0"));
  const pointedTo = (effects: readonly MemberEffect[]) =>
    effects.flatMap((effect) => (effect.type === "point_to" ? [effect.owner?.node] : []));
  assert.equal(pointedTo(orders(leader(7), handOver("s/0"))), ["c"]);
  const about = { version: 4, isWhole: false, epochs: [], members: undefined, rates: undefined } as const;
  const entry = { partition: "s/0", holder: SELF, grant: grant(7, 3), decision: 0, reason: "" };
  const next = { node: nodeId("c"), incarnation: 1 };
  const said = tell({ type: "table", leader: leader(7), ...about, entries: [{ ...entry, next }] });
  assert.equal(pointedTo(said), ["c"]);
});

test("M8: a command is repeated to each coordinator that is greeted, until it is seen carried out or 10 s have passed", () => {
  const { tell, view, clock } = memberUnderTest();
  tell(view());
  const commands = (effects: readonly MemberEffect[]) =>
    said(effects).flatMap((message) => (message.type === "asked" ? [message.command] : []));
  const drain = { kind: "drain", node: nodeId("c") } as const;
  const linkAgain = () => tell({ type: "link", event: { kind: "up", node: nodeId("a"), incarnation: 1, minor: 0 } });
  assert.equal(commands(tell({ type: "command", command: drain })), [drain]);
  assert.equal(commands(linkAgain()), [drain]);
  tell(view()); // not carried out yet
  assert.equal(commands(linkAgain()), [drain]);
  tell(view({ members: [member("a"), member("b", 4), { ...member("c"), isDraining: true }] }));
  assert.equal(commands(linkAgain()), []);
  tell({ type: "command", command: { kind: "undrain", node: nodeId("a") } });
  tell({ type: "command", command: drain });
  clock.nowMs += 60_000;
  tell(view());
  assert.equal(commands(linkAgain()), []);
});

test("M5: a member stands when the leader's port refuses, and only against that term", () => {
  const { tell, view, state } = memberUnderTest();
  tell(view());
  const link = { node: nodeId("a"), incarnation: 1 };
  assert.equal(tell({ type: "link", event: { kind: "closed", ...link } }), []);
  const [wait] = tell({ type: "link", event: { kind: "refused", ...link } });
  assert.equal(wait?.type === "wait" && wait.message, { type: "stand_due", insteadOf: 7 });
  assert.equal(tell({ type: "stand_due", insteadOf: 7 }), [{ type: "stand", insteadOf: 7 }]);
  const elected = tell({ type: "stood", outcome: { kind: "elected", leaderEpoch: 9 } });
  assert.equal(kinds(elected), ["lead", "tell_coordinator"]);
  assert.is(state.isLeading, true);
});

test("M5: a member does not stand against a silent coordinator before its lease has expired", () => {
  const { tell, view } = memberUnderTest();
  tell(view());
  const silent = tell({ type: "link", event: { kind: "silent", node: nodeId("a"), incarnation: 1 } });
  assert.equal(kinds(silent), ["look"]);
  assert.not.ok(
    tell(view({ leaseExpiresInMs: 200 })).some(
      (effect) => effect.type === "wait" && effect.message.type === "stand_due",
    ),
  );
  assert.ok(
    tell(view({ leaseExpiresInMs: -1 })).some(
      (effect) => effect.type === "wait" && effect.message.type === "stand_due",
    ),
  );
});

test("M5: a member that may be cut off lets the others stand first", () => {
  const { tell, view, clock } = memberUnderTest();
  tell(view());
  tell({ type: "stepped_down", because: "cut_off" });
  const wait = tell(view({ leader: undefined, leaseExpiresInMs: undefined })).find(
    (effect) => effect.type === "wait" && effect.message.type === "stand_due",
  );
  assert.ok(wait?.type === "wait" && wait.delayMs >= 2 * CLUSTER_TIMES.leaseMs);
  assert.equal(tell({ type: "stand_due", insteadOf: undefined }), []);
  clock.nowMs += 2 * CLUSTER_TIMES.leaseMs;
});

test("M6: a member gives up no partition while the store is away", () => {
  const { tell, view, orders, state } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0"));
  for (const type of ["look_failed", "renew_failed", "stand_failed"] as const) {
    assert.not.ok(kinds(tell({ type })).includes("drop"));
  }
  assert.is(state.holdings.size, 1);
});

test("M7: a life that the registry no longer knows drops all partitions, and does nothing after", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0"), take("s/1"));
  assert.equal(kinds(tell({ type: "renewed", isKnown: false })), ["drop", "drop", "over"]);
  assert.equal(orders(leader(7), take("s/2")), []);
});

test("a leaving member asks each coordinator to drain it, and has left once it holds no partition", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0"));
  tell({ type: "owned", partition: "s/0", epoch: 3 });
  assert.equal(
    said(tell({ type: "leave" })).map(({ type }) => type),
    ["asked"],
  );
  assert.equal(
    said(tell({ type: "report_again", leader: leader(8, "c") })).map(({ type }) => type),
    ["report", "asked"],
  );
  orders(leader(8, "c"), handOver("s/0"));
  const effects = tell({ type: "let_go", partition: "s/0" });
  assert.equal(
    said(effects).map(({ type }) => type),
    ["released", "leaving"],
  );
  assert.is(effects.at(-1)?.type, "left");
});

test("a member that leaves does not wait if no other node can take over", () => {
  const { tell, view, orders } = memberUnderTest();
  tell(view());
  orders(leader(7), take("s/0"));
  tell(view({ members: [member("b", 4)] }));
  assert.ok(kinds(tell({ type: "leave" })).includes("left"));
});

test.run();
