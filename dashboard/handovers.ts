/** Partitions that change hands: the moves that the cluster reports, and changes of owner between two looks. Pure. */
import { partitionName } from "../protocols/position.ts";
import type { ClusterPartition, ClusterState } from "./node_api.ts";

/** Partitions that go from the same node to the same node at the same time. */
export interface Handover {
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** `orders/3`, in order. */
  readonly partitions: readonly string[];
  /** When the page saw the move end; undefined while it is under way. */
  readonly endedAtMs: number | undefined;
}

const REMEMBERED_MAX = 8;

export class Handovers {
  #owners: ReadonlyMap<string, string | undefined> | undefined;
  #ended: readonly Handover[] = [];

  observe({ partitions, moves }: ClusterState, atMs: number): readonly Handover[] {
    const before = this.#owners;
    this.#owners = new Map(partitions.map((one) => [nameOf(one), one.owner]));
    if (before !== undefined) {
      const changed = partitions.filter((one) => before.has(nameOf(one)) && before.get(nameOf(one)) !== one.owner);
      const ended = grouped(
        changed.map((one) => ({ name: nameOf(one), from: before.get(nameOf(one)), to: one.owner })),
        atMs,
      );
      this.#ended = [...ended, ...this.#ended].slice(0, REMEMBERED_MAX);
    }
    const underWay = moves.map((move) => ({ name: nameOf(move), from: move.from, to: move.to }));
    return [...grouped(underWay, undefined), ...this.#ended];
  }
}

interface Change {
  readonly name: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

function grouped(changes: readonly Change[], endedAtMs: number | undefined): readonly Handover[] {
  const groups = new Map<string, Handover & { readonly partitions: string[] }>();
  for (const { name, from, to } of changes) {
    const way = `${from ?? ""} ${to ?? ""}`;
    const group = groups.get(way) ?? { from, to, partitions: [], endedAtMs };
    group.partitions.push(name);
    groups.set(way, group);
  }
  return [...groups.values()];
}

const nameOf = ({ stream, partition }: Pick<ClusterPartition, "stream" | "partition">): string =>
  partitionName({ stream, partition });
