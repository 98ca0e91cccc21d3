/** Runs the cluster's chaos for a given time, and prints the result. `scripts/chaos.ts --cluster` starts it. */
import { parseArgs } from "node:util";
import { runClusterChaos } from "./cluster_chaos.ts";

const { values } = parseArgs({
  options: {
    cluster: { type: "boolean" },
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    rate: { type: "string", default: "1200" },
  },
});

/** Time in which each kind of fault has had its turn several times. */
const LONG_SECONDS = 240;
const seconds = Number(values.minutes) * 60;
const ending = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());

console.log(`a cluster, ${seconds} s, seed ${values.seed}`);
try {
  const { problems, timeline, folder, ...figures } = await runClusterChaos({
    ...{ seconds, seed: Number(values.seed), eventsPerSecond: Number(values.rate) },
    ...{ signal: ending.signal, say: console.log },
  });
  console.log(JSON.stringify(figures, undefined, 2));
  for (const { kind, detail } of problems.slice(0, 50)) console.log(`  ${kind}: ${detail}`);
  const missing = Object.entries(figures.faults).filter(([, count]) => count === 0);
  if (seconds >= LONG_SECONDS) for (const [kind] of missing) console.log(`  never happened: ${kind}`);
  if (problems.length > 0) console.log(`${problems.length} problems, seed ${values.seed}, kept in ${folder}`);
  if (problems.length > 0 || (seconds >= LONG_SECONDS && missing.length > 0)) process.exitCode = 1;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
