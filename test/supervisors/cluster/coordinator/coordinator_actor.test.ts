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
  looks = 0;
  reads = 0;

  override async look(): ReturnType<MemoryLeaseStore["look"]> {
    this.looks += 1;
    if (this.failing.has(this.looks)) throw new UnavailableError("STORE_UNAVAILABLE", "it did not answer");
    return super.look();
  }

  override readTable(): ReturnType<MemoryLeaseStore["readTable"]> {
    this.reads += 1;
    return super.readTable();
  }
}

test("a failed look at the registry does not count as a failed write: the table is not read again (O1)", async () => {
  const store = new WatchedStore(new MemoryLeaseDomain(() => Date.now()));
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
  try {
    await eventually(() => (store.looks >= 2 ? true : undefined));
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

test.run();
