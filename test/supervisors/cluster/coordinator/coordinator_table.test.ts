import { test } from "uvu";
import * as assert from "uvu/assert";
import { FencedError, UnavailableError } from "../../../../protocols/errors.ts";
import { Harness, life, settled } from "../../../support/fakes/coordinator_harness.ts";

test("O1: a write of unknown outcome is read back, and repeated only if it was not made", () => {
  for (const wasMade of [true, false]) {
    const harness = new Harness(["a", "b"]);
    harness.tell({ type: "write_failed", error: new UnavailableError("TIMEOUT", "no answer") });
    assert.ok(harness.did.includes("read_table"));
    assert.is(harness.takeOrders().length, 0);
    const table = { version: wasMade ? 1 : 0, leaderEpoch: wasMade ? 7 : 0, entries: new Map() };
    harness.tell({ type: "table_read", table });
    if (!wasMade) harness.write();
    assert.is(harness.takeOrders().length, 6);
    assert.is(harness.state.version, 1);
  }
});

test("O1: a late answer of an earlier read or write does not count for the one under way", () => {
  const harness = new Harness(["a", "b"]);
  harness.tell({ type: "write_failed", error: new UnavailableError("TIMEOUT", "no answer") });
  const read = { type: "table_read", table: { version: 1, leaderEpoch: 7, entries: new Map() } } as const;
  harness.tell(read);
  harness.takeOrders();
  harness.link("refused", "b");
  const { writing } = harness.state;
  assert.ok(writing, "what the dead one held is given to the other");
  harness.tell(read);
  harness.tell({ type: "written", version: 1 });
  assert.is(harness.state.writing, writing);
  assert.is(harness.takeOrders().length, 0);
  harness.write();
  assert.is(harness.takeOrders().length, 3);
});

test("O1: the table is read once for each write of unknown outcome, and at no other time", () => {
  const harness = settled(["a", "b"]);
  const failed = { type: "write_failed", error: new UnavailableError("TIMEOUT", "no answer") } as const;
  harness.tell(failed);
  assert.not.ok(harness.did.includes("read_table"), "nothing is being written");
  harness.link("refused", "b");
  harness.tell(failed);
  harness.tell(failed);
  assert.is(harness.did.filter((type) => type === "read_table").length, 1);
});

test("a coordinator whose write is refused, or that sees a higher term, steps down", () => {
  const refused = new Harness(["a", "b"]);
  refused.tell({ type: "write_failed", error: new FencedError("STALE_LEADER", "a higher term") });
  assert.ok(refused.did.includes("step_down"));
  const overtaken = settled(["a", "b"]);
  overtaken.tell({ type: "view", view: { ...overtaken.view, leader: { ...life("b"), leaderEpoch: 8 } } });
  assert.ok(overtaken.did.includes("step_down"));
});

test.run();
