/**
 * A private Redis Cluster: masters with a replica each, on free ports. A test can move its slots and kill its masters.
 */
import { askOnce } from "../../../actors/log/redis/redis_client.ts";
import type { RedisReply } from "../../../actors/log/redis/redis_connection.ts";
import { SLOT_COUNT } from "../../../actors/log/redis/redis_slots.ts";
import { ask, type RedisServer, type RedisServerOptions, startRedis } from "./redis_server.ts";

export interface RedisClusterOptions extends Pick<RedisServerOptions, "appendonly" | "appendfsync"> {
  readonly masters?: number;
  readonly replicas?: number;
  /** `cluster-require-full-coverage`. */
  readonly needsAllSlots?: boolean;
  /** The number of further masters, which have no slot at first. */
  readonly spares?: number;
}

const NODE_TIMEOUT_MS = 1_500;
const MEET_EVERY_MS = 3_000;
const START_TRIES = 3;
const LOOK_EVERY_MS = 20;
const WITHIN_MS = 25_000;

const pause = (forMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, forMs));

export async function until(what: string, probe: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + WITHIN_MS; Date.now() < deadline; await pause(LOOK_EVERY_MS)) {
    if (await probe()) return;
  }
  throw new Error(`Cannot go on as within ${WITHIN_MS} ms it must come about that ${what}`);
}

/** Tries once more after a failure: another program may have taken a port that was free. */
export async function startAgain<Started>(start: () => Promise<Started>): Promise<Started> {
  for (let triesLeft = START_TRIES - 1; triesLeft > 0; triesLeft -= 1) {
    try {
      return await start();
    } catch (error) {
      console.log(`it is started again: ${(error as Error).message}`);
    }
  }
  return start();
}

export class RedisCluster {
  readonly masters: readonly RedisServer[];
  /** The n-th replica follows the n-th master, until a failover. */
  readonly replicas: readonly RedisServer[];
  readonly spares: readonly RedisServer[];

  static start(options: RedisClusterOptions = {}): Promise<RedisCluster> {
    return startAgain(() => RedisCluster.#startOnce(options));
  }

  static async #startOnce(options: RedisClusterOptions): Promise<RedisCluster> {
    const { masters = 3, replicas = 0, spares = 0, needsAllSlots = false } = options;
    const node = { timeoutMs: NODE_TIMEOUT_MS, needsAllSlots };
    const servers = await Promise.all(
      Array.from({ length: masters + replicas + spares }, () => startRedis({ ...options, node })),
    );
    const cluster = new RedisCluster(
      servers.slice(0, masters),
      servers.slice(masters, masters + replicas),
      servers.slice(masters + replicas),
    );
    try {
      await cluster.#join();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  private constructor(
    masters: readonly RedisServer[],
    replicas: readonly RedisServer[],
    spares: readonly RedisServer[],
  ) {
    this.masters = masters;
    this.replicas = replicas;
    this.spares = spares;
  }

  get servers(): readonly RedisServer[] {
    return [...this.masters, ...this.replicas, ...this.spares];
  }

  async #join(): Promise<void> {
    const { servers, masters, replicas } = this;
    const share = Math.ceil(SLOT_COUNT / masters.length);
    for (const [at, { port }] of servers.entries()) await ask(port, `CLUSTER SET-CONFIG-EPOCH ${at + 1}\r\n`);
    for (const [at, { port }] of masters.entries()) {
      const last = Math.min(SLOT_COUNT, (at + 1) * share) - 1;
      await ask(port, `CLUSTER ADDSLOTSRANGE ${at * share} ${last}\r\n`);
    }
    const known = new RegExp(`cluster_known_nodes:${servers.length}\\b`);
    let metAtMs = 0;
    await until("every node knows every other", async () => {
      // Nodes forget a handshake that takes longer than their own time: they are told of each other again.
      if (Date.now() - metAtMs > MEET_EVERY_MS) {
        await this.#meet();
        metAtMs = Date.now();
      }
      return this.#all(servers, "CLUSTER INFO", known);
    });
    for (const [at, { port }] of replicas.entries()) {
      const id = await idOf(masters[at % masters.length] as RedisServer);
      await until("a replica follows", async () => (await ask(port, `CLUSTER REPLICATE ${id}\r\n`)).startsWith("+OK"));
    }
    await this.isWhole();
    await until("replicas are in step", () => this.#all(replicas, "INFO replication", /master_link_status:up/));
  }

  async #meet(): Promise<void> {
    const [first, ...others] = this.servers;
    for (const { port, busPort } of others)
      await ask(first?.port ?? 0, `CLUSTER MEET 127.0.0.1 ${port} ${busPort}\r\n`);
  }

