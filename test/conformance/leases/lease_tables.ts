/** The assignment table and its decisions: see lease_store_suite.ts. */
import * as assert from "uvu/assert";
import type { AssignmentTable } from "../../../supervisors/cluster/cluster.ts";
import { DECISIONS_MAX, type LeaseStore } from "../../../supervisors/cluster/leases/lease_store.ts";
import { decision, elect, entry, isStale, life, type Scenario, seen } from "./lease_domains.ts";

export function testTable(scenario: Scenario): void {
  const leading = async (store: LeaseStore) => elect(store, life("a", 1));

  scenario("a table is read as it was written; entries that a write does not name stay", async (store, domain) => {
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

  scenario("a later write does not change a table that was read", async (store) => {
    const leaderEpoch = await leading(store);
    await store.writeTable(leaderEpoch, 0, [entry("p/0")]);
    const before = await store.readTable();
    await store.writeTable(leaderEpoch, 1, [entry("p/0", { reason: "later" }), entry("p/1")]);
    assert.equal([before.version, before.entries.size, before.entries.get("p/0")], [1, 1, entry("p/0")]);
  });

  // lease store S4, redis lease library R1
  scenario(
    "a write that expects another version is refused, and neither its entries nor its decision are written",
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

  // lease store S4
  scenario("of writes that expect the same version one is written, as a whole", async (store, domain) => {
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

  scenario("a table that is written during a read is read as one of the writes left it", async (store, domain) => {
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

  scenario("decisions are read as they were written, the newest first", async (store) => {
    const leaderEpoch = await leading(store);
    for (const id of [1, 2, 3]) await store.writeTable(leaderEpoch, id - 1, [], decision(id));
    await store.writeTable(leaderEpoch, 3, [entry("p/0")]);
    assert.equal(await store.readDecisions(2), [decision(3), decision(2)]);
    assert.equal(await store.readDecisions(10), [decision(3), decision(2), decision(1)]);
    assert.equal(await store.readDecisions(0), []);
  });

  scenario("only the newest decisions are kept", async (store) => {
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
