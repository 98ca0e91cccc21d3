/**
 * The lease store in memory: the reference for the store on Redis, and the simulator's store. The nodes of a process open
 * handles on one `MemoryLeaseDomain`, which holds the state and has the only clock. A call has all of its effect before it
 * answers. If the clock was set back, deadlines go back with it, as on Redis (E24).
 */
import { backoffMs } from "../../../protocols/clock.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type {
  AssignmentTable,
  Decision,
  Life,
  MemberProfile,
  TableEntry,
} from "../../../supervisors/cluster/cluster.ts";
import {
  DECISIONS_MAX,
  type ElectionOutcome,
  type Joined,
  type LeaseStore,
  type Probation,
  type StoreView,
} from "../../../supervisors/cluster/leases/lease_store.ts";
import { otherVersion, staleTerm } from "../../../supervisors/cluster/leases/stale_leader.ts";
import {
  copyOf,
  isNewest,
  type LeaseState,
  leaderOf,
  NO_LEASES,
  probationAt,
  registrationOf,
  shiftDeadlines,
} from "./lease_state.ts";

declare const brand: unique symbol;
/** The whole state of a domain at one moment. */
export type LeaseSnapshot = { readonly [brand]: "LeaseSnapshot" };

export class MemoryLeaseDomain {
  readonly #clockMs: () => number;
  #state = copyOf(NO_LEASES);
  #isAway = false;

  /** `clockMs` is the store's clock, ms since 1970. */
  constructor(clockMs: () => number) {
    this.#clockMs = clockMs;
  }

  /** A node's handle. */
  open(): MemoryLeaseStore {
    return new MemoryLeaseStore(this);
  }

  /** While away every call of every handle rejects with `UnavailableError`, and has no effect. */
  setAway(isAway: boolean): void {
    this.#isAway = isAway;
  }

