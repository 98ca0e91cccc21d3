/**
 * One process at a time owns a data folder. The lock is a listening socket: the kernel frees it however its holder ends, and
 * a process that is refused can ask the holder for its pid. On Linux an abstract socket, which leaves no file and is taken
 * atomically, decides among processes of one network namespace. A socket file in the folder decides among containers that
 * share the folder, and on other systems.
 */
import { createHash } from "node:crypto";
import { unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ConfigurationError } from "../../../protocols/errors.ts";

/** Bytes of a socket's path that every system allows (`sun_path` without its end). */
const SOCKET_PATH_BYTES_MAX = 100;
const ANSWER_TIMEOUT_MS = 1_000;

/** Locks the folder. Rejects with `ConfigurationError` `DATA_IN_USE` and the holder's pid where another process has it. */
export async function lockDataFolder(folder: string): Promise<{ release(): Promise<void> }> {
  const name = createHash("sha256").update(resolve(folder)).digest("hex").slice(0, 24);
  const servers: Server[] = [];
  const release = async () => {
    for (const server of servers) await new Promise<void>((done) => server.close(() => done()));
  };
  try {
    if (process.platform === "linux") {
      const abstractName = `\0headrace-${name}`;
      const taken = await listen(abstractName);
      if (taken === "in use") throw inUse(folder, await askPid(abstractName));
      // A runtime without abstract sockets leaves the decision to the file.
      if (taken !== "unsupported") servers.push(taken);
    }
    servers.push(await listenOnFile(folder, name));
  } catch (error) {
    await release();
    throw error;
  }
  return { release };
}

async function listenOnFile(folder: string, name: string): Promise<Server> {
  const inFolder = join(resolve(folder), "owner.sock");
  const isShort = Buffer.byteLength(inFolder) <= SOCKET_PATH_BYTES_MAX;
  const elsewhere = join(tmpdir(), `headrace-${name}.sock`);
  let path = isShort ? inFolder : elsewhere;
  for (let attempt = 0; attempt < 5; attempt++) {
    const taken = await listen(path);
    if (taken === "unsupported") {
      path = elsewhere;
      continue;
    }
    if (taken !== "in use") return taken;
    const pid = await askPid(path);
    if (pid !== undefined) throw inUse(folder, pid);
    // No process answers: the file is left over from a holder that was killed.
    await unlink(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
  throw inUse(folder, undefined);
}

const inUse = (folder: string, pid: number | undefined): ConfigurationError =>
  new ConfigurationError(
    "DATA_IN_USE",
    `Cannot open ${folder} as no other process may use it: current user is the process with pid ${pid ?? "unknown"}`,
  );

function listen(path: string): Promise<Server | "in use" | "unsupported"> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      // An asker that leaves early must not crash the holder.
      socket.on("error", () => socket.destroy());
      socket.end(`${process.pid}\n`);
    });
    const fail = (error: unknown) =>
      resolve((error as NodeJS.ErrnoException).code === "EADDRINUSE" ? "in use" : "unsupported");
    server.once("error", fail);
    try {
      server.listen(path, () => resolve(server.unref()));
    } catch (error) {
      fail(error);
    }
  });
}

/** The holder's pid; undefined where no process listens any more; -1 for a holder that lives but is too busy to answer. */
function askPid(path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(path);
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
      socket.destroy();
      resolve(-1);
    });
    socket.on("data", (chunk) => {
      answer += String(chunk);
    });
    socket.on("error", () => resolve(undefined));
    socket.on("close", () => resolve(answer === "" ? undefined : Number.parseInt(answer, 10)));
  });
}
