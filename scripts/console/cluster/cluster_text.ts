/** Describes a cluster in lines of text: its nodes, its moves, and its changes since the last look. Pure. */
import { partitionName } from "../../../protocols/position.ts";
import type { ClusterOverview, MoveOverview, PartitionOverview } from "../../../supervisors/cluster/overview.ts";
import { type Column, table } from "../output.ts";

/** One node's row in the table. */
export interface NodeRow {
  readonly name: string;
  readonly state: string;
  readonly isCoordinator: boolean;
  /** Undefined if unknown. */
  readonly partitions: number | undefined;
  readonly recordsPerSecond: number | undefined;
  readonly address: string;
  readonly zone?: string;
  readonly version?: string;
  readonly lagRecords?: number | undefined;
}

/** The description of a cluster. */
export interface ClusterSight {
  readonly nodes: readonly NodeRow[];
  readonly partitions: readonly PartitionOverview[];
  readonly moves: readonly MoveOverview[];
  readonly coordinator: string | undefined;
}

/** Most moves or partitions that are named; the others are counted. */
const NAMED_MAX = 5;

export const sightOf = (overview: ClusterOverview): ClusterSight => ({
  nodes: overview.nodes,
  partitions: overview.partitions,
  moves: overview.moves,
  coordinator: overview.coordinator?.node,
});

const rateText = (perSecond: number | undefined): string | undefined =>
  perSecond === undefined ? undefined : Math.round(perSecond).toLocaleString("en");

const COLUMNS: readonly Column<NodeRow>[] = [
  { title: "node", cell: ({ name, isCoordinator }) => (isCoordinator ? `${name} *` : name) },
  { title: "state", cell: ({ state }) => state },
  { title: "partitions", isNumber: true, cell: ({ partitions }) => partitions },
  { title: "records/s", isNumber: true, cell: ({ recordsPerSecond }) => rateText(recordsPerSecond) },
];
const LAG: Column<NodeRow> = {
  title: "lag",
  isNumber: true,
  cell: ({ lagRecords }) => lagRecords?.toLocaleString("en"),
};
const ZONE: Column<NodeRow> = { title: "zone", cell: ({ zone }) => zone };
const ADDRESS: Column<NodeRow> = { title: "address", cell: ({ address }) => address || undefined };

/** The nodes as a table, then partitions without an owner, then moves under way. */
export function clusterLines(sight: ClusterSight, extra: "lag" | "zone"): readonly string[] {
  const { nodes, partitions, moves } = sight;
  const columns = [...COLUMNS, extra === "lag" ? LAG : ZONE, ADDRESS];
  const unowned = partitions.filter(({ state }) => state === "unassigned" || state === "claiming");
  return [
    ...table(columns, nodes),
    "",
    `${counted(partitions.length, "partition")}${unowned.length === 0 ? "" : `, ${unowned.length} without an owner now: ${named(unowned)}`}` +
      `${sight.coordinator === undefined ? (nodes.length > 1 ? "; no coordinator" : "") : "; * coordinates"}`,
    ...(moves.length === 0 ? [] : [`${counted(moves.length, "move")} under way`]),
    ...moves
      .slice(0, NAMED_MAX)
      .map((move) => `  ${partitionName(move)}  ${move.from ?? "nobody"} -> ${move.to}  ${move.reason}`),
    ...(moves.length > NAMED_MAX ? [`  and ${moves.length - NAMED_MAX} more`] : []),
  ];
}

/** The changes since the last look, one line each, for outputs that cannot be redrawn. */
export function changesBetween(before: ClusterSight | undefined, after: ClusterSight): readonly string[] {
  if (before === undefined) return clusterLines(after, "lag").filter((line) => line !== "");
  const known = new Map(before.nodes.map((node) => [node.name, node]));
  const left = before.nodes.filter(({ name }) => !after.nodes.some((node) => node.name === name));
  return [
    ...after.nodes.flatMap(({ name, state }) => {
      const old = known.get(name);
      if (old?.state === state) return [];
      return [old === undefined ? `${name} is there: ${state}` : `${name} is ${state} (was ${old.state})`];
    }),
    ...left.map(({ name }) => `${name} is not there any more`),
    ...(before.coordinator === after.coordinator
      ? []
      : [after.coordinator === undefined ? "nobody coordinates" : `${after.coordinator} coordinates`]),
    ...ownerChanges(before.partitions, after.partitions),
  ];
}

/** Partitions that have a new owner, grouped by former and new owner. */
function ownerChanges(before: readonly PartitionOverview[], after: readonly PartitionOverview[]): readonly string[] {
  const owners = new Map(before.map((one) => [partitionName(one), one.owner]));
  const groups = new Map<string, PartitionOverview[]>();
  for (const one of after) {
    const from = owners.get(partitionName(one));
    if (from === one.owner) continue;
    const way = `${from ?? "nobody"} -> ${one.owner ?? "nobody"}`;
    groups.set(way, [...(groups.get(way) ?? []), one]);
  }
  return [...groups].map(
    ([way, partitions]) => `${counted(partitions.length, "partition")} ${way}: ${named(partitions)}`,
  );
}

/** `1 move`, `2 moves`. */
export const counted = (count: number, what: string): string =>
  `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

function named(partitions: readonly PartitionOverview[]): string {
  const names = partitions.slice(0, NAMED_MAX).map(partitionName).join(", ");
  return partitions.length > NAMED_MAX ? `${names} and ${partitions.length - NAMED_MAX} more` : names;
}
