/** The real command line in a process of its own, as a person runs it. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { headraceArguments } from "./headrace_program.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  /** Resolves with the first line of stdout that matches; rejects when the process ends without one. */
  line(pattern: RegExp): Promise<string>;
}

export function startCommand(args: readonly string[], options: RunOptions = {}): Running {
  const child = spawn(process.execPath, headraceArguments(args), {
    cwd: options.folder ?? ROOT,
    env: { ...process.env, ...options.environment },
  });
  let stdout = "";
  let stderr = "";
  const listeners = new Set<() => void>();
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
    for (const listener of [...listeners]) listener();
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  // A command that ends without reading its input closes it: that is no error of the test.
  child.stdin.on("error", () => undefined);
  if (options.input !== undefined) child.stdin.end(options.input);
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  const line = (pattern: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = stdout.split("\n").find((text) => pattern.test(text));
        if (found === undefined) return;
        listeners.delete(look);
        resolve(found);
      };
      listeners.add(look);
      void ended.then(() => reject(new Error(`ended without ${pattern}:\n${stdout}\n${stderr}`)));
      look();
    });
  return { child, ended, line };
}

/** Runs to the end; stdin is empty where none is given. */
export const headrace = (args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  startCommand(args, { input: "", ...options }).ended;

/** The lines of an output as JSON. */
export const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
