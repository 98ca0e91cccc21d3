/**
 * Decides whether a new chain gets one of a partition's places for live chains, by counts alone. Leaves the chains to
 * stored_partition.ts. redis_places.ts holds the same rules in Lua.
 *
 *   C1. A partition has `producersMax` places. Short-lived producers have `SHORT_LIVED_CHAINS_MAX` places of their own, so
 *       that requests with a key keep no producer out, and producers keep no request out (E5).
 *   C2. A principal gets a place only while it holds fewer than `PLACES_SHARE` times the free places ("dynamic queue length
 *       thresholds", Choudhury and Hahne, 1998). One greedy principal gets 8/9 of all places.
 *   C3. A chain counts for the principal that opened it last. A chain of no principal counts for none, and has no share.
 */
import { createHash } from "node:crypto";
import { type Channel, SHORT_LIVED_PRODUCERS, type TooManyProducers } from "../log.ts";

/** A principal may hold up to this many times the free places (C2). */
export const PLACES_SHARE = 8;

/** Places of one partition for requests with a key: 69 requests a second for the hour that each is kept, about 75 MB. */
export const SHORT_LIVED_CHAINS_MAX = 250_000;

/** Names a chain by its channel and producer. No channel holds a NUL, so no two chains have one name. */
export const chainName = (channel: Channel, producerId: string): string => `${channel}\0${producerId}`;

const SHORT_LIVED_CHAINS = chainName("records", SHORT_LIVED_PRODUCERS.prefix);

export const isShortLived = (name: string): boolean => name.startsWith(SHORT_LIVED_CHAINS);

/** The name of a principal in its chains: 16 characters of base64url, however long its subject is. */
export const ownerMark = (owner: string): string => createHash("sha256").update(owner).digest("base64url").slice(0, 16);

/** Counts of taken places; in a plan, the changes of these counts. */
export interface PlaceCounts {
  /** Chains of short-lived producers. */
  shortLived: number;
  /** Places of each principal, by {@linkcode heldKey}. A principal without places has no entry. */
  readonly held: Map<string, number>;
}

export const newPlaceCounts = (): PlaceCounts => ({ shortLived: 0, held: new Map() });

/** Key of the principal's count for the kind of place that the chain takes (C1). */
export const heldKey = (name: string, owner: string): string => (isShortLived(name) ? `h:${owner}` : `o:${owner}`);

type Placed = { readonly owner: string | undefined };

/** Counts a chain that is made (no `before`), forgotten (no `after`), or opened by another principal (C3). */
export function countPlace(counts: PlaceCounts, name: string, before?: Placed, after?: Placed): void {
  if (isShortLived(name)) counts.shortLived += (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
  if (before?.owner === after?.owner) return;
  if (before?.owner !== undefined) addHeld(counts, heldKey(name, before.owner), -1);
  if (after?.owner !== undefined) addHeld(counts, heldKey(name, after.owner), 1);
}

/** Counts the places of the chains that a store holds. */
export function placeCountsOf(chains: Iterable<readonly [name: string, chain: Placed]>): PlaceCounts {
  const counts = newPlaceCounts();
  for (const [name, chain] of chains) countPlace(counts, name, undefined, chain);
  return counts;
}

function addHeld({ held }: PlaceCounts, key: string, change: number): void {
  const count = (held.get(key) ?? 0) + change;
  if (count === 0) held.delete(key);
  else held.set(key, count);
}

/** The refusal of a place to another chain, or undefined where it gets one. `held`: the places of its principal, if any. */
export function refusePlace(live: number, max: number, held: number | undefined): TooManyProducers | undefined {
  const free = max - live;
  if (free <= 0) return { kind: "too_many_producers", live };
  if (held === undefined || held < PLACES_SHARE * free) return undefined;
  return { kind: "too_many_producers", live, share: { held, free } };
}
