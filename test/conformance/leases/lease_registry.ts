/** The registry and the deaths: see lease_store_suite.ts. */
import * as assert from "uvu/assert";
import { nodeId } from "../../../protocols/position.ts";
import { isSameLife } from "../../../supervisors/cluster/cluster.ts";
import { EMPTY_TABLE } from "../../support/fakes/coordinator_term.ts";
import { rejection } from "../log/log_suite.ts";
import {
  CLOCK_START_MS,
  elect,
  join,
  life,
  memberOf,
  namesOf,
  PROBATION,
  profile,
  REGISTRATION_MS,
  type Scenario,
  seen,
} from "./lease_domains.ts";

export function testRegistry(scenario: Scenario): void {
  scenario("a new store shows no member, no leader and an empty table", async (store) => {
    const view = { members: [], leader: undefined, leaseExpiresInMs: undefined, tableVersion: 0 };
    assert.equal(await seen(store), { view, table: EMPTY_TABLE, decisions: [] });
  });

  scenario("every node sees a node that joins, with its whole profile", async (store, domain) => {
    const { incarnation, ...joined } = await join(store, "a");
    assert.equal(joined, { node: nodeId("a"), probationMs: 0 });
    const other = await domain.open();
    assert.equal(await memberOf(other, "a"), {
      ...life("a", incarnation),
      profile: profile("a"),
      expiresInMs: REGISTRATION_MS,
      probationMs: 0,
      isDraining: false,
    });
  });

  scenario("a look shows members sorted by name", async (store) => {
    for (const name of ["node-10", "b", "node 2", "Z", "a"]) await join(store, name);
    assert.equal(await namesOf(store), ["Z", "a", "b", "node 2", "node-10"]);
  });

  // lease store S1
  scenario("an incarnation is above every earlier one, and not below the store's clock", async (store, domain) => {
    const first = await join(store, "a");
    assert.is(first.incarnation, CLOCK_START_MS);
    assert.ok((await join(store, "a")).incarnation > first.incarnation);
    await domain.setClock(CLOCK_START_MS - 3_600_000);
    assert.ok((await join(store, "a")).incarnation > first.incarnation + 1);
    await domain.setClock(CLOCK_START_MS + 5_000);
    assert.is((await join(store, "a")).incarnation, CLOCK_START_MS + 5_000);
  });

  scenario("lives that join at the same moment have different incarnations", async (store, domain) => {
    const other = await domain.open();
    const joined = await Promise.all(
      Array.from({ length: 20 }, (_, n) => join(n % 2 === 0 ? store : other, `n${n % 5}`)),
    );
    assert.is(new Set(joined.map(({ incarnation }) => incarnation)).size, 20);
    for (const member of (await store.look()).members) {
      const lives = joined.filter(({ node }) => node === member.node).map(({ incarnation }) => incarnation);
      assert.is(member.incarnation, Math.max(...lives));
    }
  });

  scenario("a superseded life cannot renew, and its leaving does not remove the newer life", async (store, domain) => {
    const former = await join(store, "a");
    const newer = await join(store, "a");
    await domain.setClock(CLOCK_START_MS + 4_000);
    assert.is(await store.renew(former, REGISTRATION_MS), false);
    assert.is((await memberOf(store, "a")).expiresInMs, REGISTRATION_MS - 4_000);
    await store.leave(former);
    assert.ok(isSameLife(await memberOf(store, "a"), newer));
    assert.is(await store.renew(newer, REGISTRATION_MS), true);
    assert.is((await memberOf(store, "a")).expiresInMs, REGISTRATION_MS);
  });

  scenario("a life that renews keeps its profile", async (store) => {
    const joined = await join(store, "a");
    await store.renew(joined, 77);
    const { profile: told, expiresInMs } = await memberOf(store, "a");
    assert.equal([told, expiresInMs], [profile("a"), 77]);
  });

  scenario("a life that was never registered cannot renew, and is not registered by trying", async (store) => {
    assert.is(await store.renew(life("a", CLOCK_START_MS), REGISTRATION_MS), false);
    assert.equal(await namesOf(store), []);
  });

  scenario("a life that leaves is removed from the registry, and no other life is", async (store) => {
    const joined = await join(store, "a");
    await join(store, "b");
    await store.leave(joined);
    assert.equal(await namesOf(store), ["b"]);
    assert.is(await store.renew(joined, REGISTRATION_MS), false);
    assert.is((await join(store, "a")).probationMs, 0);
  });

  // lease store S3
  scenario(
    "a registration that is not renewed expires by the store's clock, and stays until it is removed",
    async (store, domain) => {
      const joined = await join(store, "a");
      await domain.setClock(CLOCK_START_MS + REGISTRATION_MS);
      assert.is((await memberOf(store, "a")).expiresInMs, 0);
      await domain.setClock(CLOCK_START_MS + REGISTRATION_MS + 5);
      await join(store, "b");
      assert.is((await memberOf(store, "a")).expiresInMs, -5);
      assert.is(await store.renew(joined, REGISTRATION_MS), true, "expiry removes nothing");
      assert.is((await memberOf(store, "a")).expiresInMs, REGISTRATION_MS);
    },
  );

  scenario("a drained node is seen as draining until it is undrained, or joins as a new life", async (store) => {
    const joined = await join(store, "a");
    await join(store, "b");
    const leaderEpoch = await elect(store, joined);
    await store.setDraining(leaderEpoch, nodeId("a"), true);
    await store.renew(joined, REGISTRATION_MS);
    assert.equal([(await memberOf(store, "a")).isDraining, (await memberOf(store, "b")).isDraining], [true, false]);
    await store.setDraining(leaderEpoch, nodeId("a"), false);
    assert.is((await memberOf(store, "a")).isDraining, false);
    await store.setDraining(leaderEpoch, nodeId("a"), true);
    await join(store, "a");
    assert.is((await memberOf(store, "a")).isDraining, false);
  });

  scenario("draining a node that is not registered changes nothing", async (store) => {
    const leaderEpoch = await elect(store, life("a", 1));
    await store.setDraining(leaderEpoch, nodeId("b"), true);
    assert.equal(await namesOf(store), []);
  });

  scenario("a closed store refuses all calls", async (store, domain) => {
    const other = await domain.open();
    await store.close();
    assert.is((await rejection(join(store, "a"))).name, "UnavailableError");
    assert.is((await rejection(store.look())).name, "UnavailableError");
    assert.equal(await namesOf(other), []);
    await store.close();
  });
}

