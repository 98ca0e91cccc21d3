/**
 * The state of a lease store in memory, and questions about it. Pure. `supervisors/cluster/leases/redis_lease_library.ts` has the
 * same in Lua, as each method must be one atomic call in Redis.
 */
import type { NodeId } from "../../../protocols/position.ts";
import type {
  Decision,
  Leader,
  Life,
  MemberProfile,
  PartitionName,
  TableEntry,
} from "../../../supervisors/cluster/cluster.ts";

export interface Registration {
  readonly incarnation: number;
  readonly profile: MemberProfile;
  readonly expiresAtMs: number;
  readonly isDraining: boolean;
}

export interface Deaths {
  readonly count: number;
  readonly probationUntilMs: number;
  readonly forgottenAtMs: number;
}

/** The items of its collections are never changed in place, so that copies of the collections are a copy of the state. */
export interface LeaseState {
  /** The store's clock at the last write, ms since 1970. */
  seenMs: number;
  /** The newest incarnation and leader epoch that were made; 0 for none. */
  incarnation: number;
  leaderEpoch: number;
  /** The life that has the lease of the newest term; undefined once it was given up. */
  holder: Life | undefined;
  leaseUntilMs: number;
  /** Sorted by name at each join, so that a look, which is far more frequent, need not sort. */
  registrations: Map<NodeId, Registration>;
  readonly deaths: Map<NodeId, Deaths>;
  tableVersion: number;
  tableLeaderEpoch: number;
  readonly entries: Map<PartitionName, TableEntry>;
  /** Oldest first. */
  readonly decisions: Decision[];
}

export const NO_LEASES: LeaseState = {
  seenMs: 0,
  incarnation: 0,
  leaderEpoch: 0,
  holder: undefined,
  leaseUntilMs: 0,
  registrations: new Map(),
  deaths: new Map(),
  tableVersion: 0,
  tableLeaderEpoch: 0,
  entries: new Map(),
  decisions: [],
};

export const copyOf = (state: LeaseState): LeaseState => ({
  ...state,
  registrations: new Map(state.registrations),
  deaths: new Map(state.deaths),
  entries: new Map(state.entries),
  decisions: [...state.decisions],
});

export function shiftDeadlines(state: LeaseState, byMs: number): void {
  for (const [node, one] of state.registrations) {
    state.registrations.set(node, { ...one, expiresAtMs: one.expiresAtMs + byMs });
  }
  for (const [node, { count, probationUntilMs, forgottenAtMs }] of state.deaths) {
    const moved = { count, probationUntilMs: probationUntilMs + byMs, forgottenAtMs: forgottenAtMs + byMs };
    state.deaths.set(node, moved);
  }
  state.leaseUntilMs += byMs;
}

export const isNewest = (state: LeaseState, leaderEpoch: number): boolean =>
  state.leaderEpoch > 0 && state.leaderEpoch === leaderEpoch;

export const registrationOf = (state: LeaseState, { node, incarnation }: Life): Registration | undefined => {
  const registration = state.registrations.get(node);
  return registration?.incarnation === incarnation ? registration : undefined;
};

export const leaderOf = ({ holder, leaderEpoch }: LeaseState): Leader | undefined =>
  holder && { ...holder, leaderEpoch };

export const probationAt = ({ deaths }: LeaseState, node: NodeId, nowMs: number): number =>
  Math.max(0, (deaths.get(node)?.probationUntilMs ?? 0) - nowMs);
