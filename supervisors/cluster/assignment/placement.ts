/**
 * Which partition is on which node while a decision is made, and what that makes of nodes and zones. Nodes, zones,
 * streams and partitions are numbers here, in the order of their names; -1 is no node. Decides nothing.
 */
import { sum } from "./loads.ts";
import { orderByLoad } from "./partition_order.ts";

export const NOWHERE = -1;

/** Loads are whole numbers, shares are not: what differs by less is equal. */
const EPSILON = 1e-9;

/** What is placed leaves, where it can, half of what is between the share and the ceiling: for weights that change. */
const EASE = 1.05;

/** Counted in an array up to so many, of 4 bytes each. */
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
  /** By node: its share of the whole, what it holds, and between what bounds that is to come (set by others). */
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
  /** By stream and zone; a map where there are too many for an array. */
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

  loadsOf(partitions: Uint32Array): Float64Array {
    const loads = new Float64Array(partitions.length);
    for (let at = 0; at < loads.length; at += 1) loads[at] = this.loadOf(partitions[at] as number);
    return loads;
  }

  loadOn(node: number): number {
    return this.load[node] as number;
  }

  zoneOf(node: number): number {
    return this.input.zones[node] as number;
  }

  /** Load over share, were `more` there as well. */
  ratioOf(node: number, more = 0): number {
    return (this.loadOn(node) + more) / (this.fair[node] as number);
  }

  /** What it may still take, what it is short of, and what it may give away. */
  roomOn(node: number): number {
    return (this.ceiling[node] as number) * (1 + EPSILON) - this.loadOn(node);
  }

  shortOn(node: number): number {
    return Math.max(0, (this.floor[node] as number) * (1 - EPSILON) - this.loadOn(node));
  }

  spareOn(node: number): number {
    return Math.max(0, this.loadOn(node) - (this.floor[node] as number) * (1 - EPSILON));
  }

  /** It would still be well below its ceiling with `more`. */
  isAtEase(node: number, more: number): boolean {
    return this.input.isEven || this.ratioOf(node, more) <= EASE;
  }

  /** How much of a partition's stream a zone would have with it, in terms of the zone's capacity; to compare zones by. */
  crowdIn(zone: number, partition: number): number {
    return (this.#inZone(zone, partition) + 1) / (this.#zoneShares[zone] as number);
  }

  /** The zone has its share of the partition's stream, rounded up, and another `more` would be above it. */
  isFull(zone: number, partition: number, more = 1): boolean {
    const size = this.#streamSizes[this.input.streams[partition] as number] as number;
    const quota = Math.ceil(size * (this.#zoneShares[zone] as number) - EPSILON);
    return this.#inZone(zone, partition) + more > quota;
  }

  /** What each node holds, the heaviest first: node `n` has `items` from `starts[n]` up to `starts[n + 1]`. */
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
    if (this.input.zoneCount === 1) return; // nothing to keep apart
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
