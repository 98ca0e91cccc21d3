import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TableEntry } from "../../../../supervisors/cluster/cluster.ts";
import type { CoordinatorMessage } from "../../../../supervisors/cluster/coordinator/coordinator_state.ts";
import { Harness, life, settled, TIMES } from "../../../support/fakes/coordinator_harness.ts";

test("O3: no decision is made before all members have reported or exceeded their time", () => {
  const harness = new Harness(["a", "b"], { reported: false });
  harness.report("a");
  assert.is(harness.state.writing, undefined);
  harness.nowMs += TIMES.silentAfterMs;
  harness.tell({ type: "tick" });
  assert.is(harness.state.writing?.entries.length, 6);
  assert.ok(harness.state.writing?.entries.every(({ holder }) => holder?.node === "a"));
});

test("a message of another term or another life is ignored", () => {
  const harness = settled(["a", "b"]);
  const entry = [...harness.state.table.values()].find(({ holder }) => holder?.node === "b") as TableEntry;
  const released = { type: "released", partition: entry.partition, grant: entry.grant } as const;
  harness.tell({ ...released, from: life("b"), leaderEpoch: 6 } as CoordinatorMessage);
  harness.tell({ ...released, from: life("b", 2), leaderEpoch: 7 } as CoordinatorMessage);
  assert.is(harness.state.granting.size, 0);
});

test("a new coordinator tells early reporters the epochs that later reporters hold", () => {
  const [grant, holder] = [{ leaderEpoch: 6, tableVersion: 1 }, life("b")];
  const entry: TableEntry = { partition: "s/0", holder, grant, next: undefined, decision: 1, reason: "" };
  const harness = new Harness(["a", "b"], { entries: [entry], partitions: 1, reported: false });
  harness.report("a");
  const effects = harness.report("b", [{ partition: "s/0", phase: "owned", grant, epoch: 44 }]);
  const told = effects.flatMap((effect) =>
    effect.type === "tell" && effect.message.type === "table" && effect.node === "a" ? effect.message.epochs : [],
  );
  assert.equal(told, [["s/0", 44]]);
});

test.run();
