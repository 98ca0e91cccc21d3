/**
 * A model of a cluster in memory: nodes, partitions that move, and the decisions behind the moves. No partition moves
 * by itself: the test ends each move. Served over HTTP as a node serves its cluster.
 */
import { RejectedError, UnavailableError } from "../../../protocols/errors.ts";
import type { ClusterCommand, Decision, Trigger } from "../../../supervisors/cluster/cluster.ts";
import { mountClusterRoutes } from "../../../supervisors/cluster/cluster_routes.ts";
import type {
  ClusterControl,
  ClusterOverview,
  Explanation,
  MoveOverview,
  NodeOverview,
  PartitionOverview,
} from "../../../supervisors/cluster/overview.ts";
import { type HttpServer, startHttpServer } from "../../../supervisors/http/http_server.ts";
import { createAccess } from "../../../supervisors/security/access/access.ts";
import { ConnectionGate } from "../../../supervisors/security/admission/connection_gate.ts";

interface Placed {
  readonly stream: string;
  readonly partition: number;
  owner: string | undefined;
  epoch: number;
  next: string | undefined;
  decision: number;
}

export class SmallCluster implements ClusterControl {
  readonly #nodes = new Map<string, { state: NodeOverview["state"] }>();
  readonly #partitions: Placed[] = [];
  readonly #decisions: Decision[] = [];
  #made: ClusterOverview | undefined;
  #hasCoordinator = true;
  ageMs = 0;
  /** Times that the overview was asked for, and times that it was made anew. */
  asked = 0;
  made = 0;

  constructor(nodes: readonly string[], streams: Readonly<Record<string, number>>) {
    for (const name of nodes) this.#nodes.set(name, { state: "ready" });
    for (const [stream, partitions] of Object.entries(streams)) {
      for (let partition = 0; partition < partitions; partition += 1) {
        const owner = nodes[this.#partitions.length % nodes.length];
        this.#partitions.push({ stream, partition, owner, epoch: 1, next: undefined, decision: 1 });
      }
    }
    this.#decide([{ kind: "started" }], this.#partitions.length);
  }

  overview(): ClusterOverview {
    this.asked += 1;
    this.#made ??= this.#describe();
    return { ...this.#made, ageMs: this.ageMs };
  }

  async explain(name: string): Promise<Explanation | undefined> {
    const found = this.#partitions.find(({ stream, partition }) => `${stream}/${partition}` === name);
    if (found === undefined) return undefined;
    const decision = this.#decisions.find(({ id }) => id === found.decision);
    return { partition: describePartition(found), reason: decision?.text ?? "unknown", decision };
  }

  async decisions(countMax: number): Promise<readonly Decision[]> {
    return this.#decisions.slice(0, countMax);
  }

  async ask(command: ClusterCommand): Promise<void> {
    if (!this.#hasCoordinator) {
      throw new UnavailableError("NOT_READY", `Cannot ${command.kind} as a coordinator must take it: there is none`);
    }
    if (command.kind === "rebalance") return this.#spread([{ kind: "asked" }]);
    const node = this.#nodes.get(command.node);
    if (node === undefined) {
      throw new RejectedError("UNKNOWN_NODE", `Cannot ${command.kind} ${command.node} as it must be in the cluster`);
    }
    node.state = command.kind === "drain" ? "draining" : "ready";
    this.#spread([command.kind === "drain" ? { kind: "draining", node: command.node } : { kind: "asked" }]);
  }

  loseCoordinator(): void {
    this.#hasCoordinator = false;
    this.#made = undefined;
  }

  setState(name: string, state: NodeOverview["state"]): void {
    this.#nodes.set(name, { state });
    this.#made = undefined;
  }

  /** Ends this number of the moves under way. */
  settle(countMax = Number.POSITIVE_INFINITY): void {
    const moving = this.#partitions.filter(({ next }) => next !== undefined);
    for (const one of moving.slice(0, countMax)) {
      one.owner = one.next;
      one.next = undefined;
      one.epoch += 1;
    }
    this.#made = undefined;
  }

  removeNode(name: string): void {
    this.#nodes.delete(name);
    for (const one of this.#partitions) if (one.owner === name) one.owner = undefined;
    this.#made = undefined;
  }

  /** Gives every node its share: partitions beyond a node's share move. */
  #spread(triggers: readonly Trigger[]): void {
    const able = [...this.#nodes].filter(([, { state }]) => state === "ready").map(([name]) => name);
    const share = Math.ceil(this.#partitions.length / Math.max(1, able.length));
    const held = new Map(able.map((name) => [name, 0]));
    const homeless = this.#partitions.filter((one) => {
      const count = held.get(one.owner ?? "");
      one.next = undefined;
      if (count === undefined || count >= share) return true;
      held.set(one.owner ?? "", count + 1);
      return false;
    });
    for (const one of homeless) {
      const [name] = [...held].toSorted(([, left], [, right]) => left - right)[0] ?? [];
      if (name === undefined) continue;
      held.set(name, (held.get(name) ?? 0) + 1);
      one.next = name;
      one.decision = this.#decisions.length + 1;
    }
    this.#decide(triggers, homeless.length);
  }

  #decide(triggers: readonly Trigger[], moves: number): void {
    const id = this.#decisions.length + 1;
    const why = triggers.map((trigger) => ("node" in trigger ? `${trigger.node} is ${trigger.kind}` : trigger.kind));
    const text = `${why.join(", ")}: ${moves} partitions move`;
    this.#decisions.unshift({
      id,
      leaderEpoch: 7,
      atMs: 1_790_000_000_000 + id,
      triggers,
      text,
      moves,
      movesMin: moves,
    });
    this.#made = undefined;
  }

  #describe(): ClusterOverview {
    this.made += 1;
    const names = [...this.#nodes.keys()];
    const coordinator = this.#hasCoordinator ? (names[0] ?? "") : undefined;
    return {
      node: names[0] ?? "",
      coordinator: coordinator === undefined ? undefined : { node: coordinator, leaderEpoch: 7 },
      tableVersion: this.#decisions.length,
      ageMs: 0,
      nodes: [...this.#nodes].map(([name, { state }], at) => ({
        name,
        incarnation: 1,
        state,
        isCoordinator: name === coordinator,
        zone: "default",
        address: `ws://127.0.0.1:${7070 + at}/v1/connect`,
        version: "0.0.0",
        partitions: this.#partitions.filter(({ owner }) => owner === name).length,
        recordsPerSecond: at === 0 ? undefined : 1_250.4 * at,
        bytesPerSecond: at === 0 ? undefined : 100_000 * at,
      })),
      partitions: this.#partitions.map(describePartition),
      moves: this.#partitions.flatMap(({ stream, partition, owner, next, decision }): readonly MoveOverview[] => {
        if (next === undefined) return [];
        const reason = this.#decisions.find(({ id }) => id === decision)?.text ?? "";
        return [{ stream, partition, from: owner, to: next, reason }];
      }),
    };
  }
}

