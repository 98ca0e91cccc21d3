/** The controls of the lease store in memory for a simulator. The conformance suite tests the contract. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CLOCK_START_MS, decision, entry, life, profile, seen } from "../../conformance/leases/lease_domains.ts";
import { rejection } from "../../conformance/log/log_suite.ts";
import { MemoryLeaseDomain, type MemoryLeaseStore } from "./memory_lease_store.ts";

const PROBATION = { probationFirstMs: 1_000, probationMaxMs: 6_000, deathsForgottenMs: 60_000 };

const everyCall = (store: MemoryLeaseStore, leaderEpoch: number): Promise<unknown>[] => [
  store.join(profile("b"), 10_000),
  store.renew(life("a", CLOCK_START_MS), 99_000),
  store.leave(life("a", CLOCK_START_MS)),
  store.look(),
  store.stand(life("b", 1), 2_000, leaderEpoch),
  store.renewLease(leaderEpoch, 99_000),
  store.resign(leaderEpoch),
  store.readTable(),
  store.writeTable(leaderEpoch, 1, [entry("p/1")], decision(2)),
  store.declareDead(leaderEpoch, life("a", CLOCK_START_MS), PROBATION),
  store.setDraining(leaderEpoch, profile("a").node, true),
  store.readDecisions(9),
];

async function made() {
  let nowMs = CLOCK_START_MS;
  const domain = new MemoryLeaseDomain(() => nowMs);
  const store = domain.open();
  const joined = await store.join(profile("a"), 10_000);
  await store.stand(joined, 2_000);
  await store.writeTable(CLOCK_START_MS, 0, [entry("p/0")], decision(1));
  const setClock = (to: number) => {
    nowMs = to;
  };
  return { domain, store, leaderEpoch: CLOCK_START_MS, setClock };
}

test("while the store is away every call of every handle is refused and has no effect", async () => {
  const { domain, store, leaderEpoch } = await made();
  const before = await seen(store);
  domain.setAway(true);
  for (const call of [...everyCall(store, leaderEpoch), ...everyCall(domain.open(), leaderEpoch)]) {
    const { name, code } = await rejection(call);
    assert.equal([name, code], ["UnavailableError", "STORE_UNAVAILABLE"]);
  }
  domain.setAway(false);
  assert.equal(await seen(store), before);
});

test("while one node cannot reach the store only its calls are refused, without effect", async () => {
  const { domain, store, leaderEpoch } = await made();
  const before = await seen(store);
  store.setAway(true);
  for (const call of everyCall(store, leaderEpoch)) assert.is((await rejection(call)).code, "STORE_UNAVAILABLE");
  assert.equal(await seen(domain.open()), before);
  store.setAway(false);
  assert.equal(await seen(store), before);
});

test("later calls do not change a snapshot, and it can be restored more than once", async () => {
  const { domain, store, leaderEpoch } = await made();
  const before = await seen(store);
  const snapshot = domain.snapshot();
  for (let times = 0; times < 2; times += 1) {
    await store.writeTable(leaderEpoch, 1, [entry("p/0", { reason: "lost" }), entry("p/1")], decision(2));
    await store.setDraining(leaderEpoch, profile("a").node, true);
    await store.declareDead(leaderEpoch, await store.join(profile("b"), 10_000), PROBATION);
    await store.resign(leaderEpoch);
    assert.not.equal(await seen(store), before);
    domain.restore(snapshot);
    assert.equal(await seen(store), before);
  }
  assert.is((await store.join(profile("b"), 10_000)).probationMs, 0, "its death was lost too");
});

test("a call has all of its effect before it answers", async () => {
  const { domain, store, leaderEpoch, setClock } = await made();
  const calls = [store.writeTable(leaderEpoch, 1, [entry("p/1")]), store.join(profile("b"), 10_000)];
  setClock(CLOCK_START_MS + 5_000);
  domain.setAway(true);
  await Promise.all(calls);
  domain.setAway(false);
  const { view, table } = await seen(store);
  assert.equal([table.version, view.members.map(({ node }) => node)], [2, ["a", "b"]]);
  assert.is(view.members[1]?.expiresInMs, 5_000);
});

test.run();
