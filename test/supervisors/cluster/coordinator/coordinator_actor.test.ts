/** The coordinator actor when store calls fail. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createActorSystem } from "../../../../actors/kernel/actor_system.ts";
import { UnavailableError } from "../../../../protocols/errors.ts";
import { nodeId } from "../../../../protocols/position.ts";
import { CLUSTER_TIMES } from "../../../../supervisors/cluster/cluster.ts";
import { coordinatorActor } from "../../../../supervisors/cluster/coordinator/coordinator_actor.ts";
import { member } from "../../../support/fakes/coordinator_term.ts";
import { MemoryLeaseDomain, MemoryLeaseStore } from "../../../support/fakes/memory_lease_store.ts";
import { eventually } from "../../../support/processes/running_node.ts";

/** Counts looks and reads of the table; the looks of these numbers fail. */
class WatchedStore extends MemoryLeaseStore {
  readonly failing = new Set<number>();
  /** Writes of a drain or of its end, in order. The next `drainsFailing` of them fail. */
  readonly drains: boolean[] = [];
  drainsFailing = 0;
  looks = 0;
  reads = 0;

  override async look(): ReturnType<MemoryLeaseStore["look"]> {
    this.looks += 1;
    if (this.failing.has(this.looks)) throw new UnavailableError("STORE_UNAVAILABLE", "it did not answer");
    return super.look();
  }

  override async setDraining(...write: Parameters<MemoryLeaseStore["setDraining"]>): Promise<void> {
    this.drains.push(write[2]);
    if (this.drainsFailing > 0) {
      this.drainsFailing -= 1;
      throw new UnavailableError("STORE_UNAVAILABLE", "it did not answer");
    }
    return super.setDraining(...write);
  }

  override readTable(): ReturnType<MemoryLeaseStore["readTable"]> {
    this.reads += 1;
    return super.readTable();
  }
}

/** The coordinator of a cluster of the one node `a`, which looks at the store every 5 ms. */
async function coordinatorOver(store: WatchedStore) {
  const life = await store.join(member("a").profile, CLUSTER_TIMES.registrationMs);
  const outcome = await store.stand(life, CLUSTER_TIMES.leaseMs);
  assert.is(outcome.kind, "elected");
  const leaderEpoch = outcome.kind === "elected" ? outcome.leaderEpoch : 0;
  const system = await createActorSystem();
  const coordinator = system.spawn(
    coordinatorActor({
      leader: { ...life, leaderEpoch },
      times: { ...CLUSTER_TIMES, lookEveryMs: 5 },
      ...{ partitions: ["s/0"], links: new Map(), store },
      tell: () => {},
      onSteppedDown: () => {},
      note: () => {},
    }),
  );
  await eventually(() => (store.looks >= 2 ? true : undefined));
  return { life, leaderEpoch, system, coordinator };
}

test("a failed look at the registry does not count as a failed write: the table is not read again (O1)", async () => {
  const store = new WatchedStore(new MemoryLeaseDomain(() => Date.now()));
  const { leaderEpoch, system, coordinator } = await coordinatorOver(store);
  try {
    // A report of an unknown life makes the coordinator look at once. That look, or the next due one, fails.
    for (let at = 1; at <= 4; at += 1) store.failing.add(store.looks + at);
    const from = { node: nodeId("stranger"), incarnation: 1 };
    for (let at = 0; at < 4; at += 1) coordinator.tell({ type: "report", from, leaderEpoch, holdings: [] });
    const looked = store.looks + 8;
    await eventually(() => (store.looks >= looked ? true : undefined));
    assert.is(store.reads, 1);
  } finally {
    await system.shutdown();
  }
});

test("the end of a drain is not undone by a repeat of the drain's own write, which had failed", async () => {
  const store = new WatchedStore(new MemoryLeaseDomain(() => Date.now()));
  const { life, leaderEpoch, system, coordinator } = await coordinatorOver(store);
  const ask = (kind: "drain" | "undrain") =>
    coordinator.tell({ type: "asked", command: { kind, node: life.node }, from: life, leaderEpoch });
  try {
    store.drainsFailing = 1;
    ask("drain");
    ask("undrain");
    const looked = store.looks + 8;
    await eventually(() => (store.looks >= looked ? true : undefined));
    assert.is(store.drains.at(-1), false, String(store.drains));
    const later = store.drains.length;
    store.drainsFailing = 2;
    ask("drain");
    await eventually(() => (store.drains.length >= later + 3 ? true : undefined));
    const { members } = await store.look();
    assert.equal(
      members.map(({ isDraining }) => isDraining),
      [true],
      "a write that failed is made again",
    );
  } finally {
    await system.shutdown();
  }
});

test.run();
