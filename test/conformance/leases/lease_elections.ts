/** Elections, and the calls that a term allows: see lease_store_suite.ts. */
import * as assert from "uvu/assert";
import { nodeId } from "../../../protocols/position.ts";
import type { LeaseStore } from "../../../supervisors/cluster/leases/lease_store.ts";
import { rejection } from "../log/log_suite.ts";
import {
  CLOCK_START_MS,
  decision,
  elect,
  entry,
  isStale,
  join,
  LEASE_MS,
  life,
  memberOf,
  PROBATION,
  type Scenario,
  seen,
} from "./lease_domains.ts";

export function testElection(scenario: Scenario): void {
  const a = life("node a", 1);
  const b = life("b", 2);

  // lease store S1
  scenario(
    "a life that stands while no leader is known is elected, in a term that is not below the store's clock",
    async (store, domain) => {
      assert.equal(await store.stand(a, LEASE_MS), { kind: "elected", leaderEpoch: CLOCK_START_MS });
      const { leader, leaseExpiresInMs } = await (await domain.open()).look();
      assert.equal(leader, { ...a, leaderEpoch: CLOCK_START_MS });
      assert.is(leaseExpiresInMs, LEASE_MS);
    },
  );

  scenario(
    "of lives that stand at the same moment one is elected, and the others are told which",
    async (store, domain) => {
      const stores = [store, await domain.open(), await domain.open()];
      const outcomes = await Promise.all(
        Array.from({ length: 12 }, (_, n) => stores[n % 3]!.stand(life(`n${n}`, n), LEASE_MS)),
      );
      const elected = outcomes.flatMap((outcome, n) => (outcome.kind === "elected" ? [{ n, ...outcome }] : []));
      assert.is(elected.length, 1);
      const [{ n, leaderEpoch }] = elected as [(typeof elected)[0]];
      const leader = { ...life(`n${n}`, n), leaderEpoch };
      for (const outcome of outcomes) {
        if (outcome.kind === "held") assert.equal(outcome, { kind: "held", leader, leaseExpiresInMs: LEASE_MS });
      }
    },
  );

  scenario(
    "a lease is held until it has expired by the store's clock, also against its own holder",
    async (store, domain) => {
      const leaderEpoch = await elect(store, a);
      await domain.setClock(CLOCK_START_MS + LEASE_MS);
      const held = { kind: "held", leader: { ...a, leaderEpoch }, leaseExpiresInMs: 0 };
      assert.equal(await store.stand(b, LEASE_MS), held);
      assert.equal(await store.stand(a, LEASE_MS), held);
      await domain.setClock(CLOCK_START_MS + LEASE_MS + 1);
      assert.equal((await store.look()).leader, { ...a, leaderEpoch }, "expiry removes nothing (lease store S3)");
      assert.is((await store.look()).leaseExpiresInMs, -1);
      assert.is(await elect(store, b), CLOCK_START_MS + LEASE_MS + 1);
    },
  );

  scenario(
    "a term whose holder's port refuses is replaced at once, by one of the lives that stand",
    async (store, domain) => {
      const first = await elect(store, a);
      const other = await domain.open();
      const outcomes = await Promise.all([store.stand(b, LEASE_MS, first), other.stand(life("c", 3), LEASE_MS, first)]);
      assert.equal(outcomes.map(({ kind }) => kind).sort(), ["elected", "held"]);
      const { leader } = await store.look();
      assert.ok((leader?.leaderEpoch ?? 0) > first);
      assert.is(await store.renewLease(first, LEASE_MS), false);
    },
  );

  scenario("a life that stands instead of a term that is not held is not elected", async (store, domain) => {
    const first = await elect(store, a);
    const second = await elect(store, b, first);
    for (const insteadOf of [first, second + 1, 0]) {
      assert.equal(await store.stand(a, LEASE_MS, insteadOf), {
        kind: "held",
        leader: { ...b, leaderEpoch: second },
        leaseExpiresInMs: LEASE_MS,
      });
    }
    await domain.setClock(CLOCK_START_MS + LEASE_MS + 1);
    assert.ok((await elect(store, a, first)) > second, "unless the lease has expired");
  });

  scenario(
    "a term is above every earlier one even if the clock stands still or was set back",
    async (store, domain) => {
      const first = await elect(store, a);
      const second = await elect(store, b, first);
      await domain.setClock(CLOCK_START_MS - 3_600_000);
      const third = await elect(store, a, second);
      assert.equal([second, third], [first + 1, first + 2]);
    },
  );

  scenario(
    "a renewed lease expires later; an expired lease can be renewed until a higher term begins",
    async (store, domain) => {
      const leaderEpoch = await elect(store, a);
      await domain.setClock(CLOCK_START_MS + 1_500);
      assert.is(await store.renewLease(leaderEpoch, LEASE_MS), true);
      assert.is((await store.look()).leaseExpiresInMs, LEASE_MS);
      await domain.setClock(CLOCK_START_MS + 9_000);
      assert.is(await store.renewLease(leaderEpoch, LEASE_MS), true);
      assert.is((await store.stand(b, LEASE_MS)).kind, "held");
      await domain.setClock(CLOCK_START_MS + 20_000);
      await elect(store, b);
      assert.is(await store.renewLease(leaderEpoch, 60_000), false);
      assert.is((await store.look()).leaseExpiresInMs, LEASE_MS);
    },
  );

  scenario("a term that the store does not know renews nothing", async (store) => {
    assert.is(await store.renewLease(0, LEASE_MS), false);
    assert.is(await store.renewLease(CLOCK_START_MS, LEASE_MS), false);
    const leaderEpoch = await elect(store, a);
    assert.is(await store.renewLease(leaderEpoch + 1, 60_000), false);
    assert.is((await store.look()).leaseExpiresInMs, LEASE_MS);
  });

  scenario("a lease that was given up is free, and a late renewal does not take it back", async (store) => {
    const leaderEpoch = await elect(store, a);
    await store.resign(leaderEpoch);
    assert.is(await store.renewLease(leaderEpoch, LEASE_MS), false);
    const { leader, leaseExpiresInMs } = await store.look();
    assert.equal([leader, leaseExpiresInMs], [undefined, undefined]);
    assert.is(await elect(store, b), leaderEpoch + 1);
  });

  scenario("a resignation has no effect once a higher term has begun", async (store) => {
    const first = await elect(store, a);
    const second = await elect(store, b, first);
    await store.resign(first);
    await store.resign(second + 1);
    assert.equal((await store.look()).leader, { ...b, leaderEpoch: second });
  });
}

