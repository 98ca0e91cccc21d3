/**
 * A whole cluster on this machine: a private Redis and nodes of one configuration, each a process of its own. The
 * starter owns them: nodes end with it, and it signals only processes that it started. A node that dies stays gone
 * until a person starts it again.
 */
import { mkdir } from "node:fs/promises";
import { ConfigurationError, RejectedError, UnavailableError } from "../../../protocols/errors.ts";
import { effectiveConfiguration } from "../effective_configuration.ts";
import { remark } from "../output.ts";
import { askLocalCluster, type Control, listenForControl } from "./local_cluster_control.ts";
import {
  isAlive,
  type LocalClusterState,
  type LocalNode,
  readState,
  removeState,
  writeState,
} from "./local_cluster_state.ts";
import { addressOnceUp, STOP_NODE_WITHIN_MS, startNodeProcess } from "./local_node.ts";
import { freePort, requireFreePorts } from "./local_ports.ts";
import type { LocalProcess } from "./local_process.ts";
import { flushOf, type LocalRedis, requireRedisServer, startLocalRedis } from "./local_redis.ts";

export type { LocalNode } from "./local_cluster_state.ts";

const STOP_REDIS_WITHIN_MS = 30_000;

export interface LocalClusterOptions {
  /** The folder of Redis' files, the nodes' data and logs, and the state file. */
  readonly folder: string;
  /** How many nodes to start with. */
  readonly nodes: number;
  /** Port of the first node; the others follow. 0: any free ports. */
  readonly firstPort: number;
  /** Configuration of every node. Its log and ports are replaced by the cluster's. */
  readonly configFile: string;
  /** Called after a node was started, is up, or ended. */
  readonly onChange?: () => void;
  /** Ends the cluster when it aborts, also during the start. */
  readonly signal?: AbortSignal;
}

export interface LocalCluster {
  readonly folder: string;
  /** `ending`: how Redis ended; absent while it runs. */
  readonly redis: { readonly url: string; readonly port: number; readonly pid: number; readonly ending?: string };
  /** All nodes that were started, in the order of their names. Those that ended are `gone`. */
  nodes(): readonly LocalNode[];
  /** Starts another node, or the gone node of that name. Resolves once it is up. */
  addNode(name?: string): Promise<LocalNode>;
  /** Signals a node. For a signal that ends it, resolves once it has ended. */
  killNode(name: string, signal: NodeJS.Signals): Promise<LocalNode>;
  /** Ends the nodes, then Redis. Resolves with the names of those that had to be killed. */
  stop(): Promise<readonly string[]>;
}

/**
 * Throws `ConfigurationError` if a program is missing, a port is taken, the configuration is invalid or a cluster runs
 * in the folder already.
 */
