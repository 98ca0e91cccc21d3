/**
 * E10 on a whole node: the order of its system calls shows that events are on the disk before their `ack` leaves the
 * port.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { connectWebSocket, Producer, SUBPROTOCOL_JSON } from "../../../protocols/mod.ts";
import { headraceArguments } from "../../support/processes/headrace_program.ts";
import { eventually } from "../../support/processes/running_node.ts";
import {
  answersBeforeFlush,
  isWrite,
  parseCalls,
  requireStrace,
  type SentAnswer,
  type SystemCall,
  straced,
} from "../../support/processes/system_calls.ts";
import { freePort } from "../../support/redis/redis_server.ts";

requireStrace();

const PARTITIONS = 2;
const EVENTS = 300;
const YAML = `
node: { logLevel: error }
log: { type: lmdb }
streams: { orders: { partitions: ${PARTITIONS}, durability: fsync } }
sinks: { archive: { type: file, directory: archive } }
pipelines: { keep: { from: orders, to: [archive] } }
`;

/** The acks that the trace shows on their way out, one answer for each event that they are the first to cover. */
function acksOf(calls: readonly SystemCall[]): SentAnswer[] {
  const acked = new Map<string, number>();
  const sent = calls.filter((call) => isWrite(call) && call.target.includes("TCP"));
  return sent.flatMap(({ text, beganAt }) =>
    [...text.matchAll(/\{\\"type\\":\\"ack\\".*?\\"partition\\":(\d+),\\"lastSequence\\":\[0,(\d+),0\]/g)].flatMap(
      ([, partition = "", last]) => {
        const from = acked.get(partition) ?? 0;
        acked.set(partition, Number(last) + 1);
        return Array.from({ length: Number(last) + 1 - from }, (_, at): SentAnswer => {
          return { mark: `mark-${partition}-${from + at};`, leftAt: beganAt };
        });
      },
    ),
  );
}

test("a node sends no ack before the events that it covers are on the disk", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-flush-"));
  await mkdir(join(folder, "data"));
  await writeFile(join(folder, "headrace.yaml"), YAML);
  const port = await freePort();
  const trace = join(folder, "trace");
  const node = "Deno" in globalThis ? "node" : process.execPath;
  const up = ["up", "--config", join(folder, "headrace.yaml"), "--data", join(folder, "data"), "--port", String(port)];
  const [strace = "", ...options] = straced(trace);
  const child = spawn(strace, [...options, node, ...headraceArguments([...up, "--json"])], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, UV_USE_IO_URING: "0" },
  });
  createInterface({ input: child.stdout }).resume();
  const closed = once(child, "close");
  await eventually(() =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      ({ ok }) => (ok ? true : undefined),
      () => undefined,
    ),
  );
  const producer = new Producer({
    connect: connectWebSocket({ subprotocol: SUBPROTOCOL_JSON, webSocket: WebSocket as never }),
    addresses: [`ws://127.0.0.1:${port}/v1/connect`],
    producerId: "p",
    stream: "orders",
    lingerMs: 0,
    batchEventsMax: 3,
  });
  const confirmations: Promise<unknown>[] = [];
  for (let n = 0; n < EVENTS; n += 1) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const options = { partition, sequence: [0, n, 0] as const };
      confirmations.push(producer.sendAndConfirm({ mark: `mark-${partition}-${n};` }, options));
    }
    if (n % 2 === 0) await Promise.race(confirmations.slice(-PARTITIONS));
  }
  await Promise.all(confirmations);
  await producer.close();
  child.kill("SIGTERM");
  await closed;
  const calls = parseCalls(await readFile(trace, "utf8"));
  const acks = acksOf(calls);
  assert.is(acks.length, EVENTS * PARTITIONS, "every event was acknowledged");
  assert.ok(new Set(acks.map(({ leftAt }) => leftAt)).size > 100, "in more than a hundred acks");
  const rule = { file: /\/data\.mdb>/, marks: /mark-\d+-\d+;/g, hasCommitWrite: true };
  assert.equal(answersBeforeFlush(calls, rule, acks).slice(0, 5), []);
  await rm(folder, { recursive: true });
});

test.run();
