/**
 * The lease store of a simulated cluster: one domain of the product's store in memory, which lies in the same Redis as the
 * log: away with it, restarted with it, its newest writes lost with the log's tail. Each node reaches it by calls that take
 * time, fail on either side of their effect, or are the node's end. What the domain was told is kept for the judge.
 */
import type { Grant } from "../../../actors/log/log.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import {
  compareGrants,
  isSameLife,
  type Life,
  nameOfLife,
  type PartitionName,
} from "../../../supervisors/cluster/cluster.ts";
import type { LeaseStore } from "../../../supervisors/cluster/lease_store.ts";
import { type LeaseSnapshot, MemoryLeaseDomain } from "../../../supervisors/cluster/memory_lease_store.ts";
import type { OutsideCalls } from "../outside_calls.ts";
import type { World } from "../world.ts";

/** A test-side wrapper that breaks the lease store on purpose. */
export type WrapLeases = (store: LeaseStore) => LeaseStore;

export const nameOfGrant = (partition: PartitionName, { leaderEpoch, tableVersion }: Grant): string =>
  `${partition} under ${leaderEpoch}/${tableVersion}`;

export class SimulatedLeases {
  readonly domain: MemoryLeaseDomain;
  readonly #world: World;
  /** The lives that grants were ever written for, by partition and grant. */
  readonly #written = new Map<string, Life>();
  readonly #terms = new Set<number>();
  /** By partition and grant. */
  readonly #claimers = new Map<string, number>();
  readonly #newest = new Map<PartitionName, Grant>();
  #flushed: LeaseSnapshot;
  #skewMaxMs = 0;
  #mayRepeat = false;

  constructor(world: World) {
    this.#world = world;
    this.domain = new MemoryLeaseDomain(() => world.wallMs());
    this.#flushed = this.domain.snapshot();
  }

  /** What is written so far survives the loss of a tail. */
  flush(): void {
    this.#flushed = this.domain.snapshot();
  }

  /**
   * The newest writes are gone. Where the clock was set back before, what numbers them can be made again (S1): the log's
   * epochs are durable before use and hold all the same.
   */
  loseTail(): void {
    this.domain.restore(this.#flushed);
    if (this.#world.skewMs < this.#skewMaxMs) this.#mayRepeat = true;
  }

  noteSkew(): void {
    this.#skewMaxMs = Math.max(this.#skewMaxMs, this.#world.skewMs);
  }

  /** O1, O2: what a life is told to take lies in the table for it, and for nobody else. */
  checkTake(partition: PartitionName, grant: Grant, life: Life): void {
    const holder = this.#written.get(nameOfGrant(partition, grant));
    if (isSameLife(holder, life) || this.#mayRepeat) return;
    const written = holder === undefined ? "is not in the table" : `was given to ${nameOfLife(holder)}`;
    this.#world.problem(`O1: ${nameOfLife(life)} takes ${nameOfGrant(partition, grant)}, which ${written}`);
  }

  /**
   * G4: what is claimed under a grant is claimed by one process, and never after a higher one. A claim is durable before it
   * is used, and so is all that was written before it.
   */
  noteClaim(partition: PartitionName, grant: Grant, process: number): void {
    this.flush();
    const claimer = this.#claimers.get(nameOfGrant(partition, grant)) ?? process;
    this.#claimers.set(nameOfGrant(partition, grant), claimer);
    if (claimer !== process && !this.#mayRepeat) {
      this.#world.problem(`G4: ${nameOfGrant(partition, grant)} was claimed by nodes ${claimer} and ${process}`);
    }
    const newest = this.#newest.get(partition);
    if (newest !== undefined && compareGrants(grant, newest) < 0) {
      this.#world.problem(`G4: ${nameOfGrant(partition, grant)} was claimed after ${JSON.stringify(newest)}`);
    }
    this.#newest.set(partition, grant);
  }

  open(node: OutsideCalls, wrap: WrapLeases): LeaseStore {
    const { domain } = this;
    const store = wrap(domain.open());
    const call = <Value>(what: string, perform: () => Promise<Value>): Promise<Value> =>
      node.operate(`lease ${what}`, "lease", leaseError, async () => ({ value: await perform(), onAnswer: () => {} }));
    return {
      join: (profile, registrationMs) => call("join", () => store.join(profile, registrationMs)),
      renew: (life, registrationMs) => call("renew", () => store.renew(life, registrationMs)),
      leave: (life) => call("leave", () => store.leave(life)),
      look: () => call("look", () => store.look()),
      stand: (life, leaseMs, insteadOf) =>
        call("stand", async () => {
          const outcome = await store.stand(life, leaseMs, insteadOf);
          if (outcome.kind === "elected") this.#noteElected(life, outcome.leaderEpoch);
          return outcome;
        }),
      renewLease: (leaderEpoch, leaseMs) => call("renew lease", () => store.renewLease(leaderEpoch, leaseMs)),
      resign: (leaderEpoch) => call("resign", () => store.resign(leaderEpoch)),
      readTable: () => call("read table", () => store.readTable()),
      writeTable: (leaderEpoch, expectedVersion, entries, decision) =>
        call("write table", async () => {
          const version = await store.writeTable(leaderEpoch, expectedVersion, entries, decision);
          for (const { partition, holder, grant, reason } of entries) {
            if (reason.endsWith("not handed over in time")) this.#world.count("a move was forced");
            this.#noteWritten(partition, holder, grant);
          }
          return version;
        }),
      declareDead: (leaderEpoch, life, probation) =>
        call("declare dead", () => store.declareDead(leaderEpoch, life, probation)),
      setDraining: (leaderEpoch, name, isDraining) =>
        call("set draining", () => store.setDraining(leaderEpoch, name, isDraining)),
      readDecisions: (countMax) => call("read decisions", () => store.readDecisions(countMax)),
      close: async () => {},
    };
  }

  #noteElected(life: Life, leaderEpoch: number): void {
    this.#world.say(`${nameOfLife(life)} is elected in term ${leaderEpoch}`);
    this.#world.count("a coordinator was elected");
    if (this.#terms.has(leaderEpoch) && !this.#mayRepeat) this.#world.problem(`S1: term ${leaderEpoch} was made twice`);
    this.#terms.add(leaderEpoch);
  }

  #noteWritten(partition: PartitionName, holder: Life | undefined, grant: Grant | undefined): void {
    if (holder === undefined || grant === undefined) return;
    const name = nameOfGrant(partition, grant);
    const before = this.#written.get(name);
    if (before !== undefined && !isSameLife(before, holder) && !this.#mayRepeat) {
      this.#world.problem(`O2: ${name} was given to ${nameOfLife(before)} and to ${nameOfLife(holder)}`);
    }
    this.#written.set(name, holder);
  }
}

const leaseError = (): Error =>
  new UnavailableError("STORE_UNAVAILABLE", "Cannot tell what became of the call as the lease store did not answer");
