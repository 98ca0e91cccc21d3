/** Clocks that jump, and lost tails: see lease_store_suite.ts. */
import * as assert from "uvu/assert";
import { nodeId } from "../../../protocols/position.ts";
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
  REGISTRATION_MS,
  type Scenario,
} from "./lease_domains.ts";

export function testClock(scenario: Scenario): void {
  // redis lease library R2
  scenario("a clock that is set back an hour delays no expiry", async (store, domain) => {
    const back = CLOCK_START_MS - 3_600_000;
    const joined = await join(store, "a");
    const leaderEpoch = await elect(store, joined);
    await store.declareDead(leaderEpoch, await join(store, "c"), PROBATION);
    await join(store, "c");
    await domain.setClock(back);
    const times = async () => {
      const { members, leaseExpiresInMs } = await store.look();
      return [
        ...members.filter(({ node }) => node !== "b").map(({ expiresInMs }) => expiresInMs),
        leaseExpiresInMs,
        members.at(-1)?.probationMs,
      ];
    };
    assert.equal(
      await times(),
      [REGISTRATION_MS, REGISTRATION_MS, LEASE_MS, 1_000],
      "the clock stands still until the next write",
    );
    await join(store, "b");
    assert.equal(await times(), [REGISTRATION_MS, REGISTRATION_MS, LEASE_MS, 1_000]);
    await domain.setClock(back + 600);
    assert.equal(await times(), [REGISTRATION_MS - 600, REGISTRATION_MS - 600, LEASE_MS - 600, 400]);
    await domain.setClock(back + LEASE_MS + 1);
    assert.is(await elect(store, life("b", 2)), leaderEpoch + 1);
    assert.is((await memberOf(store, "a")).expiresInMs, REGISTRATION_MS - LEASE_MS - 1);
  });

  scenario("a clock that is set back does not delay the forgetting of deaths", async (store, domain) => {
    const leaderEpoch = await elect(store, life("b", 1));
    await store.declareDead(leaderEpoch, await join(store, "a"), PROBATION);
    const back = CLOCK_START_MS - 3_600_000;
    await domain.setClock(back);
    await join(store, "c");
    await domain.setClock(back + PROBATION.deathsForgottenMs + 1);
    await store.declareDead(leaderEpoch, await join(store, "a"), PROBATION);
    assert.is((await join(store, "a")).probationMs, 1_000);
  });

  scenario("a clock that is set forward an hour expires every registration and removes none", async (store, domain) => {
    const joined = await join(store, "a");
    const leaderEpoch = await elect(store, joined);
    await domain.setClock(CLOCK_START_MS + 3_600_000);
    const { members, leader } = await store.look();
    assert.equal([members.length, leader?.leaderEpoch], [1, leaderEpoch]);
    assert.is(await store.renew(joined, REGISTRATION_MS), true);
    assert.is(await store.renewLease(leaderEpoch, LEASE_MS), true);
    assert.is((await store.look()).leaseExpiresInMs, LEASE_MS);
  });
}

export function testLostTail(scenario: Scenario): void {
  // lease store S1
  scenario(
    "a life that was lost with the tail cannot renew, and its incarnation is not made again",
    async (store, domain) => {
      const kept = await join(store, "a");
      const lose = await domain.keep();
      const lost = await join(store, "a");
      await lose();
      await domain.setClock(CLOCK_START_MS + 2);
      assert.is(await store.renew(lost, REGISTRATION_MS), false);
      assert.is(await store.renew(kept, REGISTRATION_MS), true, "the former life is the registered one again");
      assert.ok((await join(store, "a")).incarnation > lost.incarnation);
    },
  );

  scenario(
    "a term that was lost with the tail can neither renew nor write, and is not made again",
    async (store, domain) => {
      const kept = await elect(store, life("a", 1));
      const lose = await domain.keep();
      const lost = await elect(store, life("b", 2), kept);
      await lose();
      await domain.setClock(CLOCK_START_MS + 2);
      assert.is(await store.renewLease(lost, LEASE_MS), false);
      await isStale(store.writeTable(lost, 0, [entry("p/0")]));
      await isStale(store.setDraining(lost, nodeId("a"), true));
      assert.ok((await elect(store, life("b", 2), kept)) > lost);
    },
  );

  scenario(
    "after a write of the table was lost with the tail the next write is refused, until the table is read again",
    async (store, domain) => {
      const leaderEpoch = await elect(store, life("a", 1));
      await store.writeTable(leaderEpoch, 0, [entry("p/0")], decision(1));
      const lose = await domain.keep();
      await store.writeTable(leaderEpoch, 1, [entry("p/0", { reason: "lost" })], decision(2));
      await lose();
      await isStale(store.writeTable(leaderEpoch, 2, [entry("p/1")], decision(3)));
      const { version, entries } = await store.readTable();
      assert.equal([version, entries.get("p/0")], [1, entry("p/0")]);
      assert.is(await store.writeTable(leaderEpoch, version, [entry("p/1")], decision(2)), 2);
      assert.equal(await store.readDecisions(9), [decision(2), decision(1)]);
    },
  );
}
