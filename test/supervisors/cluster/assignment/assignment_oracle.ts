/** The references for assignments: a search over all of them, and loads without rounding. */
import type { AssignableNode, AssignablePartition } from "../../../../supervisors/cluster/assignment/assignment.ts";

/** The fewest moves of all allowed assignments, by trying each; infinite if none is allowed. For a few nodes and partitions. */
export function fewestMoves(
  nodes: readonly AssignableNode[],
  partitions: readonly AssignablePartition[],
  loadAt: (at: number) => number,
  isAllowed: (loads: readonly number[]) => boolean,
): number {
  const loads = nodes.map(() => 0);
  let fewest = Number.POSITIVE_INFINITY;
  const place = (at: number, moves: number): void => {
    if (moves >= fewest) return;
    const partition = partitions[at];
    if (partition === undefined) {
      if (isAllowed(loads)) fewest = moves;
      return;
    }
    for (const [number, { node }] of nodes.entries()) {
      loads[number]! += loadAt(at);
      place(at + 1, moves + (partition.holder === node ? 0 : 1));
      loads[number]! -= loadAt(at);
    }
  };
  place(0, 0);
  return fewest;
}

/** By partition: its weight, and a quarter of the mean weight (loads.ts). */
export function loadsByHand(partitions: readonly AssignablePartition[]): number[] {
  const mean = partitions.reduce((sum, { weight }) => sum + weight, 0) / partitions.length;
  return partitions.map(({ weight }) => (mean === 0 ? 1 : weight + mean / 4));
}
