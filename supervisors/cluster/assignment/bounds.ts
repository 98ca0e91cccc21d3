/**
 * Sets the bounds that each node's load is to come between (assignment A2).
 *
 *   - Equal weights: the node's share, rounded down and up.
 *   - Other weights: 0.90 and 1.10 shares. A partition above 1.10 shares of the largest node is a giant. Each giant is pinned to
 *     a node of its own, whose ceiling is the giant's load. Nodes that one partition fills do not raise the floors of others.
 */
import { NOWHERE, type Placement } from "./placement.ts";

export const SKEW_MAX = 1.1;
export const SKEW_MIN = 0.9;

const ROUNDING = 1e-9;

/** Moves each giant to the node that it is pinned to. Answers by node: its giant, or `NOWHERE`. */
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

/** The giant stays on its node unless a node without a giant is larger by more than a tenth; of equal nodes the least loaded. */
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
      floor[node] = SKEW_MIN * level * share; // one heavy partition alone may exceed this
      ceiling[node] = Math.max(SKEW_MAX * share, giant === NOWHERE ? 0 : placement.loadOf(giant));
    }
  }
}

/** The load over the shares of all nodes but those that one partition fills; at most 1. Floors are parts of this. */
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
