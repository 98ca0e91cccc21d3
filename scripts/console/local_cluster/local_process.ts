/**
 * One process of a local cluster. Its output goes to a file, its end is reported once, and only its own handle signals
 * it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";

const TAIL_LINES = 12;

/** How a process ended, for a person: `exit code 75`, `SIGKILL`. */
export type Ending = string;

export interface LocalProcess {
  readonly pid: number;
  /** Undefined while the process runs. */
  readonly ending: Ending | undefined;
  /**
   * The first line of its standard output that begins with a brace. Never rejects, and stays pending without such a
   * line.
   */
  readonly firstJson: Promise<unknown>;
  readonly ended: Promise<Ending>;
  /** False if the process has ended already. */
  signal(signal: NodeJS.Signals): boolean;
  /** Sends SIGTERM, and SIGKILL if the process has not ended in time. True if it ended by itself. */
  stop(withinMs: number): Promise<boolean>;
  /** The end of its output. */
  tail(): Promise<string>;
}

export interface LocalProcessOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** The file of its standard error, and of its standard output except the awaited line of JSON. */
  readonly logFile: string;
  /** Whether its standard input stays open as long as this process lives, so that it ends with this process. */
  readonly hasInput: boolean;
}

/** Rejects with the system's error if the program cannot be run. */
export async function startProcess(options: LocalProcessOptions): Promise<LocalProcess> {
  const log = openSync(options.logFile, "a");
  // A group of its own, so that Ctrl-C at the terminal reaches only us; we end the process in order.
  const child = spawn(options.program, options.args, {
    detached: true,
    stdio: [options.hasInput ? "pipe" : "ignore", options.hasInput ? "pipe" : log, log],
  });
  closeSync(log);
  await once(child, "spawn");
  let ending: Ending | undefined;
  const ended = new Promise<Ending>((resolve) => {
    child.on("exit", (code, signal) => {
      ending = signal ?? `exit code ${code}`;
      resolve(ending);
    });
  });
  const signal = (name: NodeJS.Signals): boolean => child.kill(name);
  return {
    pid: child.pid ?? 0,
    get ending() {
      return ending;
    },
    ended,
    firstJson: firstJson(child),
    signal,
    async stop(withinMs) {
      if (ending !== undefined) return true;
      signal("SIGTERM");
      signal("SIGCONT"); // A paused process gets no other signal.
      const timer = setTimeout(() => signal("SIGKILL"), withinMs);
      const how = await ended;
      clearTimeout(timer);
      return how !== "SIGKILL";
    },
    tail: () => tailOf(options.logFile),
  };
}

function firstJson(child: ChildProcess): Promise<unknown> {
  const { stdout, stdin } = child;
  // A process that ends closes its input. Its end is reported by `exit`.
  stdin?.on("error", () => undefined);
  if (stdout === null) return new Promise(() => undefined);
  return new Promise((resolve) => {
    let text = "";
    let isFound = false;
    stdout.on("data", (chunk: Buffer) => {
      if (isFound) return;
      text += chunk.toString();
      const lines = text.split("\n");
      const line = lines.slice(0, -1).find((one) => one.startsWith("{"));
      if (line === undefined) return;
      isFound = true;
      resolve(JSON.parse(line));
    });
  });
}

async function tailOf(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
}
