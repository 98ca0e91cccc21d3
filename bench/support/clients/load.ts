/** The load of a benchmark of clusters: generators in processes of their own, and figures from their acks. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { Consumer, connectWebSocket, Producer } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import { workloadEvent } from "../../workload.ts";
import { ownedProcess, STREAM } from "../bench_cluster.ts";
import { delay, monotonicMs } from "../monotonic.ts";
import type { FromLoad, LoadSummary, ToLoad } from "./load_messages.ts";

const PROGRAM = fileURLToPath(new URL("./load_process.ts", import.meta.url));
const DRAINED_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 50;
/** Longest wait for a record while the log is read back, in ms. */
const READ_STALLED_MS = 60_000;
/** The client number of the events that mark the end of the log. */
const LAST = -1;

/** One ack: when it came, and when the oldest and the newest of its events were due. */
export interface Ack {
  readonly partition: number;
  readonly client: number;
  readonly atMs: number;
  readonly oldestMs: number;
  readonly newestMs: number;
}

export interface LoadOptions {
  readonly addresses: readonly string[];
  readonly partitions: number;
  readonly generators: number;
  readonly eventsTogether?: number;
  readonly lingerMs?: number;
  /** Whether each generator stays with one address, the first with the first. */
  readonly forward?: boolean;
  /** Unlike the names of other loads in the same run. */
  readonly name?: string;
}

interface Generator {
  readonly child: ChildProcess;
  ask<Type extends FromLoad["type"]>(message: ToLoad, answer: Type): Promise<Extract<FromLoad, { type: Type }>>;
}

export class Load {
  readonly #generators: readonly Generator[];
  ackedEvents = 0;
  pendingEvents = 0;

  private constructor(generators: readonly Generator[]) {
    this.#generators = generators;
  }

  /** Resolves once each generator has opened its chain in every partition. */
  static async start(options: LoadOptions): Promise<Load> {
    const { addresses, partitions, generators, eventsTogether = 1, lingerMs = 20, forward = false } = options;
    const { name = `load-${Date.now()}` } = options;
    const made = Array.from({ length: generators }, () => startGenerator());
    await Promise.all(
      made.map((generator, client) => {
        // First addresses are spread over the nodes. A generator that stays has only this one.
        const at = client % addresses.length;
        const own = [...addresses.slice(at), ...addresses.slice(0, at)].slice(0, forward ? 1 : undefined);
        const about = { partitions, eventsTogether, lingerMs, forward, client, stream: STREAM };
        const settings = { ...about, addresses: own, producerId: `${name}-${client}` };
        return generator.ask({ type: "start", settings }, "ready");
      }),
    );
    return new Load(made);
  }

  /** Sets the rate of all generators together. */
  setRate(eventsPerSecond: number): void {
    const each = eventsPerSecond / this.#generators.length;
    for (const { child } of this.#generators) child.send({ type: "rate", eventsPerSecond: each } satisfies ToLoad);
  }

  /** The acks since the last call, in order of arrival for each partition and client. */
  async take(): Promise<readonly Ack[]> {
    const answers = await Promise.all(this.#generators.map((generator) => generator.ask({ type: "take" }, "acks")));
    this.ackedEvents = answers.reduce((sum, { ackedEvents }) => sum + ackedEvents, 0);
    this.pendingEvents = answers.reduce((sum, { pendingEvents }) => sum + pendingEvents, 0);
    return answers.flatMap(({ partitions }, client) =>
      partitions.flatMap((times, partition) => {
        const acks: Ack[] = [];
        for (let at = 0; at < times.length; at += 3) {
          const [atMs = 0, oldestMs = 0, newestMs = 0] = times.slice(at, at + 3);
          acks.push({ partition, client, atMs, oldestMs, newestMs });
        }
        return acks;
      }),
    );
  }

  /** Waits until no event is under way. Acks meanwhile are not kept. */
  async drained(): Promise<void> {
    for (const endMs = monotonicMs() + DRAINED_WITHIN_MS; monotonicMs() < endMs; await delay(LOOK_EVERY_MS)) {
      await this.take();
      if (this.pendingEvents === 0) return;
    }
    throw new Error(`${this.pendingEvents} events are not acknowledged after ${DRAINED_WITHIN_MS} ms without load`);
  }

  /** Waits for the events under way, and ends the generators. */
  async close(): Promise<readonly LoadSummary[]> {
    const closed = await Promise.all(this.#generators.map((generator) => generator.ask({ type: "close" }, "closed")));
    for (const { child } of this.#generators) child.disconnect();
    return closed.map(({ summary }) => summary);
  }
}

function startGenerator(): Generator {
  const child = ownedProcess(
    fork(PROGRAM, {
      execArgv: ["--import", "tsx"],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    }),
  );
  return {
    child,
    ask: (message, answer) =>
      new Promise((resolve, reject) => {
        const ended = () => reject(new Error("a load generator ended"));
        const hear = (heard: FromLoad) => {
          if (heard.type !== answer) return;
          child.off("message", hear);
          child.off("exit", ended);
          resolve(heard as never);
        };
        child.on("message", hear);
        child.once("exit", ended);
        child.send(message);
      }),
  };
}

/** The faults in summaries: everything but events that were made and acknowledged. */
export function faultsOf(summaries: readonly LoadSummary[]): readonly string[] {
  return summaries.flatMap(({ sent, acked, inDoubt, rejected, lost, failure }, client) => {
    const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);
    const unacked = total(sent) - total(acked);
    const found = { inDoubt, rejected, lost, unacked };
    const faults = Object.entries(found).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]));
    if (failure !== undefined) faults.push(failure);
    return faults.map((fault) => `producer ${client}: ${fault}`);
  });
}

