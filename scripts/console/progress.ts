/**
 * Shows the progress of long work on stderr: on a terminal a bar with rate and time left, elsewhere a plain line now
 * and then, and for a machine nothing.
 */
import { loadDriver } from "../../deps.ts";
import { printAside } from "./output.ts";

const PLAIN_EVERY_MS = 5_000;

export interface Progress {
  /** @param done progress towards `total`, in its unit; `count` the number that the rate is computed of */
  update(done: number, count: number): void;
  stop(): void;
}

export interface ProgressOptions {
  readonly label: string;
  /** Undefined if unknown. */
  readonly total: number | undefined;
  /** The name of the counted things, in the plural. */
  readonly unit: string;
  readonly isSilent: boolean;
}

export async function startProgress(options: ProgressOptions): Promise<Progress> {
  if (options.isSilent) return { update() {}, stop() {} };
  const startedAtMs = performance.now();
  const rateOf = (count: number): string =>
    Math.round((count * 1_000) / Math.max(1, performance.now() - startedAtMs)).toLocaleString("en");
  return process.stderr.isTTY === true ? await bar(options, rateOf) : lines(options, rateOf);
}

async function bar({ label, total, unit }: ProgressOptions, rateOf: (count: number) => string): Promise<Progress> {
  const { SingleBar } = await loadDriver("cli-progress");
  const known = `${label} {bar} {percentage}% | {count} ${unit} | {rate}/s | {eta_formatted} left`;
  const drawn = new SingleBar({
    format: total === undefined ? `${label} | {count} ${unit} | {rate}/s | {duration_formatted}` : known,
    stream: process.stderr,
    hideCursor: true,
    etaBuffer: 50,
    barsize: 30,
    gracefulExit: false,
    clearOnComplete: true,
  });
  drawn.start(total ?? 1, 0, { count: "0", rate: "0" });
  return {
    update: (done, count) => drawn.update(done, { count: count.toLocaleString("en"), rate: rateOf(count) }),
    stop: () => drawn.stop(),
  };
}

function lines({ label, total, unit }: ProgressOptions, rateOf: (count: number) => string): Progress {
  let done = 0;
  let count = 0;
  const timer = setInterval(() => {
    const share = total === undefined || total === 0 ? "" : ` (${Math.floor((100 * done) / total)}%)`;
    printAside(`${label}: ${count} ${unit}${share}, ${rateOf(count)}/s`);
  }, PLAIN_EVERY_MS);
  timer.unref();
  return {
    update(nowDone, nowCount) {
      done = nowDone;
      count = nowCount;
    },
    stop: () => clearInterval(timer),
  };
}
