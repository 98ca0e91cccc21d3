/**
 * Brings a placement between its bounds: clears the nodes above their ceilings, then fills the nodes below their floors. Good
 * enough, not the fewest moves: docs/decisions/0011-assignments-are-good-enough.md has the figures.
 */
import { pinGiants, SKEW_MAX, setBounds } from "./bounds.ts";
import { fillNodes } from "./node_filling.ts";
import { NOWHERE, type Placement } from "./placement.ts";
import { clearExcess } from "./rebalancing.ts";

/**
 * The bounds depend on where the heavy partitions are, so they are set again after each pass. A pass depends on the targets
 * alone, and not on the holders. The last pass found nothing to move, so a second decision finds nothing either (A3).
 */
const PASSES_MAX = 6;
/** A pass is kept only if it lowers the skew or the spread by more than this part: less is rounding. */
const GAIN_MIN = 1e-9;

export function settle(placement: Placement): void {
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    const before = placement.target.slice();
    const [skew, spread] = [skewOfPlacement(placement), spreadOf(placement)];
    const pinned = pinGiants(placement);
    setBounds(placement, pinned);
    clearExcess(placement, pinned);
    fillNodes(placement, pinned, before);
    if (placement.input.isEven) return; // one pass is exact
    if (before.includes(NOWHERE)) continue;
    // A pass that gains nothing is undone: else repeated decisions about weights that cannot be divided would never rest.
    const isBetter = skewOfPlacement(placement) < Math.max(SKEW_MAX, skew) - GAIN_MIN && skew > SKEW_MAX;
    const isWorse = skewOfPlacement(placement) > Math.max(SKEW_MAX, skew) + GAIN_MIN;
    if (isBetter || (!isWorse && spreadOf(placement) < spread * (1 - GAIN_MIN))) continue;
    restore(placement, before);
    return;
  }
}

function restore(placement: Placement, target: Int32Array): void {
  for (let partition = 0; partition < target.length; partition += 1) {
    const node = target[partition] as number;
    if (placement.nodeOf(partition) !== node) placement.move(partition, node);
  }
}

/** How far all loads together are from their shares; least where each node has exactly its share. */
function spreadOf(placement: Placement): number {
  let spread = 0;
  for (let node = 0; node < placement.nodeCount; node += 1) spread += placement.ratioOf(node) * placement.loadOn(node);
  return spread;
}

/** Partitions that are not on their holder. */
export function movesOf({ input: { holders }, target }: Placement): number {
  let moves = 0;
  for (let partition = 0; partition < target.length; partition += 1) {
    if (holders[partition] === NOWHERE || target[partition] !== holders[partition]) moves += 1;
  }
  return moves;
}

/** The largest load over its node's share; 1 is even. */
export function skewOfPlacement(placement: Placement): number {
  if (placement.partitionCount === 0) return 1;
  let skew = 0;
  for (let node = 0; node < placement.nodeCount; node += 1) skew = Math.max(skew, placement.ratioOf(node));
  return skew;
}
