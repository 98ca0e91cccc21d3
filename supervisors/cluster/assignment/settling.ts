/**
 * Brings a placement between its bounds by the way that moves the fewest: it is first done straight on, by clearing what is above
 * and filling what is below; where that ends within the bounds, other orders of the same steps are tried, and taken if they
 * end there in fewer moves; then moves are taken back that are not needed (taking_back.ts). What can not be brought there
 * is left to the straight way alone: else decisions about the same could go round in a circle. Of many partitions only the
 * best of these ways is tried, and the straight one where it does not end within the bounds.
 */
import { pinGiants, SKEW_MAX, setBounds } from "./bounds.ts";
import { fillByExchange } from "./exchanging.ts";
import { movesMinOf } from "./moves_min.ts";
import { fillNodes } from "./node_filling.ts";
import { NOWHERE, type Placement } from "./placement.ts";
import { clearExcess, type Eviction } from "./rebalancing.ts";
import { takeBack } from "./taking_back.ts";

/** Bounds hang on where heavy partitions are: once these have moved, the bounds are looked at again, so often. */
const PASSES_MAX = 6;
/** By what part skew or spread must become less for moves to be worth it. */
const GAIN_MIN = 1e-9;

/** What a unit of load is worth in moves, over what the bound says: more makes for larger partitions and more exchanges. */
interface Way {
  readonly eviction: Eviction;
  readonly isClearedFirst: boolean;
  readonly worth: number;
  /** What a node that is short costs beyond what it is short of: more makes for fewer of them (exchanging.ts). */
  readonly shortCost: number;
}

const STRAIGHT: Way = { eviction: "none", isClearedFirst: true, worth: 0, shortCost: 0.15 };
/** Where more is above ceilings than below floors, and the other way round; the first way is the best in most cases. */
const CLEARING_WAYS: readonly Way[] = [
  { eviction: "once", isClearedFirst: true, worth: 1, shortCost: 0.15 },
  { eviction: "chained", isClearedFirst: true, worth: 1, shortCost: 0.15 },
  { eviction: "once", isClearedFirst: false, worth: 1, shortCost: 0.15 },
  { eviction: "once", isClearedFirst: false, worth: 3, shortCost: 0.6 },
  { eviction: "chained", isClearedFirst: false, worth: 1, shortCost: 0.6 },
];
const FILLING_WAYS: readonly Way[] = [
  { eviction: "once", isClearedFirst: false, worth: 1, shortCost: 0.3 },
  { eviction: "once", isClearedFirst: false, worth: 1.3, shortCost: 0.15 },
  { eviction: "once", isClearedFirst: false, worth: 1, shortCost: 0.15 },
  { eviction: "once", isClearedFirst: false, worth: 0.7, shortCost: 0.15 },
  { eviction: "once", isClearedFirst: false, worth: 1.3, shortCost: 0.6 },
  { eviction: "once", isClearedFirst: false, worth: 1, shortCost: 0.6 },
  { eviction: "once", isClearedFirst: false, worth: 0.7, shortCost: 0.6 },
  { eviction: "once", isClearedFirst: true, worth: 1, shortCost: 0.15 },
  { eviction: "chained", isClearedFirst: true, worth: 1, shortCost: 0.15 },
];
/** So many exchanges are looked at beside each other; only one of many partitions. */
const EXCHANGE_WIDTH = 8;
/** Of more partitions only the first way is tried: a decision is made in one turn of its node. */
const MANY = 20_000;
/** With more moves than so many times those of another way it is given up: what is taken back later is not so much. */
const TOO_MANY = 1.5;
/** And it alone, where so many moves are needed at least and nothing is nowhere: it is seldom worse than the straight way then. */
const QUICK_MIN = 64;
/** What is so near to the bound is not tried to be bettered. */
const NEAR = 1.03;

