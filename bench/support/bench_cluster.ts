/**
 * A cluster for benchmarks: a private Redis and nodes, each a process of its own as `headrace up` of the package starts
 * it. They can be killed, frozen and started again. All of them end with the benchmark, in whatever way it ends.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ClusterOverview } from "../../supervisors/cluster/overview.ts";
import { ask, freePort } from "../../test/support/redis/redis_server.ts";
import { WORKLOAD_SCHEMA } from "../workload.ts";
import { delay, monotonicMs } from "./monotonic.ts";

export const STREAM = "bench";
const LOOK_EVERY_MS = 25;
const UP_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 15_000;
/** Time for Redis to answer, in ms: it reads its whole append-only file first. */
const REDIS_WITHIN_MS = 120_000;
/**
 * How far a node of a settled cluster may be off an even share of partitions, as a part of it: load is evened out, not
 * counts.
 */
const UNEVEN_MAX = 0.4;

export interface BenchNode {
  readonly name: string;
  readonly address: string;
  readonly endpoint: string;
  readonly pid: number;
  /** When the node was started, and when it logged that it joined, by the monotonic clock in ms. */
  readonly startedAtMs: number;
  readonly joinedAtMs: number;
  readonly child: ChildProcess;
}

export interface BenchClusterOptions {
  readonly partitions: number;
  readonly nodes: number;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** Ends the child with this process at the latest. */
export function ownedProcess(child: ChildProcess): ChildProcess {
  running.add(child);
  child.on("exit", () => running.delete(child));
  return child;
}

/** Builds the package from the current sources. */
function build(): void {
  const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", "scripts/build.ts"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the build ended with ${status}: ${stderr}`);
}

async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  child.kill("SIGCONT"); // a frozen process gets no other signal
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}

export class BenchCluster {
  readonly folder: string;
  readonly nodes = new Map<string, BenchNode>();
  readonly partitions: number;
  readonly redisPort: number;
  readonly #ports = new Map<string, number>();
  #redis: ChildProcess | undefined;

  private constructor(folder: string, partitions: number, redisPort: number) {
    this.folder = folder;
    this.partitions = partitions;
    this.redisPort = redisPort;
  }

  /** Resolves once all partitions are owned, evenly. */
  static async start({ partitions, nodes }: BenchClusterOptions): Promise<BenchCluster> {
    build();
    const folder = await mkdtemp(join(tmpdir(), "headrace-cluster-bench-"));
    await writeFile(
      join(folder, "headrace.yaml"),
      `
streams:
  ${STREAM}:
    partitions: ${partitions}
    durability: everysec
    retention: { size: 2GiB, onFull: refuse }
    schema: ${JSON.stringify(WORKLOAD_SCHEMA)}
limits: { connectionsPerAddressMax: 10000 }
`,
    );
    const cluster = new BenchCluster(folder, partitions, await freePort());
    try {
      await cluster.startRedis();
      for (let number = 1; number <= nodes; number += 1) await cluster.add();
      await cluster.settled();
      return cluster;
    } catch (error) {
      await cluster.end();
      throw error;
    }
  }

  get redisUrl(): string {
    return `redis://127.0.0.1:${this.redisPort}`;
  }

  get redisPid(): number {
    return this.#redis?.pid ?? 0;
  }

  get endpoints(): readonly string[] {
    return [...this.nodes.values()].map(({ endpoint }) => endpoint);
  }

  node(name: string): BenchNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** Starts Redis on its former files. Resolves with the time of its first answer. */
  async startRedis(): Promise<number> {
    const settings = `--port ${this.redisPort} --bind 127.0.0.1 --dir ${this.folder} --save --appendonly yes --appendfsync everysec --maxmemory-policy noeviction`;
    const args = settings.split(" ").flatMap((word) => (word === "--save" ? [word, ""] : [word]));
    const redis = ownedProcess(spawn("redis-server", args, { stdio: "ignore" }));
    this.#redis = redis;
    for (const endMs = monotonicMs() + REDIS_WITHIN_MS; monotonicMs() < endMs && redis.exitCode === null; ) {
      if ((await ask(this.redisPort, "PING\r\n")).startsWith("+PONG")) return monotonicMs();
      await delay(5);
    }
    throw new Error("redis-server does not answer");
  }

