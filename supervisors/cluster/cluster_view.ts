/** Keeps a cluster's overview as bytes: asked for up to thousands of times a second, it is large and changes seldom. */
import { partitionName } from "../../protocols/position.ts";
import type { PartitionName } from "./cluster.ts";
import type { ClusterOverview, NodeOverview, PartitionOverview } from "./overview.ts";

/** The greatest age of an answer, in ms. */
export const VIEW_AGE_MAX_MS = 100;

export interface PartitionOwner extends PartitionOverview {
  /** The owner's address for producers and consumers; undefined without an owner. */
  readonly address: string | undefined;
}

/** Everything derived from one overview, kept until the overview changes. */
interface Made {
  readonly of: ClusterOverview;
  /** The overview as JSON, without its age and without the opening brace. */
  readonly text: string;
  readonly partitions: ReadonlyMap<PartitionName, PartitionOverview>;
  readonly streams: ReadonlySet<string>;
  readonly nodes: ReadonlyMap<string, NodeOverview>;
}

export class ClusterView {
  readonly #overview: () => ClusterOverview;
  readonly #stopwatchMs: () => number;
  #made: Made;
  #bytes: Buffer;
  #takenAtMs: number;
  #ageMs: number;

  constructor(overview: () => ClusterOverview, stopwatchMs: () => number) {
    this.#overview = overview;
    this.#stopwatchMs = stopwatchMs;
    const first = overview();
    this.#made = make(first);
    this.#bytes = bytesOf(this.#made, first.ageMs);
    this.#takenAtMs = stopwatchMs();
    this.#ageMs = first.ageMs;
  }

  json(): Buffer {
    this.#refresh();
    return this.#bytes;
  }

  /** The overview for a token that may observe only some streams: without the rates of nodes, which include all streams. */
  jsonFor(mayObserve: (stream: string) => boolean): Buffer {
    this.#refresh();
    if ([...this.#made.streams].every(mayObserve)) return this.#bytes;
    return bytesOf(make(shownOf(this.#made.of, mayObserve)), this.#ageMs);
  }

  ownerOf(name: PartitionName): PartitionOwner | undefined {
    this.#refresh();
    const partition = this.#made.partitions.get(name);
    if (partition === undefined) return undefined;
    const address = partition.owner === undefined ? undefined : this.#made.nodes.get(partition.owner)?.address;
    return { ...partition, address };
  }

  hasStream(stream: string): boolean {
    this.#refresh();
    return this.#made.streams.has(stream);
  }

  #refresh(): void {
    const nowMs = this.#stopwatchMs();
    if (nowMs - this.#takenAtMs < VIEW_AGE_MAX_MS) return;
    const overview = this.#overview();
    if (!isSame(overview, this.#made.of)) this.#made = make(overview);
    this.#bytes = bytesOf(this.#made, overview.ageMs);
    this.#takenAtMs = nowMs;
    this.#ageMs = overview.ageMs;
  }
}

/** Compares by identity: overviews share the same parts while nothing in a part has changed. */
const isSame = (left: ClusterOverview, right: ClusterOverview): boolean =>
  left === right ||
  (left.partitions === right.partitions &&
    left.nodes === right.nodes &&
    left.moves === right.moves &&
    left.tableVersion === right.tableVersion &&
    left.coordinator?.leaderEpoch === right.coordinator?.leaderEpoch);

function shownOf(overview: ClusterOverview, mayObserve: (stream: string) => boolean): ClusterOverview {
  const partitions = overview.partitions.filter(({ stream }) => mayObserve(stream));
  const moves = overview.moves.filter(({ stream }) => mayObserve(stream));
  const nodes = overview.nodes.map((node) => ({
    ...{ ...node, recordsPerSecond: undefined, bytesPerSecond: undefined },
    partitions: partitions.filter(({ owner, state }) => owner === node.name && state !== "claiming").length,
  }));
  return { ...overview, nodes, partitions, moves };
}

function make(overview: ClusterOverview): Made {
  const { ageMs: _, ...rest } = overview;
  return {
    of: overview,
    text: JSON.stringify(rest).slice(1),
    partitions: new Map(overview.partitions.map((one) => [partitionName(one), one])),
    streams: new Set(overview.partitions.map(({ stream }) => stream)),
    nodes: new Map(overview.nodes.map((node) => [node.name, node])),
  };
}

const bytesOf = ({ text }: Made, ageMs: number): Buffer => Buffer.from(`{"ageMs":${Math.round(ageMs)},${text}`);
