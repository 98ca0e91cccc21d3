/** Nodes of one cluster in this process, over a private Redis, for tests that come in by the front door. */
import { mkdtemp, rm } from "node:fs/promises";
import * as http from "node:http";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";
import { Consumer, type ConsumerOptions } from "../../../protocols/client/consumer/consumer.ts";
import { connectWebSocket, Producer, type ProducerOptions } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import { type RunningNode, startNode } from "../../../supervisors/node/node.ts";
import { type RedisServer, type RedisServerOptions, startRedis } from "../redis/redis_server.ts";
import { configurationOf, eventually } from "./running_node.ts";

export interface ClusterNodeUnderTest extends RunningNode {
  readonly endpoint: string;
  readonly logged: readonly string[];
  overview(): Promise<ClusterOverview>;
}

const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never });

/** The certificates of tests are signed by no authority that the machine trusts. */
function overviewAt(address: string): Promise<ClusterOverview> {
  const { get } = address.startsWith("https:") ? https : http;
  return new Promise((resolve, reject) => {
    const request = get(`${address}/v1/cluster`, { rejectUnauthorized: false } as object, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk)).on("end", () => resolve(JSON.parse(text) as ClusterOverview));
    });
    request.on("error", reject);
  });
}

export class RunningCluster {
  readonly redis: RedisServer;
  readonly nodes = new Map<string, ClusterNodeUnderTest>();
  /** Secrets by the name of their environment variable in the configuration. */
  readonly secrets: Record<string, string> = {};
  readonly #yaml: string;
  readonly #folder: string;

  private constructor(redis: RedisServer, yaml: string, folder: string) {
    this.redis = redis;
    this.#yaml = yaml;
    this.#folder = folder;
  }

  /**
   * @param yaml the configuration that the nodes share, without `log`, and without `cluster` unless that has options
   */
  static async start(yaml: string, names: readonly string[], redis?: RedisServerOptions): Promise<RunningCluster> {
    const server = await startRedis(redis ?? { appendfsync: "everysec" });
    const folder = await mkdtemp(join(tmpdir(), "headrace-cluster-"));
    const cluster = new RunningCluster(server, yaml, folder);
    await Promise.all(names.map((name) => cluster.add(name)));
    if (names.length > 0) await cluster.settled();
    return cluster;
  }

  async add(name: string): Promise<ClusterNodeUnderTest> {
    const cluster = /^cluster:/m.test(this.#yaml) ? "" : "cluster: {}";
    const text = `${this.#yaml}\nlog: { type: redis, url: "${this.redis.url}" }\n${cluster}\n`;
    const base = await configurationOf(text, this.#folder);
    const configuration = { ...base, node: { ...base.node, name, data: join(this.#folder, name) } };
    const logged: string[] = [];
    const node = await startNode({
      configuration,
      log: (level, message, fields) => logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
      readSecret: async ({ variable = "" }) => this.secrets[variable] ?? "",
    });
    const running: ClusterNodeUnderTest = {
      ...node,
      logged,
      endpoint: `ws://127.0.0.1:${node.port}/v1/connect`,
      overview: () => overviewAt(node.address),
    };
    this.nodes.set(name, running);
    await node.ready;
    return running;
  }

  node(name: string): ClusterNodeUnderTest {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  get endpoints(): readonly string[] {
    return [...this.nodes.values()].map(({ endpoint }) => endpoint);
  }

  /** Waits until every node tells the same: all partitions are owned, each node has some, and none moves. */
  async settled(): Promise<ClusterOverview> {
    return eventually(async () => {
      const overviews = await Promise.all([...this.nodes.values()].map((node) => node.overview()));
      const [first] = overviews;
      if (first === undefined) return undefined;
      const owners = JSON.stringify(first.partitions);
      const isAgreed = overviews.every(({ partitions }) => JSON.stringify(partitions) === owners);
      const isOwned = first.partitions.every(({ state }) => state === "owned");
      const counts = first.nodes.filter(({ state }) => state === "ready").map(({ partitions }) => partitions);
      const isSpread = counts.length === this.nodes.size && counts.every((count) => count > 0);
      return isAgreed && isOwned && isSpread && first.moves.length === 0 ? first : undefined;
    });
  }

  producer(options: Partial<ProducerOptions> & { readonly producerId: string }): Producer {
    return new Producer({ connect, addresses: this.endpoints, ...options });
  }

  consumer(options: Partial<ConsumerOptions> = {}): Consumer {
    return new Consumer({ connect, addresses: this.endpoints, ...options });
  }

  /** Ends one node in order. */
  async stop(name: string): Promise<readonly string[]> {
    const node = this.node(name);
    this.nodes.delete(name);
    return node.stop(10_000);
  }

  async end(): Promise<void> {
    for (const name of [...this.nodes.keys()]) await this.stop(name);
    await this.redis.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Reads until there are `count` records; answers `n` of each by partition, in order. */
export async function readAll(
  consumer: Consumer,
  stream: string,
  partitions: number,
  count: number,
): Promise<number[][]> {
  const seen: number[][] = Array.from({ length: partitions }, () => []);
  let left = count;
  for await (const item of consumer.subscribe({ stream, from: "earliest" })) {
    if (item.kind !== "records") continue;
    for (const { event } of item.records) seen[item.partition]?.push(event.n as number);
    left -= item.records.length;
    if (left <= 0) break;
  }
  return seen;
}
