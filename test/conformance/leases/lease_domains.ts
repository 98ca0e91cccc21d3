/** The harness of the lease store suite: handles on one domain, a clock that the suite sets, and a tail to lose. */
import * as assert from "uvu/assert";
import { nodeId } from "../../../protocols/position.ts";
import type { Decision, Life, MemberProfile, TableEntry } from "../../../supervisors/cluster/cluster.ts";
import type { LeaseStore } from "../../../supervisors/cluster/leases/lease_store.ts";
import { rejection } from "../log/log_suite.ts";

export interface LeaseDomain {
  /** Opens the handle of another node. */
  open(): Promise<LeaseStore>;
  setClock(nowMs: number): Promise<void>;
  /** Remembers the state of the store. The function that it answers loses all writes since. */
  keep(): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export interface LeaseStoreHarness {
  readonly name: string;
  /** An empty domain, whose clock stands at `CLOCK_START_MS`. */
  make(): Promise<LeaseDomain>;
}

export const CLOCK_START_MS = 1_700_000_000_000;

export const profile = (name: string): MemberProfile => ({
  node: nodeId(name),
  clientAddress: `ws://${name}:7070/v1/connect`,
  peerAddress: `ws://${name}:7070/v1/peer`,
  zone: "zone 1",
  capacity: 1.5,
  minor: 2,
  version: "0.1.0",
});

export const life = (name: string, incarnation: number): Life => ({ node: nodeId(name), incarnation });

export const entry = (partition: string, more: Partial<TableEntry> = {}): TableEntry => ({
  partition,
  holder: life("a", CLOCK_START_MS),
  grant: { leaderEpoch: CLOCK_START_MS, tableVersion: 1 },
  next: undefined,
  decision: 1,
  reason: "a joined",
  ...more,
});

export const decision = (id: number, more: Partial<Decision> = {}): Decision => ({
  id,
  leaderEpoch: CLOCK_START_MS,
  atMs: CLOCK_START_MS + id,
  triggers: [{ kind: "joined", node: nodeId("a") }, { kind: "skewed", skew: 1.25 }, { kind: "asked" }],
  text: `Decision ${id}: "é", a\nline`,
  moves: 2,
  movesMin: 1,
  ...more,
});

/** Everything that a store shows. */
export const seen = async (store: LeaseStore) => ({
  view: await store.look(),
  table: await store.readTable(),
  decisions: await store.readDecisions(10_000),
});

export const REGISTRATION_MS = 10_000;
export const LEASE_MS = 2_000;
export const PROBATION = { probationFirstMs: 1_000, probationMaxMs: 6_000, deathsForgottenMs: 60_000 };

export const join = (store: LeaseStore, name: string): Promise<Life & { readonly probationMs: number }> =>
  store.join(profile(name), REGISTRATION_MS);
export const elect = async (store: LeaseStore, by: Life, insteadOf?: number): Promise<number> => {
  const outcome = await store.stand(by, LEASE_MS, insteadOf);
  assert.is(outcome.kind, "elected");
  return outcome.kind === "elected" ? outcome.leaderEpoch : 0;
};
export const namesOf = async (store: LeaseStore) => (await store.look()).members.map(({ node }) => node);
export const memberOf = async (store: LeaseStore, name: string) => {
  const member = (await store.look()).members.find(({ node }) => node === name);
  if (member === undefined) throw new Error(`Cannot look at ${name} as it must be registered: it is not`);
  return member;
};
export const isStale = async (call: Promise<unknown>): Promise<void> => {
  const { name, code } = await rejection(call);
  assert.equal([name, code], ["FencedError", "STALE_LEADER"]);
};

export type Scenario = (name: string, run: (store: LeaseStore, domain: LeaseDomain) => Promise<unknown>) => void;
