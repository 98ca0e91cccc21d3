/**
 * Measures the wait of a new user: from `npm start` in a fresh clone (after `npm ci`) to the first record in the sink,
 * without a data folder and with nothing built before.
 *
 *   node --import tsx bench/first_record.bench.ts [runs]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { medians, record } from "./support/results.ts";

const [count = "5"] = process.argv.slice(2);
const ROOT = fileURLToPath(new URL("../", import.meta.url));

async function measure(): Promise<{ readonly announcedMs: number; readonly deliveredMs: number }> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-first-"));
  const startMs = performance.now();
  const child = spawn("npm", ["start", "--silent", "--", "--json"], {
    cwd: ROOT,
    // tsx keeps compiled files in the temporary folder: a new user has none.
    env: { ...process.env, HEADRACE_PORT: "0", HEADRACE_DATA: join(folder, "data"), TMPDIR: folder },
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    let address = "";
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.startsWith("{")) continue;
      ({ address } = JSON.parse(line) as { address: string });
      break;
    }
    const announcedMs = performance.now() - startMs;
    while ((await delivered(address)) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    return { announcedMs, deliveredMs: performance.now() - startMs };
  } finally {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true, force: true });
  }
}

async function delivered(address: string): Promise<number> {
  const { sinks } = (await (await fetch(`${address}/v1/sinks`)).json()) as { sinks: { deliveredRecords: number }[] };
  return sinks.reduce((sum, { deliveredRecords }) => sum + deliveredRecords, 0);
}

const runs: { announcedMs: number[]; deliveredMs: number[] } = { announcedMs: [], deliveredMs: [] };
for (let run = 0; run < Number(count); run += 1) {
  const { announcedMs, deliveredMs } = await measure();
  runs.announcedMs.push(Math.round(announcedMs));
  runs.deliveredMs.push(Math.round(deliveredMs));
}
console.log(runs, medians(runs));
record({
  name: "first_record",
  command: `node --import tsx bench/first_record.bench.ts ${count}`,
  workload: "npm start with the demo configuration, until the node says where it is and until its sink holds a record",
  runs,
  median: medians(runs),
  ratios: {},
});
