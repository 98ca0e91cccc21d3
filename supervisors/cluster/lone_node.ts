/** A node without a cluster, shown as a cluster of one: it owns every partition, nothing moves, and commands are refused. */
import type { Log } from "../../actors/log/log.ts";
import { RejectedError } from "../../protocols/errors.ts";
import { partitionName } from "../../protocols/position.ts";
import type { NodeDirectory } from "../node/stream_directory.ts";
import type { ClusterControl, ClusterOverview, Explanation, PartitionOverview } from "./overview.ts";
import { release } from "./release.ts";

export interface LoneNodeOptions {
  readonly name: string;
  /** Must hold every partition already, owned or not. */
  readonly directory: NodeDirectory;
  readonly log: Log;
  /** The node's address for producers and consumers, once it listens. */
  readonly address: () => string;
}

const REASON = "the node is alone, and every partition is its own";

export function createLoneNode(options: LoneNodeOptions): ClusterControl {
  const { name, directory, log } = options;
  let made: ClusterOverview | undefined;
  const forget = (): void => {
    made = undefined;
  };
  for (const { entry } of directory.all()) entry.onChange(forget);
  log.onStateChange(forget);
  const overview = (): ClusterOverview => {
    made ??= describe(options);
    return made;
  };
  return {
    overview,
    explain: async (partition): Promise<Explanation | undefined> => {
      const found = overview().partitions.find((one) => partitionName(one) === partition);
      return found === undefined ? undefined : { partition: found, reason: REASON, decision: undefined };
    },
    decisions: async () => [],
    ask: async ({ kind }) => {
      throw new RejectedError(
        "UNKNOWN_NODE",
        `Cannot ${kind} as the cluster must have other nodes: ${name} is alone (nodes form a cluster by cluster: in their configuration)`,
      );
    },
  };
}

function describe({ name, directory, log, address }: LoneNodeOptions): ClusterOverview {
  const partitions = [...directory.all()].map(
    ({ stream, partition, entry }): PartitionOverview => ({
      stream,
      partition,
      owner: name,
      state: entry.feed === undefined ? "claiming" : "owned",
      epoch: entry.feed?.epoch,
    }),
  );
  return {
    node: name,
    coordinator: undefined,
    tableVersion: 0,
    ageMs: 0,
    nodes: [
      {
        name,
        incarnation: 1,
        // The node answers, so `away` can only mean its store.
        state: log.state().kind === "ready" ? "ready" : "away",
        isCoordinator: false,
        zone: "default",
        address: address(),
        version: release,
        partitions: partitions.filter(({ state }) => state === "owned").length,
        recordsPerSecond: undefined,
        bytesPerSecond: undefined,
      },
    ],
    partitions,
    moves: [],
  };
}
