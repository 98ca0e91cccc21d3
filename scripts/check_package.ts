/**
 * Checks the package as a user gets it: builds, packs, installs the tarball in a fresh folder elsewhere, and uses it
 * there. Counts each check as a test and ends with a line `N passed, N failed`.
 *
 *   node --import tsx scripts/check_package.ts
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadDriver } from "../deps.ts";
import {
  CLIENT_MJS,
  CLIENT_TS,
  CLIENT_TSCONFIG,
  CONFORMANCE_TS,
  CONFORMANCE_TSCONFIG,
  KINDS_TS,
} from "./package_users.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const INSTALL_WITHIN_MS = 300_000;
const RUN_WITHIN_MS = 60_000;
const SUITES_WITHIN_MS = 180_000;

interface Ran {
  readonly status: number | null;
  readonly output: string;
}

function run(program: string, args: readonly string[], cwd: string, withinMs = RUN_WITHIN_MS): Ran {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: "utf8", timeout: withinMs });
  return { status, output: `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}` };
}

function expect(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(what);
}

function succeed(ran: Ran): string {
  expect(ran.status === 0, `it ended with ${ran.status}:\n${ran.output}`);
  return ran.output;
}

const counts = { passed: 0, failed: 0 };

async function check(name: string, prove: () => unknown): Promise<boolean> {
  try {
    await prove();
    counts.passed += 1;
    console.log(`ok      ${name}`);
    return true;
  } catch (error) {
    counts.failed += 1;
    console.log(`FAILED  ${name}\n${String(error instanceof Error ? error.message : error).replace(/^/gm, "    ")}`);
    return false;
  }
}

function pack(folder: string): string {
  succeed(run(process.execPath, ["--import", "tsx", "scripts/build.ts"], ROOT));
  succeed(run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], ROOT));
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack left no tarball");
  return join(folder, tarball);
}

function inspect(tarball: string): void {
  const names = succeed(run("tar", ["-tzf", tarball], ROOT))
    .trim()
    .split("\n");
  const held = (ending: string) => names.some((name) => name.endsWith(ending));
  for (const wanted of [
    "dist/scripts/headrace.js",
    "dist/protocols/mod.js",
    "dist/protocols/mod.d.ts",
    "dist/supervisors/conformance/conformance.d.ts",
    "dist/dashboard/dashboard.js",
    "dist/dashboard/index.html",
    "LICENSE",
    "README.md",
  ]) {
    expect(held(`package/${wanted}`), `${wanted} is missing`);
  }
  const stray = names.filter(
    (name) => (/\.tsx?$/.test(name) && !name.endsWith(".d.ts")) || /\/(test|bench)\//.test(name),
  );
  expect(stray.length === 0, `it holds files that nobody needs: ${stray.slice(0, 5).join(", ")}`);
}

function install(tarball: string, folder: string): void {
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "elsewhere", private: true, type: "module" }));
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"];
  succeed(run("npm", ["install", tarball, ...flags], folder, INSTALL_WITHIN_MS));
}

function typeCheck(folder: string): void {
  writeFileSync(join(folder, "client.ts"), CLIENT_TS);
  writeFileSync(join(folder, "kinds.ts"), KINDS_TS);
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(CLIENT_TSCONFIG));
  succeed(run(process.execPath, [join(ROOT, "node_modules", "typescript", "bin", "tsc"), "-p", "."], folder));
}

/** The user's kinds pass their suites; with a fault in the sink, its suite fails and the source's passes. */
function runSuites(folder: string): void {
  const { compilerOptions } = CONFORMANCE_TSCONFIG;
  const typeRoots = [join(ROOT, "node_modules", "@types")];
  const withNodeTypes = { ...CONFORMANCE_TSCONFIG, compilerOptions: { ...compilerOptions, typeRoots } };
  writeFileSync(join(folder, "suites.ts"), CONFORMANCE_TS);
  writeFileSync(join(folder, "tsconfig.suites.json"), JSON.stringify(withNodeTypes));
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  succeed(run(process.execPath, [compiler, "-p", "tsconfig.suites.json"], folder));
  const countOf = (output: string, kind: string) => Number(new RegExp(`^# ${kind} (\\d+)$`, "m").exec(output)?.[1]);
  const flags = ["--test-reporter=tap", "suites.js"];
  const sound = succeed(run(process.execPath, flags, folder, SUITES_WITHIN_MS));
  expect(countOf(sound, "pass") > 30 && countOf(sound, "fail") === 0, `the suites ended with:\n${sound}`);
  const { output } = run(process.execPath, [...flags, "broken"], folder, SUITES_WITHIN_MS);
  expect(countOf(output, "fail") > 0, "the suite passes a sink that loses records");
  expect(!/^not ok .*numbers:/m.test(output), `the suite of sources failed:\n${output}`);
}