export function testFences(scenario: Scenario): void {
  const calls: readonly (readonly [string, (store: LeaseStore, leaderEpoch: number) => Promise<unknown>])[] = [
    ["a write of the table", (store, term) => store.writeTable(term, 1, [entry("p/0"), entry("p/1")], decision(2))],
    ["a death", async (store, term) => store.declareDead(term, await memberOf(store, "a"), PROBATION)],
    ["an order to drain", (store, term) => store.setDraining(term, nodeId("a"), true)],
  ];
  for (const [what, call] of calls) {
    // lease store S2, redis lease library R1
    scenario(`${what} in a lower or an unknown term is refused, and changes nothing`, async (store) => {
      const joined = await join(store, "a");
      await isStale(call(store, 0));
      await isStale(call(store, CLOCK_START_MS));
      const first = await elect(store, joined);
      await store.writeTable(first, 0, [entry("p/0", { reason: "before" })], decision(1));
      const second = await elect(store, life("b", 1), first);
      const before = await seen(store);
      for (const term of [first, second + 1, 0]) await isStale(call(store, term));
      assert.equal(await seen(store), before);
      await call(store, second);
      assert.not.equal(await seen(store), before);
    });

    scenario(
      `${what} has its effect in an expired or resigned term, until a higher term begins`,
      async (store, domain) => {
        const joined = await join(store, "a");
        const leaderEpoch = await elect(store, joined);
        await store.writeTable(leaderEpoch, 0, []);
        await domain.setClock(CLOCK_START_MS + LEASE_MS + 1);
        await store.resign(leaderEpoch);
        const before = await seen(store);
        await call(store, leaderEpoch);
        assert.not.equal(await seen(store), before);
      },
    );
  }

  scenario("a refusal names the call, its term and the newest term", async (store) => {
    const leaderEpoch = await elect(store, life("a", 1));
    const { message } = await rejection(store.setDraining(5, nodeId("a"), true));
    assert.is(
      message,
      `Cannot drain a node in leader epoch 5 as it must be the newest: current value is ${leaderEpoch}`,
    );
    const other = await rejection(store.writeTable(leaderEpoch, 3, []));
    assert.is(other.message, "Cannot write the table as its version must be 3: current value is 0");
  });
}
