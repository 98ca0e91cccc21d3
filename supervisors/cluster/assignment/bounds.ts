/**
 * Between what bounds a node's load is to come, and how many moves that takes at least.
 *
 *   - All partitions alike: the share of each node, rounded down and up.
 *   - Else: 0.90 and 1.10 shares. A partition above 1.10 shares of the largest node is a giant: it is pinned to a node of
 *     its own, whose ceiling it is. Nodes that one partition fills are left out of what the others are to come up to.
 */
import { sum } from "./loads.ts";
import { listOf, NOWHERE, type NodeLists, type Placement } from "./placement.ts";

export const SKEW_MAX = 1.1;
const SKEW_MIN = 0.9;

const ROUNDING = 1e-9;

/** By node: the giant pinned to it, or `NOWHERE`. Puts each there that is elsewhere. */
export function pinGiants(placement: Placement): Int32Array {
  const { byLoad, fair, nodeCount, input } = placement;
  const pinned = new Int32Array(nodeCount).fill(NOWHERE);
  const limit = SKEW_MAX * fair.reduce((most, share) => Math.max(most, share), 0);
  for (const giant of byLoad) {
    if (input.isEven || placement.loadOf(giant) <= limit) break;
    const node = nodeForGiant(placement, giant, pinned);
    if (placement.nodeOf(giant) !== node) placement.move(giant, node);
    pinned[node] = giant;
  }
  return pinned;
}

/** The largest node without giant, of like ones the least loaded; but its own, unless it is smaller by more than a tenth. */
function nodeForGiant(placement: Placement, giant: number, pinned: Int32Array): number {
  const { fair, nodeCount } = placement;
  let best = NOWHERE;
  for (let node = 0; node < nodeCount; node += 1) {
    if (pinned[node] !== NOWHERE) continue;
    const isBetter =
      best === NOWHERE ||
      (fair[node] as number) > (fair[best] as number) ||
      (fair[node] === fair[best] && placement.loadOn(node) < placement.loadOn(best));
    if (isBetter) best = node;
  }
  const own = placement.nodeOf(giant);
  const mayStay = own !== NOWHERE && pinned[own] === NOWHERE;
  return mayStay && (fair[own] as number) * SKEW_MAX >= (fair[best] as number) ? own : best;
}

export function setBounds(placement: Placement, pinned: Int32Array): void {
  const { fair, floor, ceiling, nodeCount, input } = placement;
  const level = input.isEven ? undefined : levelBesideGiants(placement);
  for (let node = 0; node < nodeCount; node += 1) {
    const share = fair[node] as number;
    const giant = pinned[node] as number;
    if (level === undefined) {
      floor[node] = Math.floor(share + ROUNDING);
      ceiling[node] = Math.ceil(share - ROUNDING);
    } else {
      floor[node] = level.isAside[node] === 1 ? 0 : SKEW_MIN * level.ratio * share;
      ceiling[node] = Math.max(SKEW_MAX * share, giant === NOWHERE ? 0 : placement.loadOf(giant));
    }
  }
}

interface Level {
  /** What is left for the others, over their shares; at most 1. */
  readonly ratio: number;
  /** By node: 1 where one partition alone is more than that. */
  readonly isAside: Uint8Array;
}

function levelBesideGiants(placement: Placement): Level {
  const { fair, nodeCount, total, byLoad } = placement;
  const heaviest = new Float64Array(nodeCount);
  for (const partition of byLoad) {
    const node = placement.nodeOf(partition);
    if (node !== NOWHERE && heaviest[node] === 0) heaviest[node] = placement.loadOf(partition);
  }
  const isAside = new Uint8Array(nodeCount);
  let [left, shares, ratio] = [total, total, 1];
  const order = Array.from(fair, (_, node) => node).sort(
    (one, other) =>
      (heaviest[other] as number) / (fair[other] as number) - (heaviest[one] as number) / (fair[one] as number),
  );
  for (const node of order) {
    const [alone, share] = [heaviest[node] as number, fair[node] as number];
    if (alone <= ratio * share) break;
    isAside[node] = 1;
    left -= alone;
    shares -= share;
    ratio = shares > total * ROUNDING ? Math.max(0, left / shares) : 0;
  }
  return { ratio, isAside };
}

