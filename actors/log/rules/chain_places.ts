/**
 * Who may take one of a partition's places for live chains. Decides by counts alone; leaves the chains to
 * partition_state.ts, and redis_library.ts says the same rules in Lua.
 *
 *   C1. A partition has `producersMax` places. Short-lived producers have `SHORT_LIVED_CHAINS_MAX` of their own, so that
 *       requests with a key keep no producer out, nor producers them (E5).
 *   C2. A principal gets a place only while it holds fewer than `PLACES_SHARE` times the places that are free: "dynamic
 *       queue length thresholds" (Choudhury and Hahne, 1998). One greedy principal gets 8/9 of them.
 *   C3. A chain counts for the principal that opened it last. One of no principal has no share, and is in nobody's.
 */
import { createHash } from "node:crypto";
import { type Channel, SHORT_LIVED_PRODUCERS, type TooManyProducers } from "../log.ts";

/** Times the free places that one principal may hold: a ninth stays free of it, and it fills a partition alone to 89 %. */
export const PLACES_SHARE = 8;

/** Chains of requests with a key that one partition keeps: some seventy a second through their hour, about 75 MB. */
export const SHORT_LIVED_CHAINS_MAX = 250_000;

/** A chain belongs to one channel. Channels hold no NUL, so the name is unambiguous whatever the producer is called. */
export const chainName = (channel: Channel, producerId: string): string => `${channel}\0${producerId}`;

const SHORT_LIVED_CHAINS = chainName("records", SHORT_LIVED_PRODUCERS.prefix);

export const isShortLived = (name: string): boolean => name.startsWith(SHORT_LIVED_CHAINS);

/** A principal as its chains name it: 16 characters of base64url, however long its subject is. */
export const ownerMark = (owner: string): string =>
  createHash("sha256").update(owner).digest("base64url").slice(0, OWNER_MARK_CHARACTERS);

const OWNER_MARK_CHARACTERS = 16;

/** The places that chains take, or by which a plan changes them. */
export interface PlaceCounts {
  /** How many of all chains are of short-lived producers. */
  shortLived: number;
  /** Places of each principal, by {@linkcode heldKey}; none where it holds none. */
  readonly held: Map<string, number>;
}

export const newPlaceCounts = (): PlaceCounts => ({ shortLived: 0, held: new Map() });

/** A principal's places of the kind that the chain takes (C1). */
export const heldKey = (name: string, owner: string): string => (isShortLived(name) ? `h:${owner}` : `o:${owner}`);

interface Placed {
  readonly owner: string | undefined;
}

/** Counts a chain that is made, forgotten, or opened by another principal (C3). */
export function countPlace(
  counts: PlaceCounts,
  name: string,
  before: Placed | undefined,
  after: Placed | undefined,
): void {
  if (isShortLived(name)) counts.shortLived += (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
  if (before?.owner === after?.owner) return;
  if (before?.owner !== undefined) addHeld(counts, heldKey(name, before.owner), -1);
  if (after?.owner !== undefined) addHeld(counts, heldKey(name, after.owner), 1);
}

/** Of the chains that a store holds. */
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

/** Why another chain gets no place, or undefined where it gets one. `held`: places of its principal, if it has one. */
export function refusePlace(live: number, max: number, held: number | undefined): TooManyProducers | undefined {
  const free = max - live;
  if (free <= 0) return { kind: "too_many_producers", live };
  if (held === undefined || held < PLACES_SHARE * free) return undefined;
  return { kind: "too_many_producers", live, share: { held, free } };
}