  async #all(servers: readonly RedisServer[], command: string, wanted: RegExp): Promise<boolean> {
    const told = await Promise.all(servers.map(({ port }) => ask(port, `${command}\r\n`)));
    return told.every((text) => wanted.test(text));
  }

  /** Waits until all live servers know that every slot is served. */
  isWhole(servers = this.servers): Promise<void> {
    return until("the cluster is whole", () => this.#all(servers, "CLUSTER INFO", /cluster_state:ok/));
  }

  /** Waits until every replica has all writes of its master. */
  isInStep(): Promise<void> {
    return until("replicas are in step", async () => {
      const [masters, replicas] = await Promise.all(
        [this.masters, this.replicas].map((servers) =>
          Promise.all(servers.map(({ port }) => ask(port, "INFO replication\r\n"))),
        ),
      );
      return (masters ?? []).every((told, at) => {
        const written = /master_repl_offset:(\d+)/.exec(told)?.[1];
        return written !== undefined && written === /slave_repl_offset:(\d+)/.exec(replicas?.[at] ?? "")?.[1];
      });
    });
  }

  get urls(): readonly string[] {
    return this.servers.map(({ url }) => url);
  }

  /** The server of a slot, as `asked` sees it. */
  async ownerOf(slot: number, asked: RedisServer = this.masters[0] as RedisServer): Promise<RedisServer> {
    const ranges = (await command(asked, "CLUSTER", "SLOTS")) as [number, number, [Buffer, number]][];
    const port = ranges.find(([from, to]) => from <= slot && slot <= to)?.[2][1];
    const owner = this.servers.find((server) => server.port === port);
    if (owner === undefined) throw new Error(`Cannot tell who serves slot ${slot} as a known server must: ${port}`);
    return owner;
  }

  /**
   * Moves a slot as a resharding tool does, key by key. Calls `between` at the beginning, after each key, and at the
   * end.
   */
  async moveSlot(slot: number, to: RedisServer, between: (moved: number) => Promise<unknown>): Promise<void> {
    const from = await this.ownerOf(slot);
    const [fromId, toId] = [await idOf(from), await idOf(to)];
    await command(to, "CLUSTER", "SETSLOT", String(slot), "IMPORTING", fromId);
    await command(from, "CLUSTER", "SETSLOT", String(slot), "MIGRATING", toId);
    let moved = 0;
    await between(moved);
    for (;;) {
      const keys = (await command(from, "CLUSTER", "GETKEYSINSLOT", String(slot), "1")) as Buffer[];
      const [key] = keys;
      if (key === undefined) break;
      await command(from, "MIGRATE", "127.0.0.1", String(to.port), String(key), "0", "5000");
      moved += 1;
      await between(moved);
    }
    for (const server of [to, from, ...this.masters, ...this.spares]) {
      await command(server, "CLUSTER", "SETSLOT", String(slot), "NODE", toId);
    }
  }

  /** Gives every master a new replication id, as a restart does, without its cost. */
  async newLives(): Promise<void> {
    for (const { port } of this.masters) await ask(port, "DEBUG CHANGE-REPL-ID\r\n");
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

export const command = (server: RedisServer, ...args: string[]): Promise<RedisReply> =>
  askOnce(server.url, args, 10_000);

const idOf = async (server: RedisServer): Promise<string> => String(await command(server, "CLUSTER", "MYID"));
