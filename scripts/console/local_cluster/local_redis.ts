/**
 * A private Redis for a local cluster: on loopback, as durable as the streams' tiers need, with its files in one
 * folder.
 */
import { execFile, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import type { Configuration } from "../../../supervisors/configuration/configuration_schema.ts";
import { remark } from "../output.ts";
import { freePort } from "./local_ports.ts";
import { type LocalProcess, startProcess } from "./local_process.ts";

const PROGRAM = "redis-server";
const VERSION_MIN = 7;
const HOST = "127.0.0.1";
/** Time to answer, in ms: Redis reads its whole append-only file first. */
const ANSWERS_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 20;

/**
 * A shell that ends Redis with its starter, as Redis cannot do so itself. The shell's input ends when we end, in any
 * way.
 */
const GUARD = `cat > /dev/null; sleep 2; kill "$0"`;

export interface LocalRedis {
  readonly url: string;
  readonly port: number;
  readonly process: LocalProcess;
}

/** Throws `ConfigurationError` `MISSING_PROGRAM` if no Redis is installed, or only one that is too old. */
export async function requireRedisServer(program = PROGRAM): Promise<void> {
  const found = await promisify(execFile)(program, ["--version"]).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigurationError(
      "MISSING_PROGRAM",
      `Cannot start a cluster as ${program} must be installed: running it failed with ${error.code} (Debian: apt-get install redis-server; macOS: brew install redis)`,
      { cause: error },
    );
  });
  const version = /v=(\d+)\.\S+/.exec(found.stdout);
  if (Number(version?.[1]) >= VERSION_MIN) return;
  throw new ConfigurationError(
    "MISSING_PROGRAM",
    `Cannot start a cluster as ${program} must be ${VERSION_MIN}.0 or newer: it says ${found.stdout.trim()}`,
  );
}

/**
 * How Redis must flush for the strictest tier of the streams. Throws `ConfigurationError` if one Redis alone cannot
 * offer it.
 */
export function flushOf({ streams }: Pick<Configuration, "streams">): "always" | "everysec" {
  const tiers = Object.entries(streams);
  const replicated = tiers.find(([, { durability }]) => typeof durability === "object");
  if (replicated !== undefined) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot start a cluster as its one Redis must keep what each stream promises: ${replicated[0]} promises replicas (use fsync, or replicas with a Redis of your own and headrace up)`,
    );
  }
  return tiers.some(([, { durability }]) => durability === "fsync") ? "always" : "everysec";
}

export async function startLocalRedis(folder: string, appendfsync: "always" | "everysec"): Promise<LocalRedis> {
  const data = join(folder, "redis");
  await mkdir(data, { recursive: true });
  const port = await freePort(HOST);
  const settings = {
    port: String(port),
    bind: HOST,
    dir: data,
    save: "",
    appendonly: "yes",
    appendfsync,
    "maxmemory-policy": "noeviction",
  };
  const started = await startProcess({
    program: PROGRAM,
    args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    logFile: join(folder, "redis.log"),
    hasInput: false,
  });
  guard(started);
  for (const deadlineMs = performance.now() + ANSWERS_WITHIN_MS; performance.now() < deadlineMs; ) {
    if (started.ending !== undefined) break;
    if (await answers(port)) return { url: `redis://${HOST}:${port}`, port, process: started };
    await delay(LOOK_EVERY_MS);
  }
  const state = started.ending === undefined ? "it does not" : `it ended with ${started.ending}`;
  await started.stop(0);
  throw new UnavailableError(
    "STORE_UNAVAILABLE",
    `Cannot start Redis as it must answer on port ${port}: ${state}\n${await started.tail()}`,
  );
}

function guard({ pid, ended }: LocalProcess): void {
  const shell = spawn("sh", ["-c", GUARD, String(pid)], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  shell.on("error", (error) => remark(`Redis will not end by itself with this process: ${error.message}`));
  // The pid is free now, and may soon be another process's.
  void ended.then(() => shell.kill("SIGKILL"));
}

/** Whether Redis answers PONG. A Redis that still loads its file answers with an error. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, HOST, () => socket.write("PING\r\n"));
    socket.once("data", (chunk) => {
      resolve(chunk.toString().startsWith("+PONG"));
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
  });
}