export async function startLocalCluster(options: LocalClusterOptions): Promise<LocalCluster> {
  await requireRedisServer();
  await refuseSecond(options.folder);
  await mkdir(options.folder, { recursive: true });
  // Checked before anything runs, with a placeholder for the address of Redis, which is not known yet.
  const configuration = await effectiveConfiguration({ config: options.configFile, cluster: "redis://127.0.0.1" });
  const { host } = configuration.node;
  const ports = Array.from({ length: options.nodes }, (_, index) => options.firstPort + index);
  if (options.firstPort !== 0) {
    await requireFreePorts(
      host,
      ports.map((port, index) => ({ what: nameOf(index + 1), port })),
    );
  }
  const redis = await startLocalRedis(options.folder, flushOf(configuration));
  const cluster = new Cluster(options, redis, host);
  const end = (): void => void cluster.stop();
  options.signal?.addEventListener("abort", end, { once: true });
  try {
    options.signal?.throwIfAborted();
    await cluster.begin();
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

async function refuseSecond(folder: string): Promise<void> {
  const state = await readState(folder);
  if (state === undefined) return;
  if ((await askLocalCluster(state, { kind: "nodes" })) !== undefined) {
    throw new ConfigurationError(
      "DATA_IN_USE",
      `Cannot start a cluster in ${folder} as one runs there already: process ${state.pid} has it`,
    );
  }
  // The starter was killed. Then its nodes end by themselves, and Redis ends within seconds.
  const { pid, port } = state.redis;
  if (isAlive(pid) && (await isTaken(port))) {
    throw new ConfigurationError(
      "DATA_IN_USE",
      `Cannot start a cluster in ${folder} as the Redis of an earlier one must have ended first: it still listens on port ${port} (kill ${pid} ends it)`,
    );
  }
}

const isTaken = (port: number): Promise<boolean> =>
  requireFreePorts("127.0.0.1", [{ what: "redis-server", port }]).then(
    () => false,
    () => true,
  );

const nameOf = (number: number): string => `node-${number}`;

interface Managed {
  readonly name: string;
  readonly number: number;
  port: number;
  address: string;
  process: LocalProcess | undefined;
  state: LocalNode["state"];
}

class Cluster implements LocalCluster {
  readonly folder: string;
  readonly #options: LocalClusterOptions;
  readonly #redis: LocalRedis;
  readonly #host: string;
  readonly #nodes = new Map<string, Managed>();
  #control: Control | undefined;
  #writing: Promise<void> = Promise.resolve();
  #stopping: Promise<readonly string[]> | undefined;

  constructor(options: LocalClusterOptions, redis: LocalRedis, host: string) {
    this.#options = options;
    this.#redis = redis;
    this.#host = host;
    this.folder = options.folder;
    void redis.process.ended.then(() => this.#changed());
  }

  get redis(): LocalCluster["redis"] {
    const { url, port, process: started } = this.#redis;
    return { url, port, pid: started.pid, ...(started.ending === undefined ? {} : { ending: started.ending }) };
  }

  async begin(): Promise<void> {
    this.#control = await listenForControl(async (request) => {
      if (request.kind === "add") return [await this.addNode(request.name)];
      if (request.kind === "kill") return [await this.killNode(request.name, request.signal)];
      return this.nodes();
    });
    // Later failures to write the state are only reported, as the cluster runs without the file too.
    await writeState(this.folder, this.#state(this.#control));
    const names = Array.from({ length: this.#options.nodes }, (_, index) => nameOf(index + 1));
    await Promise.all(names.map((name) => this.addNode(name)));
  }

  nodes(): readonly LocalNode[] {
    return [...this.#nodes.values()].toSorted((left, right) => left.number - right.number).map(describe);
  }

  async addNode(given?: string): Promise<LocalNode> {
    if (this.#stopping !== undefined) throw new UnavailableError("STOPPING", "Cannot start a node as the cluster ends");
    const name = given ?? nameOf(1 + Math.max(0, ...[...this.#nodes.values()].map(({ number }) => number)));
    const node = this.#nodes.get(name) ?? this.#place(name);
    if (node.state !== "gone") {
      throw new RejectedError("UNKNOWN_NODE", `Cannot start ${name} as it must be gone: it is ${node.state}`);
    }
    node.state = "starting";
    this.#nodes.set(name, node);
    try {
      await this.#start(node);
    } catch (error) {
      node.state = "gone";
      this.#changed();
      throw error;
    }
    return describe(node);
  }

  async killNode(name: string, signal: NodeJS.Signals): Promise<LocalNode> {
    const node = this.#nodes.get(name);
    if (node?.process === undefined || node.process.ending !== undefined) {
      const running = [...this.#nodes.values()].filter(({ state }) => state !== "gone").map((one) => one.name);
      throw new RejectedError(
        "UNKNOWN_NODE",
        `Cannot signal ${name} as it must be one of the nodes that run: these are [${running.join(", ")}]`,
      );
    }
    node.process.signal(signal);
    if (signal === "SIGSTOP") node.state = "paused";
    else if (signal === "SIGCONT") node.state = "up";
    else await node.process.ended;
    this.#changed();
    return describe(node);
  }

  stop(): Promise<readonly string[]> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  /** The record of a new node. `node-7` listens six ports after the first node; any other name on any free port. */
  #place(name: string): Managed {
    const found = /^node-([1-9]\d{0,3})$/.exec(name);
    if (found === null) {
      throw new RejectedError("UNKNOWN_NODE", `Cannot start ${name} as it must be named node-1, node-2 and so on`);
    }
    const number = Number(found[1]);
    const port = this.#options.firstPort === 0 ? 0 : this.#options.firstPort + number - 1;
    return { name, number, port, address: "", process: undefined, state: "gone" };
  }

  async #start(node: Managed): Promise<void> {
    const { folder, configFile } = this.#options;
    const { name } = node;
    if (node.port === 0) node.port = await freePort(this.#host);
    else await requireFreePorts(this.#host, [{ what: name, port: node.port }]);
    const started = await startNodeProcess({ name, port: node.port, folder, configFile, redisUrl: this.#redis.url });
    node.process = started;
    void started.ended.then(() => {
      node.state = "gone";
      this.#changed();
    });
    this.#changed();
    node.address = await addressOnceUp(name, started);
    node.state = "up";
    this.#changed();
  }

  async #stopAll(): Promise<readonly string[]> {
    this.#control?.close();
    const left: string[] = [];
    for (const node of [...this.#nodes.values()].toSorted((one, other) => other.number - one.number)) {
      const running = node.process;
      if (running === undefined || running.ending !== undefined) continue;
      node.state = "stopping";
      this.#changed();
      if (!(await running.stop(STOP_NODE_WITHIN_MS))) left.push(node.name);
    }
    if (!(await this.#redis.process.stop(STOP_REDIS_WITHIN_MS))) left.push("redis-server");
    this.#changed();
    await this.#writing;
    await removeState(this.folder);
    return left;
  }

  #changed(): void {
    this.#options.onChange?.();
    const control = this.#control;
    if (control === undefined) return;
    this.#writing = this.#writing
      .then(() => writeState(this.folder, this.#state(control)))
      .catch((error: Error) => remark(`Cannot write the state of the cluster to ${this.folder}: ${error.message}`));
  }

  #state({ port, secret }: Control): LocalClusterState {
    const { redis } = this;
    return {
      version: 1,
      pid: process.pid,
      control: { port, secret },
      redis: { port: redis.port, pid: redis.pid },
      nodes: this.nodes(),
    };
  }
}

const describe = ({ name, port, address, process: started, state }: Managed): LocalNode => ({
  name,
  port,
  address,
  pid: started?.pid ?? 0,
  state,
  ...(started?.ending === undefined ? {} : { ending: started.ending }),
});