  async killRedis(): Promise<void> {
    if (this.#redis !== undefined) await endProcess(this.#redis, "SIGKILL");
  }

  /**
   * Starts a node, or a former node again on its port. Resolves once it is up; `joinedAtMs` is the time when it joined.
   */
  async add(name = `node-${this.#ports.size + 1}`): Promise<BenchNode> {
    const port = this.#ports.get(name) ?? (await freePort());
    this.#ports.set(name, port);
    const startedAtMs = monotonicMs();
    const child = ownedProcess(
      spawn(
        process.execPath,
        [
          "--max-semi-space-size=64", // as npm start has it
          ...["dist/scripts/headrace.js", "up", "--json", "--until-input-ends"],
          ...["--config", join(this.folder, "headrace.yaml"), "--cluster", this.redisUrl, "--name", name],
          ...["--port", String(port), "--data", join(this.folder, "data")],
        ],
        { stdio: ["pipe", "pipe", "pipe"] },
      ),
    );
    child.stdin?.on("error", () => undefined); // it was killed
    const said = createWriteStream(join(this.folder, `${name}.log`), { flags: "a" });
    let joinedAtMs = Number.NaN;
    child.stderr?.on("data", (chunk: Buffer) => {
      if (Number.isNaN(joinedAtMs) && chunk.includes("joined the cluster")) joinedAtMs = monotonicMs();
      said.write(chunk);
    });
    const address = await addressOf(child, name);
    const endpoint = `${address.replace("http", "ws")}/v1/connect`;
    const node: BenchNode = { name, address, endpoint, pid: child.pid ?? 0, startedAtMs, joinedAtMs, child };
    this.nodes.set(name, node);
    return node;
  }

  /** Kills a node by SIGKILL. Resolves with the time just before. */
  async kill(name: string): Promise<number> {
    const { child } = this.node(name);
    const ended = once(child, "exit");
    const atMs = monotonicMs();
    child.kill("SIGKILL");
    await ended;
    this.nodes.delete(name);
    return atMs;
  }

  /** Stops a node in order, by SIGTERM. */
  async stop(name: string): Promise<void> {
    const { child } = this.node(name);
    this.nodes.delete(name);
    await endProcess(child, "SIGTERM");
  }

  /** The cluster as a node sees it; undefined if the node does not answer. */
  async overview(name: string): Promise<ClusterOverview | undefined> {
    try {
      const response = await fetch(`${this.node(name).address}/v1/cluster`, { signal: AbortSignal.timeout(2_000) });
      return response.ok ? ((await response.json()) as ClusterOverview) : undefined;
    } catch {
      return undefined; // out of reach, or frozen
    }
  }

  async command(name: string, path: string): Promise<void> {
    const response = await fetch(`${this.node(name).address}/v1/cluster/${path}`, { method: "POST" });
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}: ${await response.text()}`);
  }

  /** The name of the coordinator, as the nodes see it. */
  async coordinator(): Promise<string> {
    const { coordinator } = await this.seen(
      ({ coordinator }) => coordinator !== undefined && this.nodes.has(coordinator.node),
    );
    return coordinator?.node ?? "";
  }

  /** Waits until the first node that answers sees the wanted state. */
  async seen(
    isSo: (overview: ClusterOverview) => boolean,
    withinMs = 180_000,
    names: () => Iterable<string> = () => this.nodes.keys(),
  ): Promise<ClusterOverview & { readonly atMs: number }> {
    let last: ClusterOverview | undefined;
    for (const endMs = monotonicMs() + withinMs; monotonicMs() < endMs; await delay(LOOK_EVERY_MS)) {
      for (const name of names()) {
        const atMs = monotonicMs();
        const overview = await this.overview(name);
        if (overview === undefined) continue;
        last = overview;
        if (isSo(overview)) return { ...overview, atMs };
        break;
      }
    }
    const { partitions = [], ...rest } = last ?? {};
    const unowned = partitions.filter(({ state }) => state !== "owned");
    throw new Error(`waited in vain for ${withinMs} ms: ${JSON.stringify({ ...rest, unowned })}`);
  }

  /** Waits until the coordinator sees all nodes ready, all partitions owned evenly, and no move under way. */
  async settled(unevenMax = UNEVEN_MAX): Promise<ClusterOverview & { readonly atMs: number }> {
    const leader = await this.coordinator();
    return this.seen(
      (overview) => this.#isSettled(overview, unevenMax),
      undefined,
      () => [leader],
    );
  }

  #isSettled({ nodes, partitions, moves }: ClusterOverview, unevenMax: number): boolean {
    const taking = nodes.filter(({ state }) => state !== "draining");
    const share = this.partitions / taking.length;
    return (
      nodes.length === this.nodes.size &&
      moves.length === 0 &&
      partitions.every(({ state }) => state === "owned") &&
      taking.every((node) => node.state === "ready" && node.partitions >= Math.floor(share * (1 - unevenMax))) &&
      taking.every((node) => node.partitions <= Math.ceil(share * (1 + unevenMax))) &&
      nodes.every((node) => node.state !== "draining" || node.partitions === 0)
    );
  }

  async end(): Promise<void> {
    for (const { child } of this.nodes.values()) child.kill("SIGKILL"); // the benchmark needs no node any more
    await Promise.all([...this.nodes.values()].map(({ child }) => endProcess(child, "SIGKILL")));
    await this.killRedis();
    if (process.argv.includes("--keep-logs")) console.log(`logs of the nodes: ${this.folder}`);
    else await rm(this.folder, { recursive: true, force: true });
  }
}

async function addressOf(child: ChildProcess, name: string): Promise<string> {
  const timer = setTimeout(() => child.kill("SIGKILL"), UP_WITHIN_MS);
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (!line.startsWith("{")) continue;
    clearTimeout(timer);
    return (JSON.parse(line) as { readonly address: string }).address;
  }
  throw new Error(`${name} ended, or did not come up within ${UP_WITHIN_MS} ms`);
}

/** Partitions by owner. */
export function ownersOf({ partitions }: ClusterOverview): ReadonlyMap<number, string | undefined> {
  return new Map(partitions.map(({ partition, owner }) => [partition, owner]));
}
