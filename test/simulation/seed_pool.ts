/**
 * Runs many seeds on all cores, in one process a core, each with a few seeds at a time. Outcomes are handed on in the order
 * of the seeds. The processes run one bundled file, which starts at once and is free of a loader's cost for each closure.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** The simulation of one node and its successors, or that of a cluster. */
export type SimulationKind = "node" | "cluster";

export interface Task {
  readonly kind: SimulationKind;
  /** Each seed is run a second time, and must be the same. */
  readonly isTwice: boolean;
  readonly first: number;
  readonly count: number;
}

export interface SeedOutcome {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly counts: readonly (readonly [string, number])[];
  readonly steps: number;
  readonly faults: number;
}

export interface Report {
  readonly outcomes: readonly SeedOutcome[];
  /** Cpu time of the process so far, in ms. */
  readonly cpuMs: number;
}

const SEEDS_AT_A_TIME = 20;
/** Most objects die within their seed, so a large young generation saves garbage collections. */
const WORKER_FLAGS = ["--single-threaded-gc", "--max-semi-space-size=64", "--min-semi-space-size=64"];
/** A folder below the packages, so that the bundle finds them, and not under version control. */
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/", import.meta.url));

export interface PoolOptions {
  /** Default: `node`. */
  readonly kind?: SimulationKind;
  /** Runs each seed a second time: a difference in any event is a problem of the seed. Default: false. */
  readonly isTwice?: boolean;
  /** No seeds are begun after this time: the outcomes are then fewer. Default: no end. */
  readonly withinMs?: number;
}

/** Runs `count` seeds from `first` and hands on each outcome, in order. Answers with the processes' cpu time in ms. */
export async function runSeeds(
  first: number,
  count: number,
  onOutcome: (outcome: SeedOutcome) => void,
  { kind = "node", isTwice = false, withinMs = Number.POSITIVE_INFINITY }: PoolOptions = {},
): Promise<number> {
  const endMs = performance.now() + withinMs;
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "simulation-"));
  try {
    const program = await bundle(folder);
    const tasks = tasksOf({ kind, isTwice }, first, count);
    const inOrder = new InOrder(first, onOutcome);
    const workers = Math.min(availableParallelism(), tasks.length);
    const next = () => (performance.now() < endMs ? tasks.shift() : undefined);
    const used = await Promise.all(Array.from({ length: workers }, () => work(program, next, inOrder)));
    return used.reduce((sum, cpuMs) => sum + cpuMs, 0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function bundle(folder: string): Promise<string> {
  const outfile = join(folder, "seed_worker.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("./seed_worker.ts", import.meta.url))],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    outfile,
    logLevel: "error",
  });
  return outfile;
}

function tasksOf(how: Pick<Task, "kind" | "isTwice">, first: number, count: number): Task[] {
  const tasks: Task[] = [];
  for (let seed = first; seed < first + count; seed += SEEDS_AT_A_TIME) {
    tasks.push({ ...how, first: seed, count: Math.min(SEEDS_AT_A_TIME, first + count - seed) });
  }
  return tasks;
}

/** Runs one process until no task is left. Resolves with its cpu time in ms. */
async function work(program: string, next: () => Task | undefined, inOrder: InOrder): Promise<number> {
  const child = fork(program, { execArgv: WORKER_FLAGS });
  let cpuMs = 0;
  try {
    for (let task = next(); task !== undefined; task = next()) {
      child.send(task);
      const report = await answerOf(child, task);
      cpuMs = report.cpuMs;
      inOrder.add(report.outcomes);
    }
  } finally {
    child.kill();
  }
  return cpuMs;
}

async function answerOf(child: ChildProcess, task: Task): Promise<Report> {
  const over = new AbortController();
  const { signal } = over;
  const ended = once(child, "exit", { signal }).then(([code]) => {
    const seeds = `${task.first} to ${task.first + task.count - 1}`;
    throw new Error(`Cannot run seeds ${seeds} as their process must live: it ended with ${code}`);
  });
  try {
    const [report] = await Promise.race([once(child, "message", { signal }), ended]);
    return report as Report;
  } finally {
    ended.catch(() => undefined); // no one awaits the end of the process any more
    over.abort();
  }
}

class InOrder {
  #next: number;
  readonly #early = new Map<number, SeedOutcome>();
  readonly #onOutcome: (outcome: SeedOutcome) => void;

  constructor(first: number, onOutcome: (outcome: SeedOutcome) => void) {
    this.#next = first;
    this.#onOutcome = onOutcome;
  }

  add(outcomes: readonly SeedOutcome[]): void {
    for (const outcome of outcomes) this.#early.set(outcome.seed, outcome);
    for (let next = this.#early.get(this.#next); next !== undefined; next = this.#early.get(this.#next)) {
      this.#early.delete(this.#next);
      this.#next += 1;
      this.#onOutcome(next);
    }
  }
}