export function testDeaths(scenario: Scenario): void {
  scenario(
    "a life that is declared dead is removed, and its node is on probation when it joins again",
    async (store, domain) => {
      const joined = await join(store, "a");
      const leaderEpoch = await elect(store, await join(store, "b"));
      await store.declareDead(leaderEpoch, joined, PROBATION);
      assert.equal(await namesOf(store), ["b"]);
      assert.is(await store.renew(joined, REGISTRATION_MS), false);
      await domain.setClock(CLOCK_START_MS + 400);
      const again = await join(store, "a");
      assert.ok(again.incarnation > joined.incarnation);
      assert.is(again.probationMs, 600);
      assert.equal([(await memberOf(store, "a")).probationMs, (await memberOf(store, "b")).probationMs], [600, 0]);
      await domain.setClock(CLOCK_START_MS + 1_001);
      assert.is((await memberOf(store, "a")).probationMs, 0);
      assert.is((await join(store, "a")).probationMs, 0);
    },
  );

  scenario("probation doubles with each death up to its limit, and deaths are forgotten", async (store, domain) => {
    let nowMs = CLOCK_START_MS;
    const leaderEpoch = await elect(store, life("b", 1));
    const die = async (name = "a") => {
      await store.declareDead(leaderEpoch, await join(store, name), PROBATION);
      return (await join(store, name)).probationMs;
    };
    assert.equal(
      [await die(), await die(), await die("other"), await die(), await die()],
      [1_000, 2_000, 1_000, 4_000, 6_000],
    );
    assert.is(await die(), 6_000);
    nowMs += PROBATION.deathsForgottenMs;
    await domain.setClock(nowMs);
    assert.is(await die(), 6_000, "deaths are forgotten after the time, not at it");
    nowMs += PROBATION.deathsForgottenMs + 1;
    await domain.setClock(nowMs);
    assert.equal([await die(), await die()], [1_000, 2_000]);
  });

  scenario(
    "a probation that is longer than the memory of deaths outlasts it, and the death of another node",
    async (store, domain) => {
      const leaderEpoch = await elect(store, life("b", 1));
      const long = { probationFirstMs: 5_000, probationMaxMs: 5_000, deathsForgottenMs: 100 };
      await store.declareDead(leaderEpoch, await join(store, "a"), long);
      await domain.setClock(CLOCK_START_MS + 1_000);
      await store.declareDead(leaderEpoch, await join(store, "c"), long);
      const again = await join(store, "a");
      assert.is(again.probationMs, 4_000);
      await store.declareDead(leaderEpoch, again, { ...long, probationFirstMs: 1_000 });
      assert.is((await join(store, "a")).probationMs, 1_000, "a forgotten death does not double the probation");
    },
  );

  scenario(
    "a death of a life that is not registered has no effect, and a repeated death has none either",
    async (store) => {
      const former = await join(store, "a");
      const newer = await join(store, "a");
      const leaderEpoch = await elect(store, life("b", 1));
      await store.declareDead(leaderEpoch, former, PROBATION);
      const { probationMs, ...member } = await memberOf(store, "a");
      assert.equal([isSameLife(member, newer), probationMs], [true, 0]);
      await store.declareDead(leaderEpoch, newer, PROBATION);
      await store.declareDead(leaderEpoch, newer, PROBATION);
      const again = await join(store, "a");
      assert.is(again.probationMs, 1_000);
      await store.leave(again);
      await store.declareDead(leaderEpoch, again, PROBATION);
      assert.is((await join(store, "a")).probationMs, 1_000);
    },
  );
}
