/**
 * Simulates one node, or a whole cluster, under faults, seed by seed, and prints what happened:
 *
 *   node --import tsx scripts/simulate.ts --seeds 2000     every seed from 1
 *   node --import tsx scripts/simulate.ts --seed 7 --trace one seed, with all its events
 *   node --import tsx scripts/simulate.ts --cluster ...    the same of a cluster: nodes, links, lease store
 *   node --import tsx scripts/simulate.ts --within 60 ...  begins no more seeds after a minute
 *
 * The simulation is a test and lives with the tests, which nothing imports. This script starts it, and ends with its
 * exit code.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../test/simulation/run_seeds.ts", import.meta.url));
const child = spawn(process.execPath, [...process.execArgv, program, ...process.argv.slice(2)], { stdio: "inherit" });
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
