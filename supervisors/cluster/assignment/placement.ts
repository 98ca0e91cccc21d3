/**
 * The state of one decision: which partition is on which node now, and the loads of nodes and zones that follow. Nodes, zones,
 * streams and partitions are numbers here, in the order of their names; -1 is no node. Decides nothing.
 */
import { sum } from "./loads.ts";
import { orderByLoad } from "./partition_order.ts";

export const NOWHERE = -1;

/** Loads are whole numbers and shares are not: a difference below this part counts as none. */
const EPSILON = 1e-9;

/** A partition is placed, if possible, on a node that stays below 1.05 shares: the rest up to 1.10 is for weights that grow. */
const EASE = 1.05;

/** Pairs of stream and zone are counted in an array up to this many, 4 bytes each; beyond it in a map. */
const ZONE_CELLS_MAX = 2 ** 22;

export interface PlacementInput {
  /** By node. */
  readonly capacities: Float64Array;
  readonly zones: Int32Array;
  readonly zoneCount: number;
  /** By partition. */
  readonly loads: Float64Array;
  readonly streams: Int32Array;
  readonly streamCount: number;
  readonly holders: Int32Array;
  readonly isEven: boolean;
}

export class Placement {
  readonly input: PlacementInput;
  readonly nodeCount: number;
  readonly partitionCount: number;
  readonly total: number;
  /** By node: its share of the whole, its load now, and the bounds that bounds.ts sets. */
  readonly fair: Float64Array;
  readonly load: Float64Array;
  readonly floor: Float64Array;
  readonly ceiling: Float64Array;
  /** By partition. */
  readonly target: Int32Array;
  /** Partitions, the heaviest first. */
  readonly byLoad: Uint32Array;
  /** By zone: its share of the capacity. */
  readonly #zoneShares: Float64Array;
  readonly #streamSizes: Int32Array;
  /** By stream and zone: how many partitions. */
  readonly #inZones: Int32Array | Map<number, number>;

  constructor(input: PlacementInput) {
    this.input = input;
    this.nodeCount = input.capacities.length;
    this.partitionCount = input.loads.length;
    this.total = sum(input.loads);
    const capacity = sum(input.capacities);
    this.fair = input.capacities.map((one) => (this.total * one) / capacity);
    this.load = new Float64Array(this.nodeCount);
    this.floor = new Float64Array(this.nodeCount);
    this.ceiling = new Float64Array(this.nodeCount);
    this.target = new Int32Array(this.partitionCount).fill(NOWHERE);
    this.byLoad = orderByLoad(input.loads);
    this.#zoneShares = new Float64Array(input.zoneCount);
    for (const [node, zone] of input.zones.entries()) {
      this.#zoneShares[zone] = (this.#zoneShares[zone] as number) + (input.capacities[node] as number) / capacity;
    }
    const zoneCells = input.streamCount * input.zoneCount;
    this.#inZones = zoneCells <= ZONE_CELLS_MAX ? new Int32Array(zoneCells) : new Map();
    this.#streamSizes = new Int32Array(input.streamCount);
    for (const stream of input.streams) this.#streamSizes[stream] = (this.#streamSizes[stream] as number) + 1;
    for (let partition = 0; partition < this.partitionCount; partition += 1) {
      const holder = input.holders[partition] as number;
      if (holder !== NOWHERE) this.put(partition, holder);
    }
  }

  put(partition: number, node: number): void {
    this.target[partition] = node;
    this.load[node] = this.loadOn(node) + this.loadOf(partition);
    this.#countInZone(partition, node, 1);
  }

  take(partition: number): void {
    const node = this.nodeOf(partition);
    this.target[partition] = NOWHERE;
    this.load[node] = this.loadOn(node) - this.loadOf(partition);
    this.#countInZone(partition, node, -1);
  }

  move(partition: number, node: number): void {
    if (this.nodeOf(partition) !== NOWHERE) this.take(partition);
    this.put(partition, node);
  }

  nodeOf(partition: number): number {
    return this.target[partition] as number;
  }

  loadOf(partition: number): number {
    return this.input.loads[partition] as number;
  }

  loadOn(node: number): number {
    return this.load[node] as number;
  }

  zoneOf(node: number): number {
    return this.input.zones[node] as number;
  }

  /** The node's load, and `more`, over its share. */
  ratioOf(node: number, more = 0): number {
    return (this.loadOn(node) + more) / (this.fair[node] as number);
  }

  /** The load that fits below the node's ceiling; negative above it. */
  roomOn(node: number): number {
    return (this.ceiling[node] as number) * (1 + EPSILON) - this.loadOn(node);
  }

  /** The load that is missing to the node's floor, or 0. */
  shortOn(node: number): number {
    return Math.max(0, (this.floor[node] as number) * (1 - EPSILON) - this.loadOn(node));
  }

  /** The load above the node's floor, or 0. */
  spareOn(node: number): number {
    return Math.max(0, this.loadOn(node) - (this.floor[node] as number) * (1 - EPSILON));
  }

  /** The node stays at most at 1.05 shares with `more`. */
  isAtEase(node: number, more: number): boolean {
    return this.input.isEven || this.ratioOf(node, more) <= EASE;
  }

  /** Partitions of the stream in the zone, with this one, over the zone's share of the capacity: to compare zones by. */
  crowdIn(zone: number, partition: number): number {
    return (this.#inZone(zone, partition) + 1) / (this.#zoneShares[zone] as number);
  }

  /** With `more` partitions of the stream the zone is above its share of the stream, rounded up. */
  isFull(zone: number, partition: number, more = 1): boolean {
    const size = this.#streamSizes[this.input.streams[partition] as number] as number;
    const quota = Math.ceil(size * (this.#zoneShares[zone] as number) - EPSILON);
    return this.#inZone(zone, partition) + more > quota;
  }

  /** The partitions of each node, the heaviest first: node `n` has `items` from `starts[n]` up to `starts[n + 1]`. */
  lists(): NodeLists {
    const starts = new Uint32Array(this.nodeCount + 1);
    for (const node of this.target) if (node !== NOWHERE) starts[node + 1] = (starts[node + 1] as number) + 1;
    for (let node = 0; node < this.nodeCount; node += 1) {
      starts[node + 1] = (starts[node + 1] as number) + (starts[node] as number);
    }
    const items = new Uint32Array(starts[this.nodeCount] as number);
    const next = starts.slice();
    for (const partition of this.byLoad) {
      const node = this.nodeOf(partition);
      if (node === NOWHERE) continue;
      items[next[node] as number] = partition;
      next[node] = (next[node] as number) + 1;
    }
    return { starts, items };
  }

  #inZone(zone: number, partition: number): number {
    const key = (this.input.streams[partition] as number) * this.input.zoneCount + zone;
    const inZones = this.#inZones;
    return inZones instanceof Map ? (inZones.get(key) ?? 0) : (inZones[key] as number);
  }

  #countInZone(partition: number, node: number, step: number): void {
    if (this.input.zoneCount === 1) return; // all in one zone
    const key = (this.input.streams[partition] as number) * this.input.zoneCount + this.zoneOf(node);
    const inZones = this.#inZones;
    if (inZones instanceof Map) inZones.set(key, (inZones.get(key) ?? 0) + step);
    else inZones[key] = (inZones[key] as number) + step;
  }
}

export interface NodeLists {
  readonly starts: Uint32Array;
  readonly items: Uint32Array;
}

export function listOf({ starts, items }: NodeLists, node: number): Uint32Array {
  return items.subarray(starts[node], starts[node + 1]);
}
