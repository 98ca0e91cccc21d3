/** Describes a local cluster through the public HTTP of its nodes: partitions, rates and lag. */
import { HeadraceError } from "../../../protocols/errors.ts";
import { partitionName } from "../../../protocols/position.ts";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import type { ClusterSight, NodeRow } from "../cluster/cluster_text.ts";
import { type NodeClient, nodeClient, type StreamStanding } from "../node_client.ts";
import type { LocalNode } from "./local_cluster_state.ts";

interface SinkStanding {
  readonly lagRecords: number;
}

/** The answers of one node. */
interface Answers {
  readonly overview: ClusterOverview;
  readonly lagRecords: number;
  /**
   * The end of each partition that the node owns, by name and epoch. Ends of other partitions are left to their owners.
   */
  readonly ends: ReadonlyMap<string, number>;
  readonly atMs: number;
}

export class LocalClusterSight {
  readonly #nodes: () => readonly LocalNode[];
  readonly #clients = new Map<string, NodeClient>();
  readonly #last = new Map<string, Answers>();

  constructor(nodes: () => readonly LocalNode[]) {
    this.#nodes = nodes;
  }

  async look(): Promise<ClusterSight> {
    const nodes = this.#nodes();
    const before = new Map(this.#last);
    const answers = new Map<string, Answers>();
    const problems = new Map<string, string>();
    await Promise.all(
      nodes.map(async (node) => {
        if (node.state !== "up") return;
        try {
          const answered = await this.#ask(node.address);
          answers.set(node.name, answered);
          this.#last.set(node.name, answered);
        } catch (error) {
          problems.set(node.name, problemOf(error));
        }
      }),
    );
    // All nodes answer, but the coordinator's answer is the newest.
    const all = [...answers.values()].map(({ overview }) => overview);
    const best = all.find(({ node, coordinator }) => coordinator?.node === node) ?? all[0];
    return {
      nodes: nodes.map((node) =>
        rowOf(node, {
          overview: best,
          answers: answers.get(node.name),
          before: before.get(node.name),
          problem: problems.get(node.name),
        }),
      ),
      partitions: best?.partitions ?? [],
      moves: best?.moves ?? [],
      coordinator: best?.coordinator?.node,
    };
  }

  async #ask(address: string): Promise<Answers> {
    const client = this.#clients.get(address) ?? (await nodeClient({ address }));
    this.#clients.set(address, client);
    const [overview, { sinks }, { streams }] = await Promise.all([
      client.get<ClusterOverview>("/v1/cluster"),
      client.get<{ readonly sinks: readonly SinkStanding[] }>("/v1/sinks"),
      client.get<{ readonly streams: readonly StreamStanding[] }>("/v1/streams"),
    ]);
    const lagRecords = sinks.reduce((sum, sink) => sum + sink.lagRecords, 0);
    return { overview, lagRecords, ends: endsOf(streams, overview), atMs: performance.now() };
  }
}

/** The ends of the partitions that the node says it owns. */
export function endsOf(
  streams: readonly StreamStanding[],
  { node, partitions }: Pick<ClusterOverview, "node" | "partitions">,
): ReadonlyMap<string, number> {
  const owned = new Set(partitions.flatMap((one) => (one.owner === node ? [partitionName(one)] : [])));
  const ends = streams.flatMap(({ name, partitions: known }) =>
    known.flatMap(({ partition, epoch, endOffset }): [string, number][] =>
      endOffset === undefined || !owned.has(`${name}/${partition}`)
        ? []
        : [[`${name}/${partition}@${epoch}`, endOffset]],
    ),
  );
  return new Map(ends);
}

interface Known {
  readonly overview: ClusterOverview | undefined;
  readonly answers: Answers | undefined;
  readonly before: Answers | undefined;
  readonly problem: string | undefined;
}

const problemOf = (error: unknown): string =>
  error instanceof HeadraceError && error.code === "UNAUTHENTICATED"
    ? "up, wants a token in HEADRACE_TOKEN"
    : "does not answer";

/** One row: the state of the process, and the node as the cluster sees it. */
function rowOf(node: LocalNode, { overview, answers, before, problem }: Known): NodeRow {
  const known = overview?.nodes.find(({ name }) => name === node.name);
  const isUp = node.state === "up";
  const ending = node.ending === undefined ? "" : ` (${node.ending})`;
  return {
    name: node.name,
    state: isUp ? (problem ?? known?.state ?? "joining") : `${node.state}${ending}`,
    isCoordinator: known?.isCoordinator ?? false,
    partitions: known?.partitions,
    recordsPerSecond: rateBetween(before, answers),
    lagRecords: answers?.lagRecords,
    address: node.address,
  };
}

/** The rate over the partitions that the node owned at both looks, in one epoch. */
export function rateBetween(
  before: Pick<Answers, "ends" | "atMs"> | undefined,
  after: Pick<Answers, "ends" | "atMs"> | undefined,
): number | undefined {
  if (before === undefined || after === undefined || after.atMs <= before.atMs) return undefined;
  let gained = 0;
  for (const [name, end] of after.ends) gained += end - (before.ends.get(name) ?? end);
  return (gained * 1_000) / (after.atMs - before.atMs);
}
