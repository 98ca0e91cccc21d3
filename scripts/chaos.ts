/**
 * Kills and freezes real processes at random under load, then checks that nothing was lost, repeated or reordered:
 *
 *   node --import tsx scripts/chaos.ts --seconds 120 [--log lmdb|redis] [--seed n]
 *
 * It is a test and lives with the tests, which nothing imports; this starts it and ends as it ends.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../test/end_to_end/run_chaos.ts", import.meta.url));
const child = spawn(process.execPath, [...process.execArgv, program, ...process.argv.slice(2)], { stdio: "inherit" });
child.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
