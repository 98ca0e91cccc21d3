/**
 * What every lease store must do, whatever lies beneath it: each sentence of the contract in
 * supervisors/cluster/lease_store.ts, by direct examples. Histories at random are in lease_store_histories.ts.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../protocols/position.ts";
import { type AssignmentTable, EMPTY_TABLE, isSameLife, type Life } from "../../supervisors/cluster/cluster.ts";
import { DECISIONS_MAX, type LeaseStore } from "../../supervisors/cluster/lease_store.ts";
import {
  CLOCK_START_MS,
  decision,
  entry,
  type LeaseDomain,
  type LeaseStoreHarness,
  life,
  profile,
  seen,
} from "./lease_domains.ts";
import { rejection } from "./log_suite.ts";

const REGISTRATION_MS = 10_000;
const LEASE_MS = 2_000;
const PROBATION = { probationFirstMs: 1_000, probationMaxMs: 6_000, deathsForgottenMs: 60_000 };

const join = (store: LeaseStore, name: string): Promise<Life & { readonly probationMs: number }> =>
  store.join(profile(name), REGISTRATION_MS);
const elect = async (store: LeaseStore, by: Life, insteadOf?: number): Promise<number> => {
  const outcome = await store.stand(by, LEASE_MS, insteadOf);
  assert.is(outcome.kind, "elected");
  return outcome.kind === "elected" ? outcome.leaderEpoch : 0;
};
const namesOf = async (store: LeaseStore) => (await store.look()).members.map(({ node }) => node);
const memberOf = async (store: LeaseStore, name: string) => {
  const member = (await store.look()).members.find(({ node }) => node === name);
  if (member === undefined) throw new Error(`Cannot look at ${name} as it must be registered: it is not`);
  return member;
};
const isStale = async (call: Promise<unknown>): Promise<void> => {
  const { name, code } = await rejection(call);
  assert.equal([name, code], ["FencedError", "STALE_LEADER"]);
};

type Scenario = (name: string, run: (store: LeaseStore, domain: LeaseDomain) => Promise<unknown>) => void;

export function leaseStoreSuite(harness: LeaseStoreHarness): void {
  const scenario: Scenario = (name, run) =>
    test(`${harness.name}: ${name}`, async () => {
      const domain = await harness.make();
      try {
        await run(await domain.open(), domain);
      } finally {
        await domain.close();
      }
    });
  testRegistry(scenario);
  testElection(scenario);
  testFences(scenario);
  testTable(scenario);
  testDeaths(scenario);
  testClock(scenario);
  testLostTail(scenario);
}

function testRegistry(scenario: Scenario): void {
  scenario("a store that nobody has used shows nobody, and an empty table", async (store) => {
    const view = { members: [], leader: undefined, leaseExpiresInMs: undefined, tableVersion: 0 };
    assert.equal(await seen(store), { view, table: EMPTY_TABLE, decisions: [] });
  });

  scenario("a node that joins is seen by every other, with all that it told of itself", async (store, domain) => {
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

  scenario("members are seen by name", async (store) => {
    for (const name of ["node-10", "b", "node 2", "Z", "a"]) await join(store, name);
    assert.equal(await namesOf(store), ["Z", "a", "b", "node 2", "node-10"]);
  });

  scenario("a life is above every earlier one, and not below the store's clock", async (store, domain) => {
    const first = await join(store, "a");
    assert.is(first.incarnation, CLOCK_START_MS);
    assert.ok((await join(store, "a")).incarnation > first.incarnation);
    await domain.setClock(CLOCK_START_MS - 3_600_000);
    assert.ok((await join(store, "a")).incarnation > first.incarnation + 1);
    await domain.setClock(CLOCK_START_MS + 5_000);
    assert.is((await join(store, "a")).incarnation, CLOCK_START_MS + 5_000);
  });

  scenario("lives that join together are all different", async (store, domain) => {
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

  scenario("a life that was superseded can neither renew nor leave for the newer one", async (store, domain) => {
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

  scenario("a life that renews keeps what it told of itself", async (store) => {
    const joined = await join(store, "a");
    await store.renew(joined, 77);
    const { profile: told, expiresInMs } = await memberOf(store, "a");
    assert.equal([told, expiresInMs], [profile("a"), 77]);
  });

  scenario("a life that was never registered can not renew, nor is it registered by that", async (store) => {
    assert.is(await store.renew(life("a", CLOCK_START_MS), REGISTRATION_MS), false);
    assert.equal(await namesOf(store), []);
  });

  scenario("a life that leaves is off the registry, and no other", async (store) => {
    const joined = await join(store, "a");
    await join(store, "b");
    await store.leave(joined);
    assert.equal(await namesOf(store), ["b"]);
    assert.is(await store.renew(joined, REGISTRATION_MS), false);
    assert.is((await join(store, "a")).probationMs, 0);
  });

  scenario(
    "a registration that is not renewed expires by the store's clock, and stays until it is removed",
    async (store, domain) => {
      const joined = await join(store, "a");
      await domain.setClock(CLOCK_START_MS + REGISTRATION_MS);
      assert.is((await memberOf(store, "a")).expiresInMs, 0);
      await domain.setClock(CLOCK_START_MS + REGISTRATION_MS + 5);
      await join(store, "b");
      assert.is((await memberOf(store, "a")).expiresInMs, -5);
      assert.is(await store.renew(joined, REGISTRATION_MS), true, "expiry only tells");
      assert.is((await memberOf(store, "a")).expiresInMs, REGISTRATION_MS);
    },
  );

  scenario("a node that is told to leave is seen so until it is told otherwise, or lives anew", async (store) => {
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

  scenario("a node that is not registered can not be told to leave, nor is it registered by that", async (store) => {
    const leaderEpoch = await elect(store, life("a", 1));
    await store.setDraining(leaderEpoch, nodeId("b"), true);
    assert.equal(await namesOf(store), []);
  });

  scenario("a store that was closed takes no more calls", async (store, domain) => {
    const other = await domain.open();
    await store.close();
    assert.is((await rejection(join(store, "a"))).name, "UnavailableError");
    assert.is((await rejection(store.look())).name, "UnavailableError");
    assert.equal(await namesOf(other), []);
    await store.close();
  });
}

function testElection(scenario: Scenario): void {
  const a = life("node a", 1);
  const b = life("b", 2);

  scenario(
    "who stands where nobody coordinates is elected, in a term that is not below the store's clock",
    async (store, domain) => {
      assert.equal(await store.stand(a, LEASE_MS), { kind: "elected", leaderEpoch: CLOCK_START_MS });
      const { leader, leaseExpiresInMs } = await (await domain.open()).look();
      assert.equal(leader, { ...a, leaderEpoch: CLOCK_START_MS });
      assert.is(leaseExpiresInMs, LEASE_MS);
    },
  );

  scenario("of those that stand together one is elected, and the others are told who", async (store, domain) => {
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
  });

  scenario(
    "a lease is held until it has expired by the store's clock, also against its own holder",
    async (store, domain) => {
      const leaderEpoch = await elect(store, a);
      await domain.setClock(CLOCK_START_MS + LEASE_MS);
      const held = { kind: "held", leader: { ...a, leaderEpoch }, leaseExpiresInMs: 0 };
      assert.equal(await store.stand(b, LEASE_MS), held);
      assert.equal(await store.stand(a, LEASE_MS), held);
      await domain.setClock(CLOCK_START_MS + LEASE_MS + 1);
      assert.equal((await store.look()).leader, { ...a, leaderEpoch }, "expiry only tells");
      assert.is((await store.look()).leaseExpiresInMs, -1);
      assert.is(await elect(store, b), CLOCK_START_MS + LEASE_MS + 1);
    },
  );

  scenario(
    "a term whose holder's port was found closed is replaced at once, by one that stands",
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

  scenario("a stand instead of another term than the one that is held elects nobody", async (store, domain) => {
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
    assert.ok((await elect(store, a, first)) > second, "but for an expired one");
  });

  scenario("a term is above every earlier one where the clock stands still or was set back", async (store, domain) => {
    const first = await elect(store, a);
    const second = await elect(store, b, first);
    await domain.setClock(CLOCK_START_MS - 3_600_000);
    const third = await elect(store, a, second);
    assert.equal([second, third], [first + 1, first + 2]);
  });

  scenario(
    "a lease that is renewed expires later; one that expired is renewed while no higher term has begun",
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

  scenario("a lease that was given up is free, and a renewal that comes late does not take it back", async (store) => {
    const leaderEpoch = await elect(store, a);
    await store.resign(leaderEpoch);
    assert.is(await store.renewLease(leaderEpoch, LEASE_MS), false);
    const { leader, leaseExpiresInMs } = await store.look();
    assert.equal([leader, leaseExpiresInMs], [undefined, undefined]);
    assert.is(await elect(store, b), leaderEpoch + 1);
  });

  scenario("a resignation is of no effect once a higher term has begun", async (store) => {
    const first = await elect(store, a);
    const second = await elect(store, b, first);
    await store.resign(first);
    await store.resign(second + 1);
    assert.equal((await store.look()).leader, { ...b, leaderEpoch: second });
  });
}

function testFences(scenario: Scenario): void {
  const calls: readonly (readonly [string, (store: LeaseStore, leaderEpoch: number) => Promise<unknown>])[] = [
    ["a write of the table", (store, term) => store.writeTable(term, 1, [entry("p/0"), entry("p/1")], decision(2))],
    ["a death", async (store, term) => store.declareDead(term, await memberOf(store, "a"), PROBATION)],
    ["an order to drain", (store, term) => store.setDraining(term, nodeId("a"), true)],
  ];
  for (const [what, call] of calls) {
    scenario(
      `${what} is refused once a higher term has begun, and in one that is not known, and changes nothing`,
      async (store) => {
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
      },
    );

    scenario(
      `${what} is of effect in an expired or resigned term, until a higher one begins`,
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

  scenario("a refusal says what was asked in which term, and which one is the newest", async (store) => {
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

function testTable(scenario: Scenario): void {
  const leading = async (store: LeaseStore) => elect(store, life("a", 1));

  scenario("a table is read as it was written, what a write does not name staying as it was", async (store, domain) => {
    const leaderEpoch = await leading(store);
    const written = [
      entry("orders/0"),
      entry("orders/1", { holder: undefined, grant: undefined, reason: "" }),
      entry("an odd name/ü/2", { next: life("node b", 7), decision: 12, reason: 'Why: "é" and\nmore' }),
    ];
    assert.is(await store.writeTable(leaderEpoch, 0, written), 1);
    const entries = new Map(written.map((one) => [one.partition, one]));
    const other = await domain.open();
    assert.equal(await other.readTable(), { version: 1, leaderEpoch, entries });
    const moved = entry("orders/1", { holder: life("b", 9), grant: { leaderEpoch, tableVersion: 2 } });
    assert.is(await store.writeTable(leaderEpoch, 1, [moved]), 2);
    assert.equal(await other.readTable(), { version: 2, leaderEpoch, entries: entries.set("orders/1", moved) });
    assert.is((await other.look()).tableVersion, 2);
  });

  scenario("a table carries the term of its last write", async (store) => {
    const first = await leading(store);
    await store.writeTable(first, 0, [entry("p/0")]);
    const second = await elect(store, life("b", 2), first);
    assert.is((await store.readTable()).leaderEpoch, first);
    assert.is(await store.writeTable(second, 1, []), 2, "a write without entries counts too");
    assert.is((await store.readTable()).leaderEpoch, second);
    assert.is((await store.readTable()).entries.size, 1);
  });

  scenario("a table that was read does not change by a later write", async (store) => {
    const leaderEpoch = await leading(store);
    await store.writeTable(leaderEpoch, 0, [entry("p/0")]);
    const before = await store.readTable();
    await store.writeTable(leaderEpoch, 1, [entry("p/0", { reason: "later" }), entry("p/1")]);
    assert.equal([before.version, before.entries.size, before.entries.get("p/0")], [1, 1, entry("p/0")]);
  });

  scenario(
    "a write that expects another version is refused, and neither entries nor decision are there",
    async (store) => {
      const leaderEpoch = await leading(store);
      await store.writeTable(leaderEpoch, 0, [entry("p/0")], decision(1));
      const before = await seen(store);
      for (const version of [0, 2, -1]) {
        await isStale(
          store.writeTable(leaderEpoch, version, [entry("p/0", { reason: "no" }), entry("p/1")], decision(9)),
        );
      }
      assert.equal(await seen(store), before);
    },
  );

  scenario("of writes that expect the same version one is written, whole", async (store, domain) => {
    const leaderEpoch = await leading(store);
    const stores = [store, await domain.open()];
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, n) =>
        stores[n % 2]!.writeTable(
          leaderEpoch,
          0,
          ["p/0", "p/1"].map((name) => entry(name, { reason: `${n}` })),
          decision(1, { moves: n }),
        ),
      ),
    );
    const written = outcomes.flatMap(({ status }, n) => (status === "fulfilled" ? [n] : []));
    assert.is(written.length, 1);
    const reasons = [...(await store.readTable()).entries.values()].map(({ reason }) => reason);
    const [last] = await store.readDecisions(10);
    assert.equal([...reasons, last?.moves], [`${written[0]}`, `${written[0]}`, written[0]]);
    assert.is((await store.readTable()).version, 1);
  });

  scenario("a table of many partitions is written in one call and read in one", async (store) => {
    const leaderEpoch = await leading(store);
    const entries = Array.from({ length: 5_003 }, (_, n) => entry(`p/${n}`, { reason: `because of ${n}` }));
    await store.writeTable(leaderEpoch, 0, entries);
    const table = await store.readTable();
    assert.is(table.entries.size, 5_003);
    for (const one of entries) assert.equal(table.entries.get(one.partition), one);
  });

  scenario("a table that is written while it is read is read as it was by one of the writes", async (store, domain) => {
    const leaderEpoch = await leading(store);
    const write = (version: number) => {
      const entries = Array.from({ length: 5_003 }, (_, n) => entry(`p/${n}`, { reason: `${version + 1}` }));
      return store.writeTable(leaderEpoch, version, entries);
    };
    await write(0);
    const reader = await domain.open();
    let isWriting = true;
    const writing = (async () => {
      for (let version = 1; version < 12; version += 1) await write(version);
    })().finally(() => {
      isWriting = false;
    });
    const tables: AssignmentTable[] = [];
    while (isWriting) tables.push(await reader.readTable());
    await writing;
    assert.ok(tables.length > 0);
    for (const { version, entries } of tables) {
      const reasons = new Set([...entries.values()].map(({ reason }) => reason));
      assert.equal([entries.size, [...reasons]], [5_003, [`${version}`]]);
    }
  });

  scenario("decisions are read newest first, as they were written", async (store) => {
    const leaderEpoch = await leading(store);
    for (const id of [1, 2, 3]) await store.writeTable(leaderEpoch, id - 1, [], decision(id));
    await store.writeTable(leaderEpoch, 3, [entry("p/0")]);
    assert.equal(await store.readDecisions(2), [decision(3), decision(2)]);
    assert.equal(await store.readDecisions(10), [decision(3), decision(2), decision(1)]);
    assert.equal(await store.readDecisions(0), []);
  });

  scenario("no more decisions are kept than the newest", async (store) => {
    const leaderEpoch = await leading(store);
    const writes = Array.from({ length: DECISIONS_MAX + 5 }, (_, n) =>
      store.writeTable(leaderEpoch, n, [], decision(n + 1)),
    );
    await Promise.all(writes);
    const ids = (await store.readDecisions(DECISIONS_MAX * 2)).map(({ id }) => id);
    assert.equal(
      ids,
      Array.from({ length: DECISIONS_MAX }, (_, n) => DECISIONS_MAX + 5 - n),
    );
  });
}

function testDeaths(scenario: Scenario): void {
  scenario(
    "a life that is declared dead is off the registry, and its node on probation when it joins again",
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
    assert.is(await die(), 6_000, "they are forgotten after, not at");
    nowMs += PROBATION.deathsForgottenMs + 1;
    await domain.setClock(nowMs);
    assert.equal([await die(), await die()], [1_000, 2_000]);
  });

  scenario(
    "a probation outlasts the memory of the deaths, and another's death, where it is the longer",
    async (store, domain) => {
      const leaderEpoch = await elect(store, life("b", 1));
      const long = { probationFirstMs: 5_000, probationMaxMs: 5_000, deathsForgottenMs: 100 };
      await store.declareDead(leaderEpoch, await join(store, "a"), long);
      await domain.setClock(CLOCK_START_MS + 1_000);
      await store.declareDead(leaderEpoch, await join(store, "c"), long);
      const again = await join(store, "a");
      assert.is(again.probationMs, 4_000);
      await store.declareDead(leaderEpoch, again, { ...long, probationFirstMs: 1_000 });
      assert.is((await join(store, "a")).probationMs, 1_000, "a death that was forgotten doubles none");
    },
  );

  scenario("a death of a life that is not the registered one is of no effect, nor is one told again", async (store) => {
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
  });
}

function testClock(scenario: Scenario): void {
  scenario(
    "where the clock was set back an hour, what was to expire does so when it would have",
    async (store, domain) => {
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
        "it stands until the next write",
      );
      await join(store, "b");
      assert.equal(await times(), [REGISTRATION_MS, REGISTRATION_MS, LEASE_MS, 1_000]);
      await domain.setClock(back + 600);
      assert.equal(await times(), [REGISTRATION_MS - 600, REGISTRATION_MS - 600, LEASE_MS - 600, 400]);
      await domain.setClock(back + LEASE_MS + 1);
      assert.is(await elect(store, life("b", 2)), leaderEpoch + 1);
      assert.is((await memberOf(store, "a")).expiresInMs, REGISTRATION_MS - LEASE_MS - 1);
    },
  );

  scenario("deaths are forgotten in time also where the clock was set back", async (store, domain) => {
    const leaderEpoch = await elect(store, life("b", 1));
    await store.declareDead(leaderEpoch, await join(store, "a"), PROBATION);
    const back = CLOCK_START_MS - 3_600_000;
    await domain.setClock(back);
    await join(store, "c");
    await domain.setClock(back + PROBATION.deathsForgottenMs + 1);
    await store.declareDead(leaderEpoch, await join(store, "a"), PROBATION);
    assert.is((await join(store, "a")).probationMs, 1_000);
  });

  scenario("where the clock was set forward an hour, all has expired and nobody is removed", async (store, domain) => {
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

function testLostTail(scenario: Scenario): void {
  scenario("a life that was lost with the tail can not renew, and is not made again", async (store, domain) => {
    const kept = await join(store, "a");
    const lose = await domain.keep();
    const lost = await join(store, "a");
    await lose();
    await domain.setClock(CLOCK_START_MS + 2);
    assert.is(await store.renew(lost, REGISTRATION_MS), false);
    assert.is(await store.renew(kept, REGISTRATION_MS), true, "the former life is the registered one again");
    assert.ok((await join(store, "a")).incarnation > lost.incarnation);
  });

  scenario(
    "a term that was lost with the tail renews and writes no more, and is not made again",
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
    "a write of the table that was lost with the tail makes the next one refused until it is read again",
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
