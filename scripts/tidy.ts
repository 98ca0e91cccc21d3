/**
 * Checks the structure of the tree: directions of imports, cycles, ownership of packages, runtime neutrality, names,
 * that every cited rule is defined and tested, that links have a target, and that a model's folder is whole. Exits 1 with
 * a line for each fault. Sizes are only reported.
 *
 *   node --import tsx scripts/tidy.ts [root]
 */
import { fileURLToPath } from "node:url";
import { checkCitations } from "./tidy/citation_checks.ts";
import { checkContents, reportSizes } from "./tidy/content_checks.ts";
import { checkCycles, checkImports } from "./tidy/import_checks.ts";
import { checkModels } from "./tidy/model_checks.ts";
import { checkPages } from "./tidy/page_checks.ts";
import { type Finding, readPages, readTree } from "./tidy/tree.ts";

function lineOf({ path, line, message }: Finding): string {
  return `${path}${line === undefined ? "" : `:${line}`}: ${message}`;
}

const root = process.argv[2] ?? fileURLToPath(new URL("../", import.meta.url));
const files = readTree(root);
const pages = readPages(root);
const faults = [
  ...checkImports(files),
  ...checkCycles(files),
  ...checkContents(files),
  ...checkCitations(files, pages),
  ...checkPages(root, pages),
  ...checkModels(root),
];
for (const finding of reportSizes(files)) console.log(`long     ${lineOf(finding)}`);
for (const fault of faults) console.error(`FAULT    ${lineOf(fault)}`);
console.log(`${files.length} files, ${faults.length} faults`);
process.exitCode = faults.length === 0 && files.length > 0 ? 0 : 1;
