/** The processes that a benchmark compares, each on a free port and in a folder of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../test/support/redis/redis_server.ts";
import { WORKLOAD_SCHEMA } from "../workload.ts";

export interface Running {
  readonly endpoint: string;
  readonly pid: number;
  stop(): Promise<void>;
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}

async function end(child: ChildProcess, signal: NodeJS.Signals, folder: string): Promise<void> {
  await ended(child, signal);
  await rm(folder, { recursive: true, force: true });
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) return line;
  throw new Error("the process ended before it said where it is");
}

export interface RunningNode extends Running {
  readonly address: string;
  /** The node's data folder. */
  readonly data: string;
  /** Ends the node and starts it anew on the same data, with this text added to its configuration. */
  restart(more?: string): Promise<RunningNode>;
}

export interface NodeSettings {
  /** `log:` of the configuration, as YAML. */
  readonly log: string;
  readonly durability: "everysec" | "fsync";
  /** More of the configuration: sinks and pipelines. */
  readonly more?: string;
  readonly retention?: string;
  /** `none`: no schema. Default: the workload's schema. */
  readonly schema?: "none";
  /** Modules that the node's process imports before anything else. */
  readonly imports?: readonly string[];
  /** The checkout whose node runs. Default: this one. */
  readonly checkout?: string;
}

/** A node with one stream `bench` of 16 partitions, validated. */
export async function startHeadrace(settings: NodeSettings): Promise<RunningNode> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-bench-"));
  const retention = settings.retention ?? "{ size: 256MiB, onFull: trim }";
  const configuration = `
log: ${settings.log}
streams:
  bench:
    partitions: 16
    durability: ${settings.durability}
    retention: ${retention}
${settings.schema === "none" ? "" : `    schema: ${JSON.stringify(WORKLOAD_SCHEMA)}`}
${settings.more ?? ""}
`;
  await writeFile(join(folder, "headrace.yaml"), configuration);
  return startIn(folder, settings.imports, settings.checkout);
}

async function startIn(folder: string, imports: readonly string[] = [], checkout = "."): Promise<RunningNode> {
  const child = spawn(
    process.execPath,
    [
      "--max-semi-space-size=64", // as `npm start` has it
      ...["tsx", ...imports].flatMap((module) => ["--import", module]),
      ...["scripts/headrace.ts", "up", "--json"],
      ...["--config", join(folder, "headrace.yaml"), "--port", "0", "--data", join(folder, "data")],
    ],
    { stdio: ["ignore", "pipe", "inherit"], cwd: checkout },
  );
  const { address } = JSON.parse(await firstLine(child)) as { address: string };
  return {
    address,
    endpoint: `${address.replace("http", "ws")}/v1/connect`,
    pid: child.pid ?? 0,
    data: join(folder, "data"),
    restart: async (more = "") => {
      await ended(child, "SIGTERM");
      await appendFile(join(folder, "headrace.yaml"), more);
      return startIn(folder, imports, checkout);
    },
    stop: () => end(child, "SIGTERM", folder),
  };
}

export async function startBare(redisUrl: string): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-bare-"));
  const child = spawn(process.execPath, ["--import", "tsx", "bench/support/bare_server.ts", redisUrl], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const port = await firstLine(child);
  return { endpoint: `ws://127.0.0.1:${port}`, pid: child.pid ?? 0, stop: () => end(child, "SIGTERM", folder) };
}

/** An endpoint for an http sink, in a process of its own that can be frozen. */
export async function startReceiver(): Promise<Running & { freeze(): void; thaw(): void }> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-receiver-"));
  const child = spawn(process.execPath, ["--import", "tsx", "bench/support/sink_receiver.ts"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const port = await firstLine(child);
  return {
    endpoint: `http://127.0.0.1:${port}/`,
    pid: child.pid ?? 0,
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    stop: () => end(child, "SIGTERM", folder),
  };
}

/** Debian's nats-server with JetStream on files, over TCP and over WebSocket. */
export async function startNats(): Promise<Running & { readonly webSocket: string }> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-nats-"));
  const [port, webSocketPort] = [await freePort(), await freePort()];
  await writeFile(
    join(folder, "nats.conf"),
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${folder}/store" }\nwebsocket { listen: "127.0.0.1:${webSocketPort}", no_tls: true }\n`,
  );
  const child = spawn("nats-server", ["-c", join(folder, "nats.conf")], { stdio: ["ignore", "ignore", "pipe"] });
  for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
    if (line.includes("Server is ready")) break;
  }
  child.stderr?.resume();
  return {
    endpoint: `nats://127.0.0.1:${port}`,
    webSocket: `ws://127.0.0.1:${webSocketPort}`,
    pid: child.pid ?? 0,
    stop: () => end(child, "SIGTERM", folder),
  };
}