/**
 * No assignment within the bounds moves fewer than this, of which `forced` have to go in any case: orphans, and giants
 * that share a node.
 *   - A node above its ceiling gives at least as many as its largest partitions that suffice.
 *   - What nodes below their floors are short of comes from orphans and from these first; the rest in the fewest pieces
 *     there are, where `k` moves away from a node bring at most its `k` largest partitions, and at most what it has above
 *     its own floor.
 *   - An orphan of more than half a ceiling has its node to itself among such; the node makes room for it by at least as
 *     many as its largest partitions that suffice.
 */
export function movesMinOf(placement: Placement, lists: NodeLists, pinned: Int32Array, forced: number): number {
  const { nodeCount, total } = placement;
  let moves = forced;
  let short = sum(placement.load) - total; // orphans come first
  for (let node = 0; node < nodeCount; node += 1) short += placement.shortOn(node);
  const pieces: number[] = [];
  for (let node = 0; node < nodeCount; node += 1) {
    const excess = -placement.roomOn(node);
    const spare = placement.spareOn(node);
    let given = 0;
    for (const partition of listOf(lists, node)) {
      if (given >= spare && given >= excess) break;
      if (partition === pinned[node]) continue;
      const piece = Math.min(placement.loadOf(partition), spare - given);
      if (given < excess) {
        moves += 1;
        short -= piece;
      } else pieces.push(piece);
      given += placement.loadOf(partition);
    }
  }
  return moves + Math.max(fewest(pieces, short), clearingMin(placement, lists, pinned));
}

/** How many more have to go than ceilings ask for already, so that the heaviest orphans have room. */
function clearingMin(placement: Placement, lists: NodeLists, pinned: Int32Array): number {
  const half = placement.ceiling.reduce((most, one) => Math.max(most, one), 0) / 2;
  const heavy: number[] = [];
  for (const partition of placement.byLoad) {
    if (placement.loadOf(partition) <= half) break;
    if (placement.nodeOf(partition) === NOWHERE) heavy.push(placement.loadOf(partition));
  }
  let most = 0;
  // The first k of them are on k nodes, each with at least as much as the k-th.
  for (let count = heavy.length; count > 0; count >>= 1) {
    const load = heavy[count - 1] as number;
    const costs = Float64Array.from(placement.load, (_, node) => {
      const goesAnyway = givenUntil(placement, listOf(lists, node), pinned[node] as number, -placement.roomOn(node));
      return (
        givenUntil(placement, listOf(lists, node), pinned[node] as number, load - placement.roomOn(node)) - goesAnyway
      );
    }).sort();
    const least = sum(costs.subarray(0, count));
    if (least < Number.POSITIVE_INFINITY) most = Math.max(most, least);
  }
  return most;
}

/** The fewest partitions that are as much as `excess`; infinite where there is not so much. */
function givenUntil(placement: Placement, heaviestFirst: Uint32Array, pinned: number, excess: number): number {
  let left = excess;
  let count = 0;
  for (const partition of heaviestFirst) {
    if (left <= 0) break;
    if (partition === pinned) continue;
    left -= placement.loadOf(partition);
    count += 1;
  }
  return left <= 0 ? count : Number.POSITIVE_INFINITY;
}

function fewest(pieces: readonly number[], needed: number): number {
  let left = needed;
  let count = 0;
  const ascending = Float64Array.from(pieces).sort();
  while (left > 0 && count < ascending.length) {
    count += 1;
    left -= ascending[ascending.length - count] as number;
  }
  return count;
}
