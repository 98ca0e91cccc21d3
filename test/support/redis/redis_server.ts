/**
 * A private redis-server for tests, with its own port and folder, which a test can kill, freeze and restart. Where
 * redis-server is not installed the test file says so and ends as skipped.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface RedisServerOptions {
  readonly appendonly?: "yes" | "no";
  readonly appendfsync?: "always" | "everysec" | "no";
  readonly maxmemory?: string;
  readonly maxmemoryPolicy?: string;
  readonly replicaOf?: Pick<RedisServer, "port">;
  /** A Redis Cluster of one node, which has every slot. */
  readonly isCluster?: boolean;
  /** A node of a Redis Cluster without slots that knows no other node yet: see `redis_cluster.ts`. */
  readonly node?: { readonly timeoutMs: number; readonly needsAllSlots: boolean };
  /** A command that runs redis-server, such as a tracer. */
  readonly under?: readonly string[];
}

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** The port of the cluster bus, for other nodes of a Redis Cluster. */
  readonly busPort: number;
  readonly folder: string;
  readonly pid: number;
  /** Ends the server in order and removes its folder. */
  stop(): Promise<void>;
  /** Sends SIGTERM, and removes the folder; resolves once the server's streams are closed. */
  end(): Promise<void>;
  /** Sends SIGKILL; the folder stays. */
  kill(): Promise<void>;
  /** Starts the server again on the same port and folder. */
  restart(): Promise<void>;
  /** Sends SIGSTOP; the server stands still until the answered function is called. */
  pause(): () => void;
}

/** Ends this test file as skipped where redis-server is not installed. */
export function requireRedis(): void {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" });
  } catch (error) {
    console.log(`SKIPPED: redis-server is not installed (${(error as NodeJS.ErrnoException).code})`);
    process.exit(77);
  }
}

export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-redis-"));
  const port = await freePort();
  const busPort = options.isCluster || options.node !== undefined ? await freePort() : 0;
  let child = await launch({ port, busPort }, folder, options);
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    busPort,
    folder,
    get pid() {
      return child.pid ?? 0;
    },
    kill,
    end: async () => {
      const closed = once(child, "close");
      child.kill("SIGTERM");
      await closed;
      await rm(folder, { recursive: true, force: true });
    },
    stop: async () => {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
    restart: async () => {
      await kill();
      child = await launch({ port, busPort }, folder, options);
    },
    pause: () => {
      child.kill("SIGSTOP");
      return () => child.kill("SIGCONT");
    },
  };
}

async function launch(
  { port, busPort }: { readonly port: number; readonly busPort: number },
  folder: string,
  options: RedisServerOptions,
): Promise<ChildProcess> {
  const settings: [string, string][] = [
    ["port", String(port)],
    ["bind", "127.0.0.1"],
    ["dir", folder],
    ["save", ""],
    ["appendonly", options.appendonly ?? "yes"],
    ["appendfsync", options.appendfsync ?? "everysec"],
    ["maxmemory", options.maxmemory ?? "0"],
    ["maxmemory-policy", options.maxmemoryPolicy ?? "noeviction"],
    ["repl-diskless-sync-delay", "0"],
    ["enable-debug-command", "local"],
  ];
  if (busPort > 0) settings.push(["cluster-enabled", "yes"], ["cluster-port", String(busPort)]);
  if (options.node !== undefined) {
    settings.push(
      ["cluster-node-timeout", String(options.node.timeoutMs)],
      ["cluster-require-full-coverage", options.node.needsAllSlots ? "yes" : "no"],
      ["cluster-replica-validity-factor", "0"],
    );
  }
  if (options.replicaOf !== undefined) settings.push(["replicaof", `127.0.0.1 ${options.replicaOf.port}`]);
  const [program = "redis-server", ...before] = [...(options.under ?? []), "redis-server"];
  const given = settings.flatMap(([name, value]) => [
    `--${name}`,
    ...(name === "replicaof" ? value.split(" ") : [value]),
  ]);
  const child = spawn(program, [...before, ...given], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout?.on("data", (chunk) => {
    output += String(chunk);
  });
  child.stderr?.on("data", (chunk) => {
    output += String(chunk);
  });
  for (let attempt = 0; attempt < 500; attempt++) {
    if (child.exitCode !== null) throw new Error(`redis-server ended at once:\n${output}`);
    if (options.isCluster) await ask(port, "CLUSTER ADDSLOTSRANGE 0 16383\r\n");
    const isUp = options.isCluster ? /cluster_state:ok/ : /^\+PONG/;
    if (isUp.test(await ask(port, options.isCluster ? "CLUSTER INFO\r\n" : "PING\r\n"))) return child;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  child.kill("SIGKILL");
  throw new Error(`redis-server did not answer:\n${output}`);
}

/** Sends one inline command and answers the first bytes of the reply; empty where no server answers. */
export function ask(port: number, command: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(command));
    socket.on("data", (chunk) => {
      resolve(String(chunk));
      socket.destroy();
    });
    socket.on("error", () => resolve(""));
    socket.on("close", () => resolve(""));
  });
}

/** Below the ports that the system gives to connections: a connection could take the port of a server that restarts. */
const FIRST_PORT = 15_000;
const PORT_COUNT = 17_000;
const PORT_TRIES = 100;

export async function freePort(): Promise<number> {
  for (let triesLeft = PORT_TRIES; triesLeft > 0; triesLeft -= 1) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORT_COUNT);
    if (await isFree(port)) return port;
  }
  throw new Error(`Cannot find a free port from ${FIRST_PORT} on: ${PORT_TRIES} were taken`);
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
