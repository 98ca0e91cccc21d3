/**
 * The lease store of a simulated cluster: one domain of the store in memory. It shares the fate of the log, as both lie
 * in one Redis: away, restarted, and losing its tail together with the log. Calls of nodes take time, fail before or after
 * their effect, or crash the node. Every election, write and claim is checked.
 */
import type { Grant } from "../../../actors/log/log.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import {
  compareGrants,
  isSameLife,
  type Life,
  nameOfLife,
  type PartitionName,
  type TableEntry,
} from "../../../supervisors/cluster/cluster.ts";
import type { LeaseStore } from "../../../supervisors/cluster/leases/lease_store.ts";
import { type LeaseSnapshot, MemoryLeaseDomain } from "../../support/fakes/memory_lease_store.ts";
import type { OutsideCalls } from "../parts/outside_calls.ts";
import type { World } from "../parts/world.ts";

/** A test-side wrapper that breaks the lease store on purpose. */
export type WrapLeases = (store: LeaseStore) => LeaseStore;

export const nameOfGrant = (partition: PartitionName, { leaderEpoch, tableVersion }: Grant): string =>
  `${partition} under ${leaderEpoch}/${tableVersion}`;

interface Held {
  readonly holder: Life;
  readonly grant: Grant;
  /** The beginning of a planned move, and the number of clock jumps by then. */
  readonly departing: { readonly sinceMs: number; readonly jumps: number } | undefined;
}

export class SimulatedLeases {
  readonly domain: MemoryLeaseDomain;
  readonly #world: World;
  /** By partition and grant: the life that the grant was written for. */
  readonly #written = new Map<string, Life>();
  readonly #terms = new Set<number>();
  /** By partition and grant: the number of the process that claimed it. */
  readonly #claimers = new Map<string, number>();
  readonly #newest = new Map<PartitionName, Grant>();
  /** By partition: its holder, by the last write of the table. */
  readonly #held = new Map<PartitionName, Held>();
  /** Lives that a coordinator declared dead, even if the call did not reach the store. */
  readonly #declaredDead = new Set<string>();
  readonly handOverWithinMs: number;
  /** Whether a life owns a partition; set by the simulation. */
  isOwner: (life: Life, partition: PartitionName) => boolean = () => false;
  /** Throws if the store has lost its id; set by the simulation. */
  checkKnown: () => void = () => {};
  #flushed: LeaseSnapshot;
  readonly #empty: LeaseSnapshot;
  #jumps = 0;

  constructor(world: World, handOverWithinMs: number) {
    this.#world = world;
    this.handOverWithinMs = handOverWithinMs;
    this.domain = new MemoryLeaseDomain(() => world.wallMs());
    this.#flushed = this.domain.snapshot();
    this.#empty = this.#flushed;
  }

  /** All writes so far survive the loss of a tail. */
  flush(): void {
    this.#flushed = this.domain.snapshot();
  }

  /** Loses the writes since the last `flush`. */
  loseTail(): void {
    this.domain.restore(this.#flushed);
    this.#held.clear(); // the table is as it was at the flush
  }

  loseEverything(): void {
    this.#flushed = this.#empty;
    this.loseTail();
  }

  /** Call this when the clocks have jumped. */
  noteSkew(): void {
    this.#jumps += 1;
  }

  /** The check of coordinator O1 and O2: a life takes a partition only under a grant that was written for this life. */
  checkTake(partition: PartitionName, grant: Grant, life: Life): void {
    const holder = this.#written.get(nameOfGrant(partition, grant));
    if (isSameLife(holder, life)) return;
    const written = holder === undefined ? "is not in the table" : `was given to ${nameOfLife(holder)}`;
    this.#world.problem(`O1: ${nameOfLife(life)} takes ${nameOfGrant(partition, grant)}, which ${written}`);
  }

  /**
   * G4: one process at most claims under a grant, and never after a higher grant. A claim is durable before it is used, and so
   * are all writes before it.
   */
  noteClaim(partition: PartitionName, grant: Grant, process: number): void {
    this.flush();
    const claimer = this.#claimers.get(nameOfGrant(partition, grant)) ?? process;
    this.#claimers.set(nameOfGrant(partition, grant), claimer);
    if (claimer !== process) {
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
      node.operate(`lease ${what}`, "lease", leaseError, async () => {
        this.checkKnown();
        return { value: await perform(), onAnswer: () => {} };
      });
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
          for (const entry of entries) this.#noteWritten(entry);
          return version;
        }),
      declareDead: (leaderEpoch, life, probation) => {
        this.#declaredDead.add(nameOfLife(life));
        return call("declare dead", () => store.declareDead(leaderEpoch, life, probation));
      },
      setDraining: (leaderEpoch, name, isDraining) =>
        call("set draining", () => store.setDraining(leaderEpoch, name, isDraining)),
      readDecisions: (countMax) => call("read decisions", () => store.readDecisions(countMax)),
      close: async () => {},
    };
  }

  #noteElected(life: Life, leaderEpoch: number): void {
    this.#world.say(`${nameOfLife(life)} is elected in term ${leaderEpoch}`);
    this.#world.count("a coordinator was elected");
    if (this.#terms.has(leaderEpoch)) this.#world.problem(`S1: term ${leaderEpoch} was made twice`);
    this.#terms.add(leaderEpoch);
  }

  #noteWritten({ partition, holder, grant, next, reason }: TableEntry): void {
    if (holder === undefined || grant === undefined) return;
    const name = nameOfGrant(partition, grant);
    const before = this.#written.get(name);
    if (before !== undefined && !isSameLife(before, holder)) {
      this.#world.problem(`O2: ${name} was given to ${nameOfLife(before)} and to ${nameOfLife(holder)}`);
    }
    this.#written.set(name, holder);
    this.#world.say(
      `written: ${name} to ${nameOfLife(holder)}${next === undefined ? "" : `, next ${nameOfLife(next)}`} (${reason})`,
    );
    this.#checkLeft(partition, holder, grant, reason.endsWith("not handed over in time"));
    const departing = this.#held.get(partition)?.departing;
    const { trueMs } = this.#world;
    const jumps = this.#jumps;
    this.#held.set(partition, {
      holder,
      grant,
      departing: next === undefined ? undefined : (departing ?? { sinceMs: trueMs, jumps }),
    });
  }

  /** The check of coordinator O2: before a new grant the holder has released the partition, is dead, or has exceeded its time. */
  #checkLeft(partition: PartitionName, to: Life, grant: Grant, isForced: boolean): void {
    const before = this.#held.get(partition);
    if (before === undefined || compareGrants(before.grant, grant) === 0) return;
    if (isForced) this.#world.count("a move was forced");
    const { holder, departing } = before;
    const isRegistered = this.domain.state().registrations.get(holder.node)?.incarnation === holder.incarnation;
    if (!isRegistered || this.#declaredDead.has(nameOfLife(holder)) || !this.isOwner(holder, partition)) return;
    const waitedMs = departing === undefined ? 0 : this.#world.trueMs - departing.sinceMs;
    if (isForced && (waitedMs >= this.handOverWithinMs || departing?.jumps !== this.#jumps)) return;
    this.#world.problem(
      `O2: ${nameOfGrant(partition, grant)} is given to ${nameOfLife(to)} while ${nameOfLife(holder)} owns it, after ${waitedMs} ms`,
    );
  }
}

const leaseError = (): Error =>
  new UnavailableError("STORE_UNAVAILABLE", "Cannot tell the outcome of the call as the lease store did not answer");
