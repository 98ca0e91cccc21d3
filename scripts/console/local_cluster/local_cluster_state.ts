/**
 * What a local cluster leaves in its folder so that other commands find it: who runs it and where it listens for them.
 * The file may outlive its writer: it counts only while the writer answers, and nobody is ended by a pid read from it.
 */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export const LOCAL_CLUSTER_FOLDER = ".headrace/cluster";
const FILE = "cluster.json";
const VERSION = 1;
/** It holds the secret of the control port. */
const OWNER_ONLY = 0o600;

export interface LocalNode {
  readonly name: string;
  readonly port: number;
  /** `http://host:port` once it is up. */
  readonly address: string;
  readonly pid: number;
  readonly state: "starting" | "up" | "paused" | "stopping" | "gone";
  /** How it ended, where it has. */
  readonly ending?: string;
}

export interface LocalClusterState {
  readonly version: 1;
  /** Of the process that started the cluster and ends it. */
  readonly pid: number;
  readonly control: { readonly port: number; readonly secret: string };
  readonly redis: { readonly port: number; readonly pid: number };
  readonly nodes: readonly LocalNode[];
}

/** Undefined where no cluster was started in the folder, or its end removed the file. */
export async function readState(folder: string): Promise<LocalClusterState | undefined> {
  try {
    const state = JSON.parse(await readFile(join(folder, FILE), "utf8")) as LocalClusterState;
    return state.version === VERSION ? state : undefined;
  } catch (error) {
    // A file cut short by a crash says nothing.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

export async function writeState(folder: string, state: LocalClusterState): Promise<void> {
  const file = join(folder, FILE);
  await writeFile(`${file}.new`, `${JSON.stringify(state, undefined, 2)}\n`, { mode: OWNER_ONLY });
  await rename(`${file}.new`, file);
}

export const removeState = (folder: string): Promise<void> => rm(join(folder, FILE), { force: true });

/** Whether a process has this pid; it may be another one by now. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