const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never });

/**
 * Reads the whole log and compares it with the acknowledged events: every event of each producer once, in order, in its
 * partition. Answers the number of events, and the first faults.
 */
export async function readBack(
  addresses: readonly string[],
  partitions: number,
  summaries: readonly LoadSummary[],
): Promise<{ readonly events: number; readonly faults: readonly string[] }> {
  const producer = new Producer({ connect, addresses, producerId: `last-${Date.now()}`, stream: STREAM });
  for (let partition = 0; partition < partitions; partition += 1) {
    await producer.sendAndConfirm({ ...workloadEvent(0, 0), id: `${LAST}` }, { partition });
  }
  await producer.close();
  const next = summaries.map(({ acked }) => acked.map(() => 0));
  const faults: string[] = [];
  let events = 0;
  let left = partitions;
  const consumer = new Consumer({ connect, addresses });
  const stalled = new AbortController();
  let timer = setTimeout(() => stalled.abort(), READ_STALLED_MS);
  try {
    for await (const item of consumer.subscribe({ stream: STREAM, from: "earliest", signal: stalled.signal })) {
      clearTimeout(timer);
      timer = setTimeout(() => stalled.abort(), READ_STALLED_MS);
      if (item.kind !== "records") {
        faults.push(`partition ${item.partition}: the reader was told ${item.kind}`);
        continue;
      }
      const { partition } = item;
      for (const { event } of item.records) {
        const client = Number.parseInt(String(event.id), 10);
        if (client === LAST) {
          left -= 1;
          continue;
        }
        events += 1;
        const expected = next[client]?.[partition] ?? 0;
        if (event.count !== expected) {
          faults.push(`partition ${partition}: event ${event.count} of producer ${client} where ${expected} was due`);
        }
        (next[client] ?? [])[partition] = Number(event.count) + 1;
      }
      if (left === 0) break;
    }
  } finally {
    clearTimeout(timer);
    consumer.close();
  }
  if (left > 0) faults.push(`the end of ${left} partitions was not read`);
  for (const [client, { acked }] of summaries.entries()) {
    for (const [partition, count] of acked.entries()) {
      const read = next[client]?.[partition] ?? 0;
      if (read !== count)
        faults.push(`partition ${partition}: ${count} of producer ${client} acknowledged, ${read} read`);
    }
  }
  return { events, faults: faults.slice(0, 20) };
}

// What acks tell ------------------------------------------------------------------------------------------------------

/** The acks grouped by partition and client. */
export function byChain(acks: readonly Ack[]): readonly (readonly Ack[])[] {
  const chains = new Map<string, Ack[]>();
  for (const ack of acks) {
    const key = `${ack.partition} ${ack.client}`;
    const chain = chains.get(key);
    if (chain === undefined) chains.set(key, [ack]);
    else chain.push(ack);
  }
  return [...chains.values()];
}

/** When the first event that was due after `sinceMs` was acknowledged; undefined if none was. */
export const firstAckAfter = (acks: readonly Ack[], sinceMs: number): number | undefined => {
  const found = acks.filter(({ newestMs }) => newestMs > sinceMs).map(({ atMs }) => atMs);
  return found.length === 0 ? undefined : Math.min(...found);
};

/** Times between acks of one chain or partition that ended in `[fromMs, untilMs]`. */
export function gapsOf(acks: readonly Ack[], fromMs: number, untilMs: number): number[] {
  const times = acks.map(({ atMs }) => atMs).sort((left, right) => left - right);
  return times.flatMap((atMs, at) => {
    const before = times[at - 1];
    return before === undefined || atMs < fromMs || atMs > untilMs ? [] : [atMs - before];
  });
}
