/**
 * Runs the protocol, client and single-node suites on the other runtimes that Headrace promises, Node 24 and Deno 2.
 * Their npm packages carry the programs; they are installed in a cache of their own, so that no user's `npm ci` has
 * them.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const CACHE = join(ROOT, "node_modules", ".cache", "headrace-runtimes");

const RUNTIMES = [
  { name: "Node 24", npmPackage: "node@24", program: join("node_modules", "node", "bin", "node") },
  { name: "Deno 2", npmPackage: "deno@2", program: join("node_modules", ".bin", "deno") },
] as const;

/** Suites that every runtime must pass. */
const SUITES = [
  "test/protocols/",
  "test/actors/kernel/",
  "test/actors/ingest/",
  "test/actors/partition/",
  // Without peer_links_processes: Deno reports ECONNREFUSED for a frozen process, which then counts as dead sooner.
  ...["codec", "credit", "handshake", "link_machine", "links.test", "links_faults", "links_tls"].map(
    (name) => `test/actors/transport/peer/peer_${name}`,
  ),
  "test/end_to_end/node/node",
  "test/end_to_end/cluster/moves",
];

function install(npmPackage: string, program: string): string {
  const path = join(CACHE, npmPackage.replace("@", "-"), program);
  if (!existsSync(path)) {
    const prefix = join(CACHE, npmPackage.replace("@", "-"));
    mkdirSync(prefix, { recursive: true });
    // The repository's .npmrc turns install scripts off; these packages place their program with one.
    execFileSync(
      "npm",
      ["install", "--no-save", "--ignore-scripts=false", "--no-audit", "--no-fund", "--prefix", prefix, npmPackage],
      {
        cwd: prefix,
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
  }
  return path;
}

let passed = 0;
let failed = 0;
for (const { name, npmPackage, program } of RUNTIMES) {
  const runtime = install(npmPackage, program);
  console.log(`-- ${name}: ${execFileSync(runtime, ["--version"], { encoding: "utf8" }).split("\n")[0]}`);
  const run = spawnSync(process.execPath, ["--import", "tsx", "scripts/test.ts", ...SUITES, "--runtime", runtime], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  console.log(run.stdout, run.stderr);
  const counts = /^(\d+) passed, (\d+) failed$/m.exec(run.stdout);
  passed += Number(counts?.[1] ?? 0);
  failed += counts === null ? 1 : Number(counts[2]);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
