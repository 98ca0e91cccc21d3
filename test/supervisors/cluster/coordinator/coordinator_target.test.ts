import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../../protocols/position.ts";
import {
  COORDINATOR_LIMITS,
  type CoordinatorEffect,
  type CoordinatorMessage,
} from "../../../../supervisors/cluster/coordinator/coordinator_state.ts";
import { Harness, life, member, settled } from "../../../support/fakes/coordinator_harness.ts";

test("a node gets no partition during its probation; a node that leaves in order is not declared dead (O4)", () => {
  const harness = settled(["a", "b"]);
  harness.members.push(member("c", { probationMs: 1_000 }));
  harness.tell({ type: "view", view: harness.view });
  harness.report("c");
  harness.nowMs += 500;
  harness.tell({ type: "tick" });
  assert.is(harness.state.writing, undefined);
  harness.nowMs += 500;
  harness.members = [...harness.members.slice(0, 2), member("c")]; // by the store's clock the probation is over
  harness.tell({ type: "view", view: harness.view });
  harness.tell({ type: "tick" });
  harness.nowMs += COORDINATOR_LIMITS.gatherJoinsMs;
  harness.tell({ type: "tick" });
  harness.settle();
  assert.equal(Object.values(harness.held()), [2, 2, 2]);
  harness.tell({ type: "asked", from: life("c"), leaderEpoch: 7, command: { kind: "drain", node: nodeId("c") } });
  harness.settle();
  harness.tell({ type: "leaving", from: life("c"), leaderEpoch: 7 });
  harness.link("closed", "c");
  harness.link("refused", "c");
  assert.not(harness.did.includes("declare_dead"));
  assert.equal([...harness.state.members.keys()], ["a", "b"]);
});

test("a skew moves partitions if it lasts and is large enough; a small or passing skew moves none", () => {
  const harness = settled(["a", "b"], 8);
  const busy = [...harness.state.table.values()]
    .filter(({ holder }) => holder?.node === "a")
    .map(({ partition }) => partition);
  const loads = (cpu: number): CoordinatorMessage => ({
    ...{ type: "loads", from: life("a"), leaderEpoch: 7 },
    loads: busy.map((partition) => ({ partition, bytesPerSecond: 0, recordsPerSecond: 0, cpu })),
  });
  for (let looks = 0; looks < 10; looks++) harness.tell(loads(0.004));
  assert.is(harness.state.writing, undefined);
  harness.tell(loads(0.25));
  assert.is(harness.state.writing, undefined);
  for (let looks = 1; looks < COORDINATOR_LIMITS.skewedLooksMin + 1; looks++) harness.tell(loads(0.25));
  const moving = harness.write() ?? [];
  const ofBusy = moving.filter(({ partition }) => busy.includes(partition));
  assert.equal(
    ofBusy.map(({ holder, next }) => [holder?.node, next?.node]),
    [
      ["a", "b"],
      ["a", "b"],
    ],
  );
});

test("a drain is written again at each look until it is written and the store shows it", () => {
  const harness = new Harness(["a", "b"]);
  const command = { kind: "drain", node: nodeId("b") } as const;
  const drains = (effects: readonly CoordinatorEffect[]) => effects.filter(({ type }) => type === "set_draining");
  const written = [{ type: "set_draining", node: nodeId("b"), isDraining: true }];
  assert.equal(drains(harness.tell({ type: "asked", from: life("a"), leaderEpoch: 7, command })), written);
  for (const _ of [1, 2]) assert.equal(drains(harness.tell({ type: "view", view: harness.view })), written);
  harness.tell({ type: "drain_written", node: nodeId("b"), isDraining: true });
  assert.equal(drains(harness.tell({ type: "view", view: harness.view })), written, "the look does not show it");
  harness.members = [member("a"), member("b", { isDraining: true })];
  for (const _ of [1, 2]) assert.equal(drains(harness.tell({ type: "view", view: harness.view })), []);
});

test("a look that began before a drain does not stand for its end, whose write may have failed", () => {
  const harness = new Harness(["a", "b"]);
  const ask = (kind: "drain" | "undrain") =>
    harness.tell({ type: "asked", from: life("a"), leaderEpoch: 7, command: { kind, node: nodeId("b") } });
  const drains = (effects: readonly CoordinatorEffect[]) => effects.filter(({ type }) => type === "set_draining");
  const ended = [{ type: "set_draining", node: nodeId("b"), isDraining: false }];
  ask("drain");
  ask("undrain");
  assert.equal(drains(harness.tell({ type: "view", view: harness.view })), ended, "the look began before both");
  harness.tell({ type: "drain_written", node: nodeId("b"), isDraining: true });
  harness.members = [member("a"), member("b", { isDraining: true })];
  assert.equal(drains(harness.tell({ type: "view", view: harness.view })), ended);
  harness.tell({ type: "drain_written", node: nodeId("b"), isDraining: false });
  harness.members = [member("a"), member("b")];
  assert.equal(drains(harness.tell({ type: "view", view: harness.view })), []);
});

test.run();