const describePartition = ({ stream, partition, owner, epoch, next }: Placed): PartitionOverview => ({
  stream,
  partition,
  owner,
  state: owner === undefined ? "unassigned" : next === undefined ? "owned" : "handing_over",
  epoch: owner === undefined ? undefined : epoch,
});

export interface ServedCluster {
  readonly address: string;
  /** `fetch` of a path, with the answer read as JSON. */
  ask(path: string, options?: RequestInit): Promise<{ readonly status: number; readonly body: unknown }>;
  close(): Promise<void>;
}

export const OPERATOR = "operator-token-of-the-test";
export const READER = "reader-token-of-the-test";

/**
 * Serves the routes of the cluster as a node does; guarded ones know `OPERATOR` (scope admin) and `READER` (consume).
 */
export async function serveCluster(
  control: ClusterControl,
  options: { readonly isGuarded?: boolean; readonly stopwatchMs?: () => number; readonly port?: number } = {},
): Promise<ServedCluster> {
  const values: Readonly<Record<string, string>> = { OPERATOR, READER };
  const tokens = [
    { name: "operator", valueEnv: "OPERATOR", scopes: ["admin"] },
    { name: "reader", valueEnv: "READER", scopes: ["consume"] },
  ];
  const security = { tokens: options.isGuarded === true ? tokens : [], origins: [], hosts: [] };
  const access = await createAccess(security, "127.0.0.1", async ({ variable = "" }) => values[variable] ?? "");
  const { stopwatchMs = () => performance.now() } = options;
  const permissionsOf = (request: object) => (request as { grants: never }).grants;
  const server: HttpServer = await startHttpServer({
    host: "127.0.0.1",
    port: options.port ?? 0,
    access,
    gate: new ConnectionGate({ placesMax: 100, upgradesMax: 50, perAddressMax: 50, waitingPerAddressMax: 50 }),
    tls: undefined,
    upgrades: new Map(),
    routes: [{ isOpen: false, mount: (scope) => mountClusterRoutes(scope, { control, permissionsOf, stopwatchMs }) }],
  });
  return {
    address: server.address,
    ask: async (path, request) => {
      const response = await fetch(`${server.address}${path}`, request);
      return { status: response.status, body: await response.json() };
    },
    close: () => server.close(),
  };
}
