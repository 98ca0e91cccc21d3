/**
 * Measures the cost of 10,000 silent connections for a good producer: p99 of its acks beside them and without them,
 * alternating. The node, the idle connections and the producer are a process each, with 20,000 open files allowed.
 *
 *   node --import tsx bench/idle_connections.bench.ts [rounds] [connections] [again]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { connectWebSocket, Producer, SUBPROTOCOL_MSGPACK } from "../protocols/mod.ts";
import { medians, record } from "./support/results.ts";

const [rounds = "5", connections = "10000", mode = ""] = process.argv.slice(2);
const PORT = 7590;
const ACKS = 1_000;
const EVERY_MS = 4;
const FILES = 20_000;
const ROOT = fileURLToPath(new URL("../", import.meta.url));
const CONFIGURATION = `log: { type: memory }
streams: { s: { partitions: 1, durability: memory } }
`;

/** Starts a program of the repository with enough open files, and resolves with its first line. */
async function start(args: readonly string[]): Promise<ChildProcess> {
  const command = `ulimit -n ${FILES}; exec "$@"`;
  const child = spawn("bash", ["-c", command, "bash", process.execPath, "--import", "tsx", ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.stdout !== null) await once(createInterface({ input: child.stdout }), "line");
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

/** p50 and p99 of acks, in ms, one event in flight at a time. */
async function acks(): Promise<{ readonly p50Ms: number; readonly p99Ms: number }> {
  const producer = new Producer({
    connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never }),
    addresses: [`ws://127.0.0.1:${PORT}/v1/connect`],
    ...{ producerId: `p-${crypto.randomUUID()}`, stream: "s", lingerMs: 0 },
  });
  const tookMs: number[] = [];
  for (let n = 0; n < ACKS; n += 1) {
    const beganMs = performance.now();
    await producer.sendAndConfirm({ n });
    tookMs.push(performance.now() - beganMs);
    await delay(EVERY_MS);
  }
  await producer.close();
  tookMs.sort((left, right) => left - right);
  const at = (share: number): number => Math.round((tookMs[Math.floor(ACKS * share)] ?? 0) * 1_000) / 1_000;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

const folder = await mkdtemp(join(tmpdir(), "headrace-idle-"));
await writeFile(join(folder, "headrace.yaml"), CONFIGURATION);
const node = await start([
  ...["scripts/headrace.ts", "up", "--json", "--config", join(folder, "headrace.yaml")],
  ...["--port", String(PORT), "--data", join(folder, "data")],
]);
const runs: Record<"aloneP50Ms" | "aloneP99Ms" | "besideP50Ms" | "besideP99Ms", number[]> = {
  ...{ aloneP50Ms: [], aloneP99Ms: [], besideP50Ms: [], besideP99Ms: [] },
};
const ratios: number[] = [];
try {
  await acks(); // the first round compiles
  for (let round = 0; round < Number(rounds); round += 1) {
    const alone = await acks();
    const idle = await start(["bench/support/clients/idle_client.ts", String(PORT), connections, mode]);
    const beside = await acks();
    await end(idle);
    runs.aloneP50Ms.push(alone.p50Ms);
    runs.aloneP99Ms.push(alone.p99Ms);
    runs.besideP50Ms.push(beside.p50Ms);
    runs.besideP99Ms.push(beside.p99Ms);
    ratios.push(beside.p99Ms / alone.p99Ms);
  }
} finally {
  await end(node);
  await rm(folder, { recursive: true, force: true });
}
const medianRatio = ratios.sort((left, right) => left - right)[Math.floor(ratios.length / 2)] ?? 0;
console.log(runs, medians(runs), `p99 beside / alone, median of rounds: ${medianRatio.toFixed(2)}`);
record({
  name: "idle_connections",
  command: `node --import tsx bench/idle_connections.bench.ts ${rounds} ${connections} ${mode}`.trimEnd(),
  workload: `a producer of one event each ${EVERY_MS} ms, without and beside ${connections} idle HTTP connections of its own address${mode === "again" ? ", each opened again 1 s after it was ended" : ""}`,
  runs,
  median: medians(runs),
  ratios: { p99BesideToAlone: Math.round(medianRatio * 100) / 100 },
});
