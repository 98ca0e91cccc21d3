/**
 * Holds the tree to what a machine can check without being a nuisance: who imports whom, cycles, package ownership,
 * runtime neutrality, names. Exits 1 with a line for each fault; sizes are reported only.
 *
 *   node --import tsx scripts/tidy.ts [root]
 */
import { fileURLToPath } from "node:url";
import { checkContents, reportSizes } from "./tidy/content_checks.ts";
import { checkCycles, checkImports } from "./tidy/import_checks.ts";
import { type Finding, readTree } from "./tidy/tree.ts";

function lineOf({ path, line, message }: Finding): string {
  return `${path}${line === undefined ? "" : `:${line}`}: ${message}`;
}

const root = process.argv[2] ?? fileURLToPath(new URL("../", import.meta.url));
const files = readTree(root);
const faults = [...checkImports(files), ...checkCycles(files), ...checkContents(files)];
for (const finding of reportSizes(files)) console.log(`long     ${lineOf(finding)}`);
for (const fault of faults) console.error(`FAULT    ${lineOf(fault)}`);
console.log(`${files.length} files, ${faults.length} faults`);
process.exitCode = faults.length === 0 && files.length > 0 ? 0 : 1;
