/**
 * Between what bounds a node's load is to come.
 *
 *   - All partitions alike: the share of each node, rounded down and up.
 *   - Else: 0.90 and 1.10 shares. A partition above 1.10 shares of the largest node is a giant: it is pinned to a node of
 *     its own, whose ceiling it is. Nodes that one partition fills are left out of what the others are to come up to.
 */
import { NOWHERE, type Placement } from "./placement.ts";

export const SKEW_MAX = 1.1;
export const SKEW_MIN = 0.9;

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
      floor[node] = SKEW_MIN * level * share; // a heavier partition alone is more
      ceiling[node] = Math.max(SKEW_MAX * share, giant === NOWHERE ? 0 : placement.loadOf(giant));
    }
  }
}

/** What is left for the others, over their shares, where nodes that one partition fills are left out; at most 1. */
function levelBesideGiants(placement: Placement): number {
  const { fair, nodeCount, total, byLoad } = placement;
  const heaviest = new Float64Array(nodeCount);
  let unknown = 0;
  for (let node = 0; node < nodeCount; node += 1) if (placement.loadOn(node) > 0) unknown += 1;
  for (let rank = 0; rank < byLoad.length && unknown > 0; rank += 1) {
    const partition = byLoad[rank] as number;
    const node = placement.nodeOf(partition);
    if (node === NOWHERE || heaviest[node] !== 0) continue;
    heaviest[node] = placement.loadOf(partition);
    unknown -= 1;
  }
  let [left, shares, ratio] = [total, total, 1];
  const order = Array.from(fair, (_, node) => node).sort(
    (one, other) =>
      (heaviest[other] as number) / (fair[other] as number) - (heaviest[one] as number) / (fair[one] as number),
  );
  for (const node of order) {
    const [alone, share] = [heaviest[node] as number, fair[node] as number];
    if (alone <= ratio * share) break;
    left -= alone;
    shares -= share;
    ratio = shares > total * ROUNDING ? Math.max(0, left / shares) : 0;
  }
  return ratio;
}
