/** One process that a local cluster started: its output in a file, its end told once, signals by its own handle alone. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";

const TAIL_LINES = 12;

/** How it ended, as a person says it: `exit code 75`, `SIGKILL`. */
export type Ending = string;

export interface LocalProcess {
  readonly pid: number;
  /** Undefined while it runs. */
  readonly ending: Ending | undefined;
  /** The first line of its standard output that begins with a brace; rejects never, and never resolves without one. */
  readonly firstJson: Promise<unknown>;
  readonly ended: Promise<Ending>;
  /** False where it has ended already. */
  signal(signal: NodeJS.Signals): boolean;
  /** SIGTERM, and SIGKILL where it has not ended in time. True when it ended by itself. */
  stop(withinMs: number): Promise<boolean>;
  /** The end of what it wrote. */
  tail(): Promise<string>;
}

export interface LocalProcessOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** Its standard error, and its standard output where it is no line of JSON that we wait for. */
  readonly logFile: string;
  /** Its standard input stays open as long as this process lives: with it ends what must not be left behind. */
  readonly hasInput: boolean;
}

/** Rejects with the system's error where the program can not be run. */
export async function startProcess(options: LocalProcessOptions): Promise<LocalProcess> {
  const log = openSync(options.logFile, "a");
  // A group of its own: Ctrl-C at the terminal is for us, who end it in order.
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
      signal("SIGCONT"); // One that was paused hears nothing else.
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
  // Whoever ends closes its input: its end is told by itself.
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
