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

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const INSTALL_WITHIN_MS = 300_000;
const RUN_WITHIN_MS = 60_000;

/** A user's first client in TypeScript. It is type-checked strictly, the libraries included. */
const CLIENT_TS = `
import { type ConsumedRecord, Consumer, connectWebSocket, HeadraceError, Producer, SUBPROTOCOL_JSON } from "headrace";

export async function copy(address: string): Promise<readonly ConsumedRecord[]> {
  const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_JSON });
  const producer = new Producer({ connect, addresses: [address], producerId: "typed", stream: "events" });
  const confirmation = await producer.sendAndConfirm({ hello: "world" });
  if (confirmation.kind === "rejected") throw new Error(confirmation.reason);
  const { inDoubt } = await producer.close({ timeoutMs: 5_000 });
  if (inDoubt.length > 0) throw new Error("in doubt");
  const consumer = new Consumer({ connect, addresses: [address] });
  const seen: ConsumedRecord[] = [];
  try {
    for await (const item of consumer.subscribe({ stream: "events", from: "earliest" })) {
      if (item.kind === "records") seen.push(...item.records);
      if (seen.length > 0) break;
    }
  } catch (error) {
    if (error instanceof HeadraceError) console.error(error.code);
    throw error;
  }
  consumer.close();
  return seen;
}

// @ts-expect-error a producer has a name
new Producer({ connect: connectWebSocket({ subprotocol: SUBPROTOCOL_JSON }), addresses: [] });
`;

/** A user's own kinds, by the contracts of the package. */
const KINDS_TS = `
import type { SinkDefinition } from "headrace/sink";
import type { SourceDefinition } from "headrace/source";

export const counter: SinkDefinition<{ readonly every: number }> = {
  type: "counter",
  delivery: "at_least_once",
  optionsSchema: { type: "object", properties: { every: { type: "integer" } }, additionalProperties: false },
  async open({ every }, { name, log }) {
    let count = 0;
    return {
      position: async () => undefined,
      async write({ records }) {
        count += records.length;
        if (count % every === 0) log("info", name + " has counted " + count);
        return { kind: "written" };
      },
      close: async () => undefined,
    };
  },
};

export const ticks: SourceDefinition<object> = {
  type: "ticks",
  optionsSchema: { type: "object", additionalProperties: false },
  async open(_options, _context, resume) {
    const first = typeof resume?.at === "number" ? resume.at + 1 : 0;
    return {
      async *read() {
        const item = { kind: "event", event: { tick: first } } as const;
        yield { items: [{ item, term: 0, position: first }], resume: { at: first } };
      },
      close: async () => undefined,
    };
  },
};
`;

const CLIENT_TSCONFIG = {
  compilerOptions: {
    target: "es2022",
    lib: ["es2022", "dom"],
    module: "nodenext",
    strict: true,
    noEmit: true,
    types: [],
    // The package must also pass settings that are stricter than the compiler's defaults.
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
  },
  files: ["client.ts", "kinds.ts"],
};

/** Sends one event and reads it back, in plain Node; prints the event. */
const CLIENT_MJS = `
import { Consumer, connectWebSocket, Producer, SUBPROTOCOL_MSGPACK } from "headrace";
import WebSocket from "ws";

const addresses = [process.argv[2]];
const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket });
const producer = new Producer({ connect, addresses, producerId: "packed", stream: "events" });
const { kind } = await producer.sendAndConfirm({ from: "the package" });
await producer.close();
const consumer = new Consumer({ connect, addresses });
for await (const item of consumer.subscribe({ stream: "events", from: "earliest" })) {
  if (item.kind !== "records" || item.records.length === 0) continue;
  console.log(kind, JSON.stringify(item.records[0].event));
  break;
}
consumer.close();
`;

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
