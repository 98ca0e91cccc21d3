/**
 * The state file of a local cluster, by which other commands find it: its process and its control port. The file may
 * outlive its writer. So it is valid only while the writer answers, and no process is ended by a pid from it.
 */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export const LOCAL_CLUSTER_FOLDER = ".headrace/cluster";
const FILE = "cluster.json";
const VERSION = 1;
/** Mode of the file, which holds the secret of the control port. */
const OWNER_ONLY = 0o600;

export interface LocalNode {
  readonly name: string;
  readonly port: number;
  /** `http://host:port` once the node is up. */
  readonly address: string;
  readonly pid: number;
  readonly state: "starting" | "up" | "paused" | "stopping" | "gone";
  /** How the node ended; absent while it runs. */
  readonly ending?: string;
}

export interface LocalClusterState {
  readonly version: 1;
  /** Pid of the process that started the cluster and ends it. */
  readonly pid: number;
  readonly control: { readonly port: number; readonly secret: string };
  readonly redis: { readonly port: number; readonly pid: number };
  readonly nodes: readonly LocalNode[];
}

/** Undefined if no cluster was started in the folder, or if its end removed the file. */
export async function readState(folder: string): Promise<LocalClusterState | undefined> {
  try {
    const state = JSON.parse(await readFile(join(folder, FILE), "utf8")) as LocalClusterState;
    return state.version === VERSION ? state : undefined;
  } catch (error) {
    // A file that a crash cut short is ignored.
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

/** Whether any process has this pid. It may be another process by now. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