async function bundleForBrowsers(folder: string): Promise<void> {
  const { build } = await loadDriver("esbuild");
  const { outputFiles, warnings } = await build({
    stdin: { contents: 'export * from "headrace";', resolveDir: folder },
    bundle: true,
    platform: "browser",
    format: "esm",
    write: false,
    logLevel: "silent",
  });
  const text = outputFiles[0]?.text ?? "";
  expect(text.includes("headrace.v1.msgpack"), "the client is not in it");
  expect(!/["'`]node:/.test(text), "it names a module of Node's");
  expect(warnings.length === 0, JSON.stringify(warnings));
}

// The node ------------------------------------------------------------------------------------------------------------

interface StartedNode {
  readonly child: ChildProcess;
  readonly address: string;
}

async function start(folder: string): Promise<StartedNode> {
  // The command itself, as a signal to npx does not reach the program that it runs.
  const command = join(folder, "node_modules", ".bin", "headrace");
  const args = ["up", "--port", "0", "--data", join(folder, "data"), "--json"];
  const child = spawn(command, args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close").then(([code]) => Promise.reject(new Error(`it ended with ${code}`)));
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /"address":"(http[^"]+)"/.exec(line)?.[1];
    if (found === undefined) continue;
    ended.catch(() => undefined); // from here on the end is expected
    child.stdout.resume();
    return { child, address: found };
  }
  return ended;
}

async function answers(address: string): Promise<void> {
  const ready = await fetch(`${address}/readyz`);
  expect(ready.status === 200, `/readyz answered ${ready.status}`);
  const page = await fetch(address);
  expect(/<title>Headrace<\/title>/.test(await page.text()), "/ is not the page");
  for (const [path, kind] of [
    ["/dashboard.js", "text/javascript"],
    ["/dashboard.css", "text/css"],
    ["/icon.svg", "image/svg+xml"],
  ] as const) {
    const file = await fetch(`${address}${path}`);
    expect(file.ok && file.headers.get("content-type")?.startsWith(kind) === true, `${path} answered ${file.status}`);
  }
}

async function deliversDemo(address: string): Promise<void> {
  for (const deadline = Date.now() + RUN_WITHIN_MS; Date.now() < deadline; ) {
    const { sinks } = (await (await fetch(`${address}/v1/sinks`)).json()) as { sinks: { deliveredRecords: number }[] };
    if (sinks.some(({ deliveredRecords }) => deliveredRecords > 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("no record of the demo reached its sink");
}

async function stopsOnSignal({ child }: StartedNode): Promise<void> {
  const ended = once(child, "close");
  child.kill("SIGTERM");
  const [code] = await ended;
  expect(code === 0, `it ended with ${code}`);
}

async function checkNode(folder: string): Promise<void> {
  let node: StartedNode | undefined;
  const begun = await check("headrace up starts with the demo and says where it listens", async () => {
    node = await start(folder);
  });
  if (!begun || node === undefined) return;
  const { address } = node;
  await check("the node answers /readyz and the page that was built beforehand", () => answers(address));
  await check("the demo's records reach its sink", () => deliversDemo(address));
  await check("a client in plain Node sends an event and reads it back", () => {
    writeFileSync(join(folder, "client.mjs"), CLIENT_MJS);
    const endpoint = `${address.replace("http", "ws")}/v1/connect`;
    const output = succeed(run(process.execPath, ["client.mjs", endpoint], folder));
    expect(output.trim() === 'stored {"from":"the package"}', `it printed: ${output}`);
  });
  const started = node;
  const isStopped = await check("SIGTERM ends the node with 0", () => stopsOnSignal(started));
  if (!isStopped) node.child.kill("SIGKILL");
}

async function main(folder: string): Promise<void> {
  const elsewhere = join(folder, "elsewhere");
  let tarball = "";
  const isPacked = await check("the package is built and packed", () => {
    tarball = pack(folder);
  });
  if (!isPacked) return;
  await check("the tarball holds the command, the client with its types, the page, and no sources", () =>
    inspect(tarball),
  );
  if (!(await check("the tarball installs in an empty folder", () => install(tarball, elsewhere)))) return;
  await check("npx headrace --help explains itself", () => {
    const output = succeed(run("npx", ["--no-install", "headrace", "--help"], elsewhere));
    expect(/Usage: headrace/.test(output) && /\bup\b/.test(output), `it printed: ${output}`);
  });
  await check("a client in TypeScript type-checks, strictly", () => typeCheck(elsewhere));
  await check("a user's sink and source run the suites of headrace/conformance, which find a fault", () =>
    runSuites(elsewhere),
  );
  await check("the client bundles for browsers without a module of Node's", () => bundleForBrowsers(elsewhere));
  await checkNode(elsewhere);
}

const folder = mkdtempSync(join(tmpdir(), "headrace-package-"));
try {
  await main(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
