/**
 * Where a cluster's truth about itself lies: who is registered, who coordinates, and the assignment table, all in one
 * atomic domain (one hash tag in Redis, E20). `memory_lease_store` and `redis_lease_store` keep this contract, and one
 * conformance suite holds them to it.
 *
 *   S1. Incarnations and leader epochs are made here, each `max(stored + 1, the store's clock in ms)`, so that none is made
 *       twice, even by a store that lost its tail (E7).
 *   S2. Every write of the table, and every death, names a leader epoch; one that is not the newest is refused and changes
 *       nothing (E20).
 *   S3. Expiry is judged by the store's clock alone (E24), and only tells: nobody is removed by it but by a coordinator.
 *   S4. A write of the table is one call: its entries, its decision and its version come to be together or not at all.
 *   S5. A call that rejects with anything but `FencedError` has an unknown outcome: who writes reads the table again.
 */
import type { NodeId } from "../../../protocols/position.ts";
import type { AssignmentTable, Decision, Leader, Life, Member, MemberProfile, TableEntry } from "../cluster.ts";

export interface Joined extends Life {
  /** How long the node is on probation, as it was declared dead before (E20); 0 for none. */
  readonly probationMs: number;
}

/** What one look at the store shows. */
export interface StoreView {
  /** By name of the node; expired ones are among them until a coordinator removes them. */
  readonly members: readonly Member[];
  readonly leader: Leader | undefined;
  /** Until the leader's lease expires; below 0 where it has, undefined without leader. */
  readonly leaseExpiresInMs: number | undefined;
  readonly tableVersion: number;
}

export type ElectionOutcome =
  | { readonly kind: "elected"; readonly leaderEpoch: number }
  | { readonly kind: "held"; readonly leader: Leader; readonly leaseExpiresInMs: number };

/** Probation as the cluster's times say it. */
export interface Probation {
  readonly probationFirstMs: number;
  readonly probationMaxMs: number;
  readonly deathsForgottenMs: number;
}

/** All methods reject with `UnavailableError` while the store is away. */
export interface LeaseStore {
  /** Registers a new life of a node: a former one is superseded, and may renew no more. */
  join(profile: MemberProfile, registrationMs: number): Promise<Joined>;
  /** False where this life is not the registered one any more: superseded, declared dead, or lost with the store's tail. */
  renew(life: Life, registrationMs: number): Promise<boolean>;
  /** Takes a life off the registry, in order; another life of the node stays. */
  leave(life: Life): Promise<void>;

  look(): Promise<StoreView>;

  /**
   * Takes the coordinator's lease where nobody holds it, where it has expired, or where it is held in the term
   * `insteadOf`, whose holder's port was found closed (E20).
   */
  stand(life: Life, leaseMs: number, insteadOf?: number): Promise<ElectionOutcome>;
  /** False where a higher term has begun. */
  renewLease(leaderEpoch: number, leaseMs: number): Promise<boolean>;
  /** Gives the lease up; of no effect once a higher term has begun. */
  resign(leaderEpoch: number): Promise<void>;

  readTable(): Promise<AssignmentTable>;
  /**
   * Writes entries and, if there is one, the decision behind them, in one call. Answers the new version, which is
   * `expectedVersion + 1`. Entries name the grant that they come to have by that version; a decision its `id`.
   * Rejects with `FencedError` `STALE_LEADER` where a higher term has begun, or the version is another.
   */
  writeTable(
    leaderEpoch: number,
    expectedVersion: number,
    entries: readonly TableEntry[],
    decision?: Decision,
  ): Promise<number>;
  /** Takes a life off the registry as dead, and puts its node on probation. Fenced as `writeTable` is, but for the version. */
  declareDead(leaderEpoch: number, life: Life, probation: Probation): Promise<void>;
  setDraining(leaderEpoch: number, node: NodeId, isDraining: boolean): Promise<void>;
  /** The newest decisions, newest first. */
  readDecisions(countMax: number): Promise<readonly Decision[]>;

  close(): Promise<void>;
}

/** Decisions that are kept. */
export const DECISIONS_MAX = 1_000;
