import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headraceArguments } from "../../support/processes/headrace_program.ts";
import { eventually } from "../../support/processes/running_node.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

interface Started {
  readonly child: ChildProcess;
  readonly address: string;
  /** Standard error so far: the node's log. */
  logged(): string;
}

/** `npm start`, as a user would, on a free port. */
async function npmStart(data: string): Promise<Started> {
  const child = spawn("npm", ["start", "--silent", "--", "--json"], {
    cwd: ROOT,
    env: { ...process.env, HEADRACE_PORT: "0", HEADRACE_DATA: data },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let logged = "";
  child.stderr?.on("data", (chunk) => (logged += chunk));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  for await (const line of lines) {
    if (!line.startsWith("{")) continue;
    lines.close();
    const { address } = JSON.parse(line) as { address: string };
    return { child, address, logged: () => logged };
  }
  throw new Error(`npm start ended without saying where it is: ${logged}`);
}

const exitCode = async (child: ChildProcess): Promise<number | null> => {
  if (child.exitCode !== null) return child.exitCode;
  const [code] = (await once(child, "exit")) as [number | null];
  return code;
};

interface Sinks {
  readonly sinks: readonly { readonly deliveredRecords: number }[];
}

const delivered = async (address: string): Promise<number> => {
  const { sinks } = (await (await fetch(`${address}/v1/sinks`)).json()) as Sinks;
  return sinks.reduce((sum, sink) => sum + sink.deliveredRecords, 0);
};

const offsets = async (address: string): Promise<number> => {
  const answer = (await (await fetch(`${address}/v1/streams/host_metrics`)).json()) as {
    readonly partitions: readonly { readonly endOffset: number }[];
  };
  return answer.partitions.reduce((sum, partition) => sum + partition.endOffset, 0);
};

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`npm start delivers this machine's metrics, stops on ${signal} to npm with 0, and continues where it was`, async () => {
    const data = await mkdtemp(join(tmpdir(), "headrace-start-"));
    const first = await npmStart(data);
    await eventually(async () => ((await delivered(first.address)) > 0 ? true : undefined));
    const stored = await offsets(first.address);
    first.child.kill(signal);
    assert.is(await exitCode(first.child), 0, first.logged());
    const second = await npmStart(data);
    assert.ok((await offsets(second.address)) >= stored);
    await eventually(async () => ((await delivered(second.address)) > 0 ? true : undefined));
    second.child.kill(signal);
    assert.is(await exitCode(second.child), 0, second.logged());
    await rm(data, { recursive: true });
  });
}

test("a second signal at once does not cut the drain short", async () => {
  const data = await mkdtemp(join(tmpdir(), "headrace-start-"));
  const node = await npmStart(data);
  node.child.kill("SIGINT");
  node.child.kill("SIGINT");
  assert.is(await exitCode(node.child), 0, node.logged());
  await rm(data, { recursive: true });
});

test("a signal while the node still waits for its store ends it with 0", async () => {
  const data = await mkdtemp(join(tmpdir(), "headrace-start-"));
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  await writeFile(join(data, "headrace.yaml"), `log: { type: redis, url: "redis://127.0.0.1:${port}" }\n`);
  const node = spawn(
    process.execPath,
    headraceArguments(["up", "--config", join(data, "headrace.yaml"), "--data", data]),
    { cwd: ROOT, env: { ...process.env, HEADRACE_PORT: "0" }, stdio: ["ignore", "ignore", "pipe"] },
  );
  let said = "";
  node.stderr.on("data", (chunk) => (said += chunk));
  const [socket] = (await once(silent, "connection")) as [Socket];
  node.kill("SIGTERM");
  assert.is(await exitCode(node), 0, said);
  socket.destroy();
  silent.close();
  await rm(data, { recursive: true });
});

test("a data folder in use is refused with the process that holds it, and a code that scripts can use", async () => {
  const data = await mkdtemp(join(tmpdir(), "headrace-start-"));
  const holder = await npmStart(data);
  const second = spawn(process.execPath, headraceArguments(["up"]), {
    cwd: ROOT,
    env: { ...process.env, HEADRACE_PORT: "0", HEADRACE_DATA: data },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  second.stderr.on("data", (chunk) => (said += chunk));
  assert.is(await exitCode(second), 78);
  assert.match(said, /DATA_IN_USE/);
  assert.not.match(said, /\n\s+at /, "no stack trace for a user's mistake");
  holder.child.kill("SIGTERM");
  assert.is(await exitCode(holder.child), 0);
  await rm(data, { recursive: true });
});

test.run();
