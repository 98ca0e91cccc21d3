/**
 * Kills and freezes real processes at random under load, then checks that nothing was lost, repeated or reordered:
 *
 *   node --import tsx scripts/chaos.ts --seconds 120 [--log lmdb|redis] [--seed n]   one node
 *   node --import tsx scripts/chaos.ts --cluster [--minutes 5] [--seed n] [--rate n] nodes, links, a Redis that fails over
 *
 * The chaos is a test and lives with the tests, which nothing imports. This script starts it, and ends with its exit
 * code.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const args = process.argv.slice(2);
const run = args.includes("--cluster") ? "run_cluster_chaos.ts" : "run_chaos.ts";
const program = fileURLToPath(new URL(`../test/end_to_end/chaos/${run}`, import.meta.url));
const child = spawn(process.execPath, [...process.execArgv, program, ...args], { stdio: "inherit" });
// In a terminal the child gets SIGINT itself, and ends its own processes.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
