/**
 * Holds a cluster's truth about itself: the registered lives, the coordinator's lease and the assignment table, all in one
 * atomic domain (one hash tag in Redis, E20). `redis_lease_store` keeps this contract. The suite in test/conformance/leases/ holds
 * it to the contract, and the store in memory that tests and the simulator use.
 *
 *   S1. The store makes incarnations and leader epochs, each `max(stored + 1, the store's clock in ms)`. So none is made
 *       twice, even by a store that lost its tail (E7).
 *   S2. A write of the table, a death and a drain name a leader epoch. One that is not the newest is refused and changes
 *       nothing (E20).
 *   S3. Only the store's clock judges expiry (E24). Expiry removes nothing: only a coordinator removes an expired life.
 *   S4. A write of the table is one call: its entries, its decision and its version are all written, or none is.
 *   S5. A call that rejects with anything but `FencedError` has an unknown outcome: the writer reads the table again.
 */
import type { NodeId } from "../../../protocols/position.ts";
import type {
  AssignmentTable,
  ClusterTimes,
  Decision,
  Leader,
  Life,
  Member,
  MemberProfile,
  TableEntry,
} from "../cluster.ts";

export interface Joined extends Life {
  /** Ms of probation, if the node was declared dead before (E20); else 0. */
  readonly probationMs: number;
}

/** The registry and the lease at one moment. */
export interface StoreView {
  /** Sorted by node. Includes expired members until a coordinator removes them. */
  readonly members: readonly Member[];
  readonly leader: Leader | undefined;
  /** Ms until the leader's lease expires; below 0 once it has expired, undefined without a leader. */
  readonly leaseExpiresInMs: number | undefined;
  readonly tableVersion: number;
}

export type ElectionOutcome =
  | { readonly kind: "elected"; readonly leaderEpoch: number }
  | { readonly kind: "held"; readonly leader: Leader; readonly leaseExpiresInMs: number };

export type Probation = Pick<ClusterTimes, "probationFirstMs" | "probationMaxMs" | "deathsForgottenMs">;

/** All methods reject with `UnavailableError` while the store is away. */
export interface LeaseStore {
  /** Registers a new life of a node. A former life is superseded, and can no longer renew. */
  join(profile: MemberProfile, registrationMs: number): Promise<Joined>;
  /** False if this life is no longer registered: superseded, declared dead, or lost with the store's tail. */
  renew(life: Life, registrationMs: number): Promise<boolean>;
  /** Removes a life that ends in order. Another life of the node stays. */
  leave(life: Life): Promise<void>;

  look(): Promise<StoreView>;

  /** Takes the coordinator's lease if free, expired, or held in the term `insteadOf`, whose port refused (E20). */
  stand(life: Life, leaseMs: number, insteadOf?: number): Promise<ElectionOutcome>;
  /** False if the term is not the newest, or its lease was given up. */
  renewLease(leaderEpoch: number, leaseMs: number): Promise<boolean>;
  /** Gives the lease up. No effect once a higher term has begun. */
  resign(leaderEpoch: number): Promise<void>;

  readTable(): Promise<AssignmentTable>;
  /**
   * Writes the entries, and the decision behind them if given, in one call. Answers the new version, `expectedVersion + 1`.
   * The grants of the entries and the `id` of the decision must already name that version.
   * Rejects with `FencedError` `STALE_LEADER` if a higher term has begun, or if the version is not `expectedVersion`.
   */
  writeTable(
    leaderEpoch: number,
    expectedVersion: number,
    entries: readonly TableEntry[],
    decision?: Decision,
  ): Promise<number>;
  /** Removes a life as dead, and puts its node on probation. Fenced by the term, like `writeTable`. */
  declareDead(leaderEpoch: number, life: Life, probation: Probation): Promise<void>;
  setDraining(leaderEpoch: number, node: NodeId, isDraining: boolean): Promise<void>;
  /** At most `countMax` decisions, the newest first. */
  readDecisions(countMax: number): Promise<readonly Decision[]>;

  close(): Promise<void>;
}

/** How many of the newest decisions are kept. */
export const DECISIONS_MAX = 1_000;
