/** Runs the chaos for a given time, and prints the result. `scripts/chaos.ts` starts it. */
import { parseArgs } from "node:util";
import { runChaos } from "./chaos.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "120" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    log: { type: "string", default: "both" },
  },
});

const logs = values.log === "both" ? (["lmdb", "redis"] as const) : [values.log === "redis" ? "redis" : "lmdb"];
for (const log of logs as readonly ("lmdb" | "redis")[]) {
  const seconds = Number(values.seconds) / logs.length;
  console.log(`${log}, ${seconds} s, seed ${values.seed}`);
  const result = await runChaos({ log, seconds, seed: Number(values.seed), producers: 3, say: console.log });
  console.log(JSON.stringify({ ...result, problems: result.problems.length }));
  for (const { kind, detail } of result.problems) console.log(`  ${kind}: ${detail}`);
  if (result.problems.length > 0) process.exitCode = 1;
}
