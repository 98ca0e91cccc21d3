/** A master with a replica, and three sentinels that watch it: private processes on free ports. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAgain, until } from "./redis_cluster.ts";
import { ask, freePort, type RedisServer, type RedisServerOptions, startRedis } from "./redis_server.ts";

export const MASTER_NAME = "headrace-master";

const SENTINELS = 3;
const DOWN_AFTER_MS = 1_000;

interface Sentinel {
  readonly port: number;
  readonly folder: string;
  readonly process: ChildProcess;
}

export class RedisSentinels {
  readonly servers: readonly [RedisServer, RedisServer];
  readonly #sentinels: readonly Sentinel[];

  static start(options: RedisServerOptions = {}): Promise<RedisSentinels> {
    return startAgain(() => RedisSentinels.#startOnce(options));
  }

  static async #startOnce(options: RedisServerOptions): Promise<RedisSentinels> {
    const master = await startRedis(options);
    const replica = await startRedis({ ...options, replicaOf: master });
    // Sentinels ask a master for its replicas when they begin, and then every 10 s.
    await until("the replica is in step", async () =>
      /master_link_status:up/.test(await ask(replica.port, "INFO replication\r\n")),
    );
    const sentinels = await Promise.all(Array.from({ length: SENTINELS }, () => startSentinel(master.port)));
    const started = new RedisSentinels([master, replica], sentinels);
    const told = new RegExp(
      `num-slaves\\r\\n\\$1\\r\\n1\\r.*num-other-sentinels\\r\\n\\$1\\r\\n${SENTINELS - 1}\\r`,
      "s",
    );
    try {
      await until("the sentinels know each other and the replica", async () => {
        const views = await Promise.all(sentinels.map(({ port }) => ask(port, `SENTINEL MASTER ${MASTER_NAME}\r\n`)));
        return views.every((view) => told.test(view));
      });
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  private constructor(servers: readonly [RedisServer, RedisServer], sentinels: readonly Sentinel[]) {
    this.servers = servers;
    this.#sentinels = sentinels;
  }

  get urls(): readonly string[] {
    return this.#sentinels.map(({ port }) => `redis://127.0.0.1:${port}`);
  }

  /** Asks for a failover as an operator does; resolves once the replica is the master. */
  async failOver(): Promise<void> {
    await until("a sentinel begins", async () =>
      (await ask(this.#sentinels[0]?.port ?? 0, `SENTINEL FAILOVER ${MASTER_NAME}\r\n`)).startsWith("+OK"),
    );
    await this.leads(this.servers[1]);
  }

  leads({ port }: RedisServer): Promise<void> {
    return until("the replica leads", async () => /role:master/.test(await ask(port, "INFO replication\r\n")));
  }

  /** Freezes one sentinel with SIGSTOP; answers a function that lets it go on. */
  freezeSentinel(at: number): () => void {
    const sentinel = this.#sentinels[at]?.process;
    sentinel?.kill("SIGSTOP");
    return () => void sentinel?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sentinels.map(endSentinel));
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

async function startSentinel(masterPort: number): Promise<Sentinel> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-sentinel-"));
  const port = await freePort();
  const file = join(folder, "sentinel.conf");
  await writeFile(
    file,
    [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${folder}`,
      `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} 2`,
      `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${MASTER_NAME} 4000`,
      "",
    ].join("\n"),
  );
  const process = spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" });
  await until("the sentinel answers", async () =>
    (await ask(port, `SENTINEL MASTER ${MASTER_NAME}\r\n`)).startsWith("*"),
  );
  return { port, folder, process };
}

async function endSentinel({ process, folder }: Sentinel): Promise<void> {
  if (process.exitCode === null && process.signalCode === null) {
    const ended = once(process, "exit");
    process.kill("SIGKILL");
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
}