  snapshot(): LeaseSnapshot {
    return copyOf(this.#state) as unknown as LeaseSnapshot;
  }

  /** Loses the writes since the snapshot, like a failover to a replica without the tail. */
  restore(snapshot: LeaseSnapshot): void {
    this.#state = copyOf(snapshot as unknown as LeaseState);
  }

  /** The state that a call reads and changes. Throws `UnavailableError` while the store is away. */
  state(): LeaseState {
    if (this.#isAway) throw new UnavailableError("STORE_UNAVAILABLE", "Cannot use the store as it is away");
    return this.#state;
  }

  /** The time of a call that writes. */
  writeMs(): number {
    const state = this.#state;
    const nowMs = Math.floor(this.#clockMs());
    if (nowMs < state.seenMs) shiftDeadlines(state, nowMs - state.seenMs);
    state.seenMs = nowMs;
    return nowMs;
  }

  /** The time of a call that only reads: a clock that was set back stands until the next write. */
  readMs(): number {
    return Math.max(Math.floor(this.#clockMs()), this.#state.seenMs);
  }
}

export class MemoryLeaseStore implements LeaseStore {
  readonly #domain: MemoryLeaseDomain;
  #isAway = false;
  #isClosed = false;

  constructor(domain: MemoryLeaseDomain) {
    this.#domain = domain;
  }

  /** While away the calls of this handle reject with `UnavailableError`, and have no effect. */
  setAway(isAway: boolean): void {
    this.#isAway = isAway;
  }

  #use(): LeaseState {
    if (this.#isClosed) throw new UnavailableError("STOPPING", "Cannot use the store as it is closed");
    if (this.#isAway)
      throw new UnavailableError("STORE_UNAVAILABLE", "Cannot use the store as this node cannot reach it");
    return this.#domain.state();
  }

  #fenced(action: string, leaderEpoch: number): LeaseState {
    const state = this.#use();
    // lease store S2: also refuses a term that the store has lost with its tail.
    if (!isNewest(state, leaderEpoch)) throw staleTerm(action, leaderEpoch, state.leaderEpoch);
    return state;
  }

  async join(profile: MemberProfile, registrationMs: number): Promise<Joined> {
    const state = this.#use();
    const nowMs = this.#domain.writeMs();
    state.incarnation = Math.max(state.incarnation + 1, nowMs); // lease store S1
    const { incarnation } = state;
    const { node } = profile;
    const isNew = !state.registrations.has(node);
    state.registrations.set(node, { incarnation, profile, expiresAtMs: nowMs + registrationMs, isDraining: false });
    if (isNew)
      state.registrations = new Map([...state.registrations].sort(([left], [right]) => (left < right ? -1 : 1)));
    return { node, incarnation, probationMs: probationAt(state, node, nowMs) };
  }

  async renew(life: Life, registrationMs: number): Promise<boolean> {
    const state = this.#use();
    const expiresAtMs = this.#domain.writeMs() + registrationMs;
    const registration = registrationOf(state, life);
    if (registration === undefined) return false;
    state.registrations.set(life.node, { ...registration, expiresAtMs });
    return true;
  }

  async leave(life: Life): Promise<void> {
    const state = this.#use();
    if (registrationOf(state, life) !== undefined) state.registrations.delete(life.node);
  }

  async look(): Promise<StoreView> {
    const state = this.#use();
    const nowMs = this.#domain.readMs();
    const members = [...state.registrations].map(([node, { incarnation, profile, expiresAtMs, isDraining }]) => ({
      node,
      incarnation,
      profile,
      expiresInMs: expiresAtMs - nowMs,
      probationMs: probationAt(state, node, nowMs),
      isDraining,
    }));
    const leader = leaderOf(state);
    return {
      members,
      leader,
      leaseExpiresInMs: leader && state.leaseUntilMs - nowMs,
      tableVersion: state.tableVersion,
    };
  }

  async stand({ node, incarnation }: Life, leaseMs: number, insteadOf?: number): Promise<ElectionOutcome> {
    const state = this.#use();
    const nowMs = this.#domain.writeMs();
    const leader = leaderOf(state);
    const leaseExpiresInMs = state.leaseUntilMs - nowMs;
    if (leader !== undefined && leaseExpiresInMs >= 0 && leader.leaderEpoch !== insteadOf) {
      return { kind: "held", leader, leaseExpiresInMs };
    }
    state.leaderEpoch = Math.max(state.leaderEpoch + 1, nowMs); // lease store S1
    state.holder = { node, incarnation };
    state.leaseUntilMs = nowMs + leaseMs;
    return { kind: "elected", leaderEpoch: state.leaderEpoch };
  }

  async renewLease(leaderEpoch: number, leaseMs: number): Promise<boolean> {
    const state = this.#use();
    const untilMs = this.#domain.writeMs() + leaseMs;
    if (!isNewest(state, leaderEpoch) || state.holder === undefined) return false;
    state.leaseUntilMs = untilMs;
    return true;
  }

  async resign(leaderEpoch: number): Promise<void> {
    const state = this.#use();
    if (isNewest(state, leaderEpoch)) state.holder = undefined;
  }

  async readTable(): Promise<AssignmentTable> {
    const { tableVersion, tableLeaderEpoch, entries } = this.#use();
    return { version: tableVersion, leaderEpoch: tableLeaderEpoch, entries: new Map(entries) };
  }

  async writeTable(
    leaderEpoch: number,
    expectedVersion: number,
    entries: readonly TableEntry[],
    decision?: Decision,
  ): Promise<number> {
    const state = this.#fenced("write the table", leaderEpoch);
    if (state.tableVersion !== expectedVersion) throw otherVersion(expectedVersion, state.tableVersion);
    for (const entry of entries) state.entries.set(entry.partition, entry);
    if (decision !== undefined) state.decisions.push(decision);
    if (state.decisions.length > DECISIONS_MAX) state.decisions.shift();
    state.tableVersion += 1;
    state.tableLeaderEpoch = leaderEpoch;
    return state.tableVersion;
  }

  async declareDead(leaderEpoch: number, life: Life, probation: Probation): Promise<void> {
    const state = this.#fenced("declare a death", leaderEpoch);
    const nowMs = this.#domain.writeMs();
    if (registrationOf(state, life) === undefined) return;
    state.registrations.delete(life.node);
    for (const [node, { probationUntilMs, forgottenAtMs }] of state.deaths) {
      if (probationUntilMs < nowMs && forgottenAtMs < nowMs) state.deaths.delete(node);
    }
    const before = state.deaths.get(life.node);
    const earlier = before !== undefined && before.forgottenAtMs >= nowMs ? before.count : 0;
    const probationMs = backoffMs(earlier, probation.probationFirstMs, probation.probationMaxMs);
    state.deaths.set(life.node, {
      count: earlier + 1,
      probationUntilMs: nowMs + probationMs,
      forgottenAtMs: nowMs + probation.deathsForgottenMs,
    });
  }

  async setDraining(leaderEpoch: number, node: NodeId, isDraining: boolean): Promise<void> {
    const state = this.#fenced("drain a node", leaderEpoch);
    const registration = state.registrations.get(node);
    if (registration !== undefined) state.registrations.set(node, { ...registration, isDraining });
  }

  async readDecisions(countMax: number): Promise<readonly Decision[]> {
    const { decisions } = this.#use();
    return decisions.slice(Math.max(0, decisions.length - Math.max(0, countMax))).reverse();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }
}