/** Answers in how many moves that might at least have been done. */
export function settle(placement: Placement): number {
  const start = placement.target.slice();
  const pinned = pinGiants(placement);
  setBounds(placement, pinned);
  const [cleared, search] = movesMinOf(placement, pinned, movesOf(placement));
  const ways =
    placement.load.reduce((more, _, node) => more + Math.max(0, -placement.roomOn(node)) - placement.shortOn(node), 0) >
    0
      ? CLEARING_WAYS
      : FILLING_WAYS;
  restore(placement, start);
  const isMany = placement.partitionCount > MANY;
  let untried = isMany ? ways.slice(0, 1) : ways;
  if (isMany && !placement.input.isEven && !start.includes(NOWHERE)) {
    const { moves, slope } = search();
    const [way] = untried;
    if (way !== undefined && moves >= QUICK_MIN) {
      goOn(placement, way, slope * way.worth, Number.POSITIVE_INFINITY);
      if (isWithin(placement)) {
        if (movesOf(placement) > NEAR * moves) bringBack(placement, start, isMany);
        return moves;
      }
      restore(placement, start);
      untried = [];
    }
  }
  goOn(placement, STRAIGHT, 0, Number.POSITIVE_INFINITY);
  if (movesOf(placement) <= cleared) return cleared;
  const { moves, slope } = search();
  if (placement.input.isEven || movesOf(placement) <= NEAR * moves || !isWithin(placement)) return moves;
  let best = placement.target.slice();
  let fewest = movesOf(placement);
  for (const way of untried) {
    if (fewest <= NEAR * moves) break;
    restore(placement, start);
    goOn(placement, way, slope * way.worth, isMany ? fewest : TOO_MANY * fewest);
    if (movesOf(placement) >= TOO_MANY * fewest || !isWithin(placement)) continue;
    if (!isMany) bringBack(placement, start, true);
    if (movesOf(placement) >= fewest) continue;
    fewest = movesOf(placement);
    best = placement.target.slice();
  }
  restore(placement, best);
  if (fewest > NEAR * moves) bringBack(placement, start, isMany);
  return moves;
}

/** What can be done without, within the bounds that it has. */
function bringBack(placement: Placement, start: Int32Array, isInHurry: boolean): void {
  const best = placement.target.slice();
  restore(placement, start);
  const lists = placement.lists();
  restore(placement, best);
  const pinned = pinGiants(placement);
  setBounds(placement, pinned);
  takeBack(placement, { start, lists, pinned }, isInHurry);
  if (!isWithin(placement)) restore(placement, best);
}

/** By one way, until it is within the bounds or can not be brought nearer to them, or has made `movesMax` moves. */
function goOn(placement: Placement, way: Way, slope: number, movesMax: number): void {
  const { eviction, isClearedFirst, worth, shortCost } = way;
  const width = placement.partitionCount > MANY ? 1 : EXCHANGE_WIDTH;
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    const before = placement.target.slice();
    const [skew, spread] = [skewOfPlacement(placement), spreadOf(placement)];
    const pinned = pinGiants(placement);
    setBounds(placement, pinned);
    if (isClearedFirst) clearExcess(placement, pinned, eviction);
    if (worth > 0) fillByExchange(placement, pinned, { slope, shortCost, width });
    if (!isClearedFirst) clearExcess(placement, pinned, eviction);
    fillNodes(placement, pinned);
    if (placement.input.isEven || movesOf(placement) >= movesMax) break; // exact at once, or no better
    if (before.includes(NOWHERE)) continue;
    // Else decisions about the same could go round in a circle, where the weights can not be divided well.
    const isBetter = skewOfPlacement(placement) < Math.max(SKEW_MAX, skew) - GAIN_MIN && skew > SKEW_MAX;
    const isWorse = skewOfPlacement(placement) > Math.max(SKEW_MAX, skew) + GAIN_MIN;
    if (isBetter || (!isWorse && spreadOf(placement) < spread * (1 - GAIN_MIN))) continue;
    restore(placement, before);
    break;
  }
}

/** By the bounds that where everything is now gives. */
function isWithin(placement: Placement): boolean {
  const before = placement.target.slice();
  const pinned = pinGiants(placement);
  setBounds(placement, pinned);
  const isSame = before.every((node, partition) => placement.nodeOf(partition) === node);
  restore(placement, before);
  return isSame && placement.load.every((_, node) => placement.shortOn(node) === 0 && placement.roomOn(node) >= 0);
}

function restore(placement: Placement, target: Int32Array): void {
  for (let partition = 0; partition < target.length; partition += 1) {
    const node = target[partition] as number;
    if (placement.nodeOf(partition) === node) continue;
    if (node === NOWHERE) placement.take(partition);
    else placement.move(partition, node);
  }
}

/** How far loads are from shares, all nodes together: least where each has its own. */
function spreadOf(placement: Placement): number {
  let spread = 0;
  for (let node = 0; node < placement.nodeCount; node += 1) spread += placement.ratioOf(node) * placement.loadOn(node);
  return spread;
}

export function movesOf({ input: { holders }, target }: Placement): number {
  let moves = 0;
  for (let partition = 0; partition < target.length; partition += 1) {
    if (holders[partition] === NOWHERE || target[partition] !== holders[partition]) moves += 1;
  }
  return moves;
}

export function skewOfPlacement(placement: Placement): number {
  if (placement.partitionCount === 0) return 1;
  let skew = 0;
  for (let node = 0; node < placement.nodeCount; node += 1) skew = Math.max(skew, placement.ratioOf(node));
  return skew;
}
