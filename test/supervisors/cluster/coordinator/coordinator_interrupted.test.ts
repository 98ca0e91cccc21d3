/** Interrupted moves: each partition still finds an owner, and each node its share. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../../protocols/position.ts";
import { CLUSTER_TIMES } from "../../../../supervisors/cluster/cluster.ts";
import { member, Term } from "../../../support/fakes/coordinator_term.ts";

/** `a` and `b` hold two partitions each, and one of `b`'s is on its way to `c`. */
function moving(): { readonly term: Term; readonly partition: string } {
  const term = new Term(["a", "b"], ["s/0", "s/1", "s/2", "s/3"]);
  term.writeAll();
  term.claim();
  term.join(member("c"));
  const moved = term.writing?.entries.find(({ holder, next }) => holder?.node === "b" && next?.node === "c");
  if (moved === undefined) return { term, partition: makeMove(term) };
  return { term, partition: moved.partition };
}

/** The newcomer was given one of `a`'s: one of `b`'s is moved as well. */
function makeMove(term: Term): string {
  const from = [...term.state.table.values()].find(({ holder }) => holder?.node === "b")!;
  term.writeAll();
  term.state.wanted.set(from.partition, nodeId("c"));
  term.pass(0);
  return from.partition;
}

test("a partition whose owner dies during the handover goes at once to the planned next node", () => {
  const { term, partition } = moving();
  term.writeAll();
  assert.is(term.entry(partition).next?.node, "c");
  term.kill("b");
  term.writeAll();
  assert.is(term.entry(partition).holder?.node, "c");
  assert.is(term.entry(partition).next, undefined);
  assert.ok(term.taken("c").includes(partition));
});

test("a partition whose owner dies before the move is in the table goes to the planned next node", () => {
  const { term, partition } = moving();
  term.kill("b");
  term.writeAll();
  assert.is(term.entry(partition).holder?.node, "c");
  assert.is(term.entry(partition).next, undefined);
});

test("a partition whose owner's death shows by a new life of its node goes to the planned next node", () => {
  const { term, partition } = moving();
  term.writeAll();
  term.members = term.members.map((one) => (one.node === "b" ? member("b", 2) : one));
  term.look();
  term.pass(200);
  term.writeAll();
  assert.is(term.entry(partition).holder?.node, "c");
});

test("a partition that was released for a node which now has too many goes to another node", () => {
  const term = new Term(["a", "b"], ["s/0", "s/1", "s/2", "s/3"]);
  term.writeAll();
  term.claim();
  term.join(member("c"));
  term.writeAll();
  const held = (name: string) => [...term.state.table.values()].filter(({ holder }) => holder?.node === name);
  for (const { partition } of [...held("b"), ...held("a").slice(0, 1)]) term.state.wanted.set(partition, nodeId("c"));
  term.pass(0);
  term.writeAll();
  term.kill("b");
  term.pass(200);
  term.writeAll();
  const places = [...term.state.table.values()].map(({ holder, next }) => (next ?? holder)?.node);
  assert.is(places.filter((node) => node === "c").length, 2);
});

test("a node gets its share after its probation, even if the store is the first to show the end of it", () => {
  const term = new Term(["a", "b"], ["s/0", "s/1", "s/2", "s/3", "s/4", "s/5"]);
  term.writeAll();
  term.claim();
  term.join({ ...member("c"), probationMs: 1_000 });
  assert.is(term.writing, undefined);
  term.nowMs += 1_000;
  term.members = term.members.map((one) => ({ ...one, probationMs: 0 }));
  term.look();
  term.hear({ type: "tick" });
  term.pass(200);
  assert.ok(term.writing?.entries.some(({ next }) => next?.node === "c"));
});

test("a partition that is released while its move changes its target is granted once, even if its owner dies then", () => {
  const { term, partition } = moving();
  term.writeAll();
  const { holder, grant } = term.entry(partition);
  term.state.wanted.set(partition, nodeId("a"));
  term.pass(0);
  term.hear({ type: "released", from: holder!, leaderEpoch: term.state.leader.leaderEpoch, partition, grant: grant! });
  term.write();
  const granting = term.writing?.entries.find((entry) => entry.partition === partition);
  assert.is(granting?.holder?.node, "a");
  term.kill("b");
  term.writeAll();
  assert.equal(term.entry(partition).grant, granting?.grant);
});

test("a half-done move of a dead owner ends once the partition is granted", () => {
  const holder = { node: nodeId("gone"), incarnation: 1 };
  const next = { node: nodeId("b"), incarnation: 1 };
  const grant = { leaderEpoch: 3, tableVersion: 1 };
  const term = new Term(["a", "b"], ["s/0"], [{ partition: "s/0", holder, grant, next, decision: 1, reason: "" }]);
  term.writeAll();
  const owner = term.entry("s/0");
  assert.is(owner.next, undefined);
  assert.is.not(owner.holder?.node, "gone");
  term.claim();
  term.nowMs += 2 * CLUSTER_TIMES.handOverWithinMs;
  term.tick();
  term.pass(200);
  term.writeAll();
  assert.equal(term.entry("s/0").grant, owner.grant);
});

test("a forced move has that in its reason, even if its first write failed", () => {
  const { term, partition } = moving();
  term.writeAll();
  term.nowMs += 2 * CLUSTER_TIMES.handOverWithinMs;
  term.tick();
  term.failWrite();
  term.writeAll();
  assert.is(term.entry(partition).holder?.node, "c");
  assert.match(term.entry(partition).reason, /not handed over in time$/);
});

test("a node that is lost several times counts as one loss (O5)", () => {
  const term = new Term(["a", "b", "c"], ["s/0", "s/1", "s/2"]);
  term.writeAll();
  term.claim();
  term.kill("c");
  term.join(member("c", 2));
  term.hear({ type: "link", event: { kind: "refused", node: nodeId("c"), incarnation: 2 } });
  assert.is(term.state.phase, "leading");
  term.kill("b");
  assert.is(term.state.phase, "resigned");
});

test("a death that the store lost with its tail is declared again (O4)", () => {
  const term = new Term(["a", "b", "c", "d"], ["s/0"]);
  const { members } = term;
  term.kill("b");
  term.members = members;
  term.look();
  const b = { node: "b", incarnation: 1 };
  assert.equal(term.declaredDead, [b, b]);
});

test("a node whose registration expired is declared dead, so that it joins again if it lives (O4)", () => {
  const term = new Term(["a", "b"], ["s/0", "s/1"]);
  term.writeAll();
  term.claim();
  term.hear({ type: "link", event: { kind: "closed", node: nodeId("b"), incarnation: 1 } });
  term.nowMs += CLUSTER_TIMES.registrationMs;
  term.members = term.members.map((one) => (one.node === "b" ? { ...one, expiresInMs: -1 } : one));
  term.look();
  assert.equal(term.declaredDead, [{ node: "b", incarnation: 1 }]);
});

test("a member that has forgotten its partitions is ordered to take them again", () => {
  const term = new Term(["a", "b"], ["s/0", "s/1", "s/2", "s/3"]);
  term.writeAll();
  term.claim();
  const held = term.taken("b");
  assert.is(held.length, 2);
  term.report("b");
  assert.equal(term.taken("b"), [...held, ...held]);
});

test.run();
