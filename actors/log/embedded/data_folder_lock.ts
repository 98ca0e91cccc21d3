/**
 * One process at a time owns a data folder. The lock is a listening socket, so the kernel lets go of it however its
 * holder ends, and whoever is refused can ask the holder for its pid. Linux's abstract socket, which leaves nothing
 * behind and is taken atomically, decides among processes of one network namespace; a socket file in the folder decides
 * among containers that share it, and on other systems.
 */
import { createHash } from "node:crypto";
import { unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ConfigurationError } from "../../../protocols/errors.ts";

export interface DataFolderLock {
  release(): Promise<void>;
}

/** What a socket's path may hold on every system (sun_path less its end). */
const SOCKET_PATH_BYTES_MAX = 100;
const ANSWER_TIMEOUT_MS = 1_000;

/** Takes the folder. Throws `ConfigurationError` `DATA_IN_USE`, with the holder's pid, where another process has it. */
export async function lockDataFolder(folder: string): Promise<DataFolderLock> {
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
      // Where the runtime knows no abstract sockets, the file decides alone.
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
    // Nobody answers: what its holder left behind when it was killed.
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
      // An asker that leaves early is none of the holder's concern.
      socket.on("error", () => socket.destroy());
      socket.end(`${process.pid}\n`);
    });
    server.once("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "EADDRINUSE" ? "in use" : "unsupported"),
    );
    try {
      server.listen(path, () => {
        server.unref();
        resolve(server);
      });
    } catch (error) {
      resolve((error as NodeJS.ErrnoException).code === "EADDRINUSE" ? "in use" : "unsupported");
    }
  });
}

/** The holder's pid; undefined where nobody listens any more. A holder too busy to answer is alive: pid -1. */
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
