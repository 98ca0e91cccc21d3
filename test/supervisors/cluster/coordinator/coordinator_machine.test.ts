import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TableEntry } from "../../../../supervisors/cluster/cluster.ts";
import { Harness, life, settled, TIMES } from "../../../support/fakes/coordinator_harness.ts";

test("O4: a refusing port is a death at once; only the partitions of the dead node are granted to others", () => {
  const harness = settled(["a", "b", "c"], 9);
  const lost = [...harness.state.table.values()]
    .filter(({ holder }) => holder?.node === "c")
    .map(({ partition }) => partition);
  harness.link("closed", "c");
  assert.equal(harness.did, []);
  harness.link("refused", "c");
  assert.ok(harness.did.includes("declare_dead"));
  assert.equal(harness.state.writing?.entries.map(({ partition }) => partition).sort(), lost.sort());
  harness.settle();
  assert.equal(Object.values(harness.held()).sort(), [4, 5]);
});

test("O4: an expired registration is no death with a link, nor in the first registration period after an outage (E21)", () => {
  const harness = settled(["a", "b", "c"]);
  harness.nowMs += TIMES.registrationMs;
  harness.members = harness.members.map((one) => ({ ...one, expiresInMs: -1 }));
  harness.tell({ type: "view", view: harness.view });
  assert.is(harness.state.members.size, 3);
  // The link of one node breaks while the store is away: the node has one registration period to come back.
  harness.tell({ type: "store_away" });
  harness.link("closed", "c");
  harness.tell({ type: "view", view: harness.view });
  harness.nowMs += TIMES.registrationMs - 1;
  harness.tell({ type: "tick" });
  assert.is(harness.state.members.size, 3);
  harness.nowMs += 1;
  harness.tell({ type: "tick" });
  assert.equal([...harness.state.members.keys()], ["a", "b"]);
});

test("O5: a coordinator that loses many peers at once moves nothing and steps down", () => {
  const harness = settled(["a", "b", "c", "d"], 12);
  harness.link("silent", "b");
  assert.is(harness.state.phase, "leading"); // one loss alone proves nothing
  harness.effects.length = 0;
  harness.link("silent", "c");
  const down = harness.effects.find((effect) => effect.type === "step_down");
  assert.is(down?.type === "step_down" && down.because, "cut_off");
  assert.not(harness.did.includes("declare_dead"));
  assert.equal(harness.tell({ type: "tick" }), []);
});

test("O5: a successor that sees the same losses acts on them", () => {
  const harness = new Harness(["a", "b", "c", "d"], { reported: false });
  for (const node of ["b", "c"]) harness.link("silent", node);
  for (const node of ["a", "d"]) harness.report(node);
  assert.is(harness.state.phase, "leading");
  assert.equal([...harness.state.members.keys()], ["a", "d"]);
});

test("a new coordinator continues the moves in the table", () => {
  const grant = { leaderEpoch: 6, tableVersion: 4 };
  const moving: TableEntry = { partition: "s/0", holder: life("a"), grant, next: life("b"), decision: 4, reason: "r" };
  const harness = new Harness(["a", "b"], { entries: [moving], partitions: 1, reported: false });
  harness.report("a", [{ partition: "s/0", phase: "owned", grant, epoch: 9 }]);
  const orders = harness.takeOrders().map(([to, { kind, partition }]) => `${to.node} ${kind} ${partition}`);
  assert.equal(orders.sort(), ["a hand_over s/0", "b expect s/0"]);
  harness.report("b");
  assert.equal(
    harness.takeOrders().map(([to, { kind }]) => `${to.node} ${kind}`),
    ["b expect"],
  );
  harness.tell({ type: "released", from: life("a"), leaderEpoch: 7, partition: "s/0", grant });
  const granted = harness.write();
  assert.equal([granted?.[0]?.holder, granted?.[0]?.grant], [life("b"), { leaderEpoch: 7, tableVersion: 6 }]);
});

test.run();
