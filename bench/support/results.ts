/** Writes the results of a benchmark: one line of JSON for each run, in bench/results/<name>.jsonl. */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../results/", import.meta.url));

export interface Result {
  readonly name: string;
  readonly command: string;
  readonly workload: string;
  /** Every run of each contender, in the order in which they alternated. */
  readonly runs: Readonly<Record<string, readonly number[]>>;
  readonly median: Readonly<Record<string, number>>;
  /** Quotients of medians of this run: the figures to quote from a shared machine. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly [more: string]: unknown;
}

export function record(result: Result): void {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const line = {
    ...result,
    commit,
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    node: process.version,
  };
  mkdirSync(FOLDER, { recursive: true });
  appendFileSync(`${FOLDER}${result.name}.jsonl`, `${JSON.stringify(line)}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

export const medians = (runs: Readonly<Record<string, readonly number[]>>): Record<string, number> =>
  Object.fromEntries(Object.entries(runs).map(([name, values]) => [name, median(values)]));

/** The value below which `share` of the values lie. Sorts in place. */
export function quantile(values: number[], share: number): number {
  values.sort((left, right) => left - right);
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}
