/**
 * Makes `dist/`, the content of the package: JavaScript and type declarations of the command and of the clients with
 * all their imports, and the bundled dashboard.
 *
 *   node --import tsx scripts/build.ts
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { bundlePage, PAGE_FILE_NAMES, PAGE_FOLDER } from "../supervisors/http/page_files.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const DIST = join(ROOT, "dist");
const EXECUTABLE = 0o755;

function compile(): void {
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
    cwd: ROOT,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`Cannot build as tsc must pass: it ended with ${status}`);
  chmodSync(join(DIST, "scripts", "headrace.js"), EXECUTABLE);
}

async function buildDashboard(): Promise<void> {
  const folder = join(DIST, "dashboard");
  mkdirSync(folder, { recursive: true });
  const bundle = await bundlePage();
  for (const name of PAGE_FILE_NAMES) {
    const built = bundle.get(name);
    if (built === undefined) copyFileSync(join(PAGE_FOLDER, name), join(folder, name));
    else writeFileSync(join(folder, name), built);
    const size = built === undefined ? "" : `, ${gzipSync(built).length} bytes gzipped`;
    console.log(`dist/dashboard/${name}${size}`);
  }
}

rmSync(DIST, { recursive: true, force: true });
compile();
await buildDashboard();
console.log("built dist/");
