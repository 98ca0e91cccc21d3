/**
 * Appends that are forwarded to the owner's node and answered, between two processes. A link and a bare WebSocket with msgpackr
 * alternate, with batches of 500 events of 150 bytes, and of 10 events. Prints events a second, and the cpu of both
 * processes for each event.
 *
 *   node --import tsx bench/cluster/peers.bench.ts [rounds] [ms of each measurement]
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Packr } from "msgpackr";
import WebSocket from "ws";
import type { ActorReference } from "../../actors/kernel/actor.ts";
import { createActorSystem } from "../../actors/kernel/actor_system.ts";
import { realWorld } from "../../actors/kernel/world.ts";
import type { PartitionReply, PartitionRequest, ReplyTo } from "../../actors/partition/partition.ts";
import { createPeerLinks } from "../../actors/transport/peer/peer_links.ts";
import { nodeId } from "../../protocols/position.ts";
import { cpuMs } from "../support/process_cpu.ts";
import { medians, record } from "../support/results.ts";

const [rounds = "5", forMs = "2000"] = process.argv.slice(2);
const PARTITIONS = 16;
/** Appends in flight for each partition. */
const IN_FLIGHT = 2;
const EVENT_BYTES = 150;

const owner = spawn(process.execPath, ["--import", "tsx", "bench/support/peer_owner.ts"], {
  stdio: ["pipe", "pipe", "inherit"],
});
const [firstLine] = (await once(owner.stdout, "data")) as [Buffer];
const port = Number(firstLine.toString());

const world = realWorld();
const system = await createActorSystem();
const links = await createPeerLinks({
  self: { node: nodeId("forwarder"), incarnation: 1 },
  clusterId: "bench",
  times: { heartbeatEveryMs: 500, silentAfterMs: 2_000 },
  setTimer: world.setTimer,
  random: world.random,
  onDeadLetter: (path, reason) => console.error(`dead letter of ${path}: ${reason}`),
  onProblem: (error) => console.error(error),
});
const isLinked = new Promise<void>((resolve) => links.onLink(({ kind }) => kind === "up" && resolve()));
links.keep([{ node: nodeId("owner"), incarnation: 1, address: `ws://127.0.0.1:${port}/v1/peer` }]);
await isLinked;
const bare = new WebSocket(`ws://127.0.0.1:${port}/bare`, { perMessageDeflate: false });
await once(bare, "open");
const packr = new Packr({ useRecords: false });

/** Sends one append for a partition; its answer goes to `onReply`. */
type Forward = (partition: number, append: Omit<Extract<PartitionRequest, { type: "append" }>, "replyTo">) => void;
let onReply: (reply: PartitionReply) => void = () => undefined;

const session: ReplyTo = system.spawn<PartitionReply>({
  name: "session",
  start: () => ({ receive: (reply) => onReply(reply) }),
});
const owners = Array.from({ length: PARTITIONS }, (_, partition) =>
  links.reference<PartitionRequest>(nodeId("owner"), `owner-${partition}`),
);
bare.on("message", (data: Buffer) => onReply(packr.unpack(data) as PartitionReply));

const contenders: Readonly<Record<string, Forward>> = {
  link: (partition, append) =>
    void (owners[partition] as ActorReference<PartitionRequest>).send(
      { ...append, replyTo: session },
      append.items.reduce((sum, { batch }) => sum + batch.events.length, 0),
    ),
  "bare ws and msgpackr": (_partition, append) => bare.send(packr.pack(append)),
};
const bothCpuMs = (): number => cpuMs(process.pid) + cpuMs(owner.pid ?? 0);

async function measure(forward: Forward, batchEvents: number): Promise<{ perSecond: number; cpuUsPerEvent: number }> {
  const events = randomBytes(batchEvents * EVENT_BYTES);
  let requestId = 0;
  let answered = 0;
  let inFlight = 0;
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const send = (partition: number): void => {
    requestId += PARTITIONS;
    inFlight += 1;
    const batch = {
      producerId: "producer-of-the-bench",
      producerEpoch: 1_700_000_000_000,
      previousSequence: [0, requestId, 0],
      sequences: { first: [0, requestId + 1, 0], count: batchEvents },
      schemaVersion: 1,
      events,
      appendedAtMs: 1_700_000_000_000,
    } as const;
    forward(partition, { type: "append", items: [{ requestId: requestId + partition, batch }] });
  };
  const cpuBefore = bothCpuMs();
  const startedAt = performance.now();
  const endAt = startedAt + Number(forMs);
  onReply = ({ answers }) => {
    for (const { requestId: of } of answers) {
      answered += 1;
      inFlight -= 1;
      if (performance.now() < endAt) send(of % PARTITIONS);
      else if (inFlight === 0) finish();
    }
  };
  for (let n = 0; n < PARTITIONS * IN_FLIGHT; n += 1) send(n % PARTITIONS);
  await finished;
  const tookMs = performance.now() - startedAt;
  const total = answered * batchEvents;
  return { perSecond: (total / tookMs) * 1_000, cpuUsPerEvent: ((bothCpuMs() - cpuBefore) * 1_000) / total };
}

const runs: Record<string, number[]> = {};
const cpu: Record<string, number[]> = {};
for (let round = 0; round <= Number(rounds); round += 1) {
  for (const batchEvents of [500, 10]) {
    for (const [name, forward] of Object.entries(contenders)) {
      const { perSecond, cpuUsPerEvent } = await measure(forward, batchEvents);
      if (round === 0) continue; // a round to warm up
      const key = `${name}, ${batchEvents} events a batch`;
      runs[key] = [...(runs[key] ?? []), Math.round(perSecond)];
      cpu[key] = [...(cpu[key] ?? []), Number(cpuUsPerEvent.toFixed(4))];
    }
  }
}
const [median, medianCpu] = [medians(runs), medians(cpu)];
for (const key of Object.keys(runs)) {
  console.log(`${key}: ${Math.round((median[key] ?? 0) / 1_000)} k events/s, ${medianCpu[key]} us of cpu an event`);
}
const ratioOf = (of: Record<string, number>, batch: number): number =>
  (of[`link, ${batch} events a batch`] ?? 0) / (of[`bare ws and msgpackr, ${batch} events a batch`] ?? 1);
record({
  name: "peers",
  command: `node --import tsx bench/cluster/peers.bench.ts ${rounds} ${forMs}`,
  workload: `${PARTITIONS} partitions, ${IN_FLIGHT} batches in flight each, events of ${EVENT_BYTES} bytes, a reply to each batch`,
  runs,
  median,
  cpuUsPerEvent: medianCpu,
  ratios: {
    "link over bare, batches of 500": ratioOf(median, 500),
    "link over bare, batches of 10": ratioOf(median, 10),
    "cpu of link over bare, batches of 500": ratioOf(medianCpu, 500),
    "cpu of link over bare, batches of 10": ratioOf(medianCpu, 10),
  },
});
bare.close();
await links.close();
await system.shutdown();
owner.stdin.end();
