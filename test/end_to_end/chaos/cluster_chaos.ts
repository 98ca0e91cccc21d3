/**
 * Runs a cluster of real processes under random faults. The nodes stand over a Redis with a replica, each behind its own
 * link. Some producers follow owners and some stay. Beside them are readers, a file sink in a folder that all nodes
 * share, and the endpoint of an http sink. Nodes are killed, frozen, cut off, added, drained and ended in order; Redis dies
 * and fails over. Then everything must come to rest within a bound (G7), and the checker compares all answers, logs and
 * sinks.
 */
import { appendFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import type { Log } from "../../../actors/log/log.ts";
import { Consumer } from "../../../protocols/client/consumer/consumer.ts";
import { connectWebSocket, Producer } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK } from "../../../protocols/wire/frames.ts";
import { type LocalProcess, startProcess } from "../../../scripts/console/local_cluster/local_process.ts";
import { openLog } from "../../../supervisors/node/open_log.ts";
import type { Observation, Problem, Told } from "../../support/checker.ts";
import { NodeProcess } from "../../support/processes/node_process.ts";
import { configurationOf } from "../../support/processes/running_node.ts";
import { RedisPair } from "../../support/redis/redis_pair.ts";
import { freePort } from "../../support/redis/redis_server.ts";
import { seededRandom } from "../../support/seeded_random.ts";
import {
  checkPairs,
  checkTallies,
  type LostEvent,
  readPairs,
  readTallies,
  type TalliedEvent,
} from "./chaos_pipelines.ts";
import { configurationText, HOOK_EVERY, isPosted, numberOf, pairOfId, STREAMS } from "./cluster_chaos_configuration.ts";
import { ClusterFaults } from "./cluster_chaos_faults.ts";
import { checkRequests, judge, StreamHistory } from "./cluster_chaos_history.ts";
import { ProducerProcess } from "./cluster_chaos_producers.ts";
import { ClusterAtRest, SETTLE_WITHIN_MS } from "./cluster_chaos_rest.ts";

export interface ClusterChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Rate of all producers together. */
  readonly eventsPerSecond: number;
  /** Ends everything, once the faults under way are mended. */
  readonly signal?: AbortSignal;
  say(line: string): void;
}

export interface ClusterChaosResult {
  readonly problems: readonly Problem[];
  /** How often each kind of fault happened; 0 for none. */
  readonly faults: Readonly<Record<string, number>>;
  readonly timeline: readonly string[];
  /** The folder, which is kept if there are problems. */
  readonly folder: string;
  readonly sent: number;
  readonly acked: number;
  readonly stored: number;
  readonly archived: number;
  readonly posted: number;
  /** How many windows were counted. */
  readonly tallies: number;
  /** How many records of two streams were joined. */
  readonly pairs: number;
  /** How many events were lost with a tail, as their tier allows, and were reported. */
  readonly lostWithTail: number;
  /** Time from the end of the faults until everything was at rest. */
  readonly settledAfterMs: number;
}

const NODES_FIRST = 3;
const NODES_MAX = 5;
const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never });

/**
 * Runs the chaos, and answers the checker's findings. Rejects with the timeline and the folder if it does not come to
 * rest.
 */
export async function runClusterChaos(options: ClusterChaosOptions): Promise<ClusterChaosResult> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-cluster-chaos-"));
  const chaos = new ClusterChaos(options, folder);
  try {
    await chaos.begin();
    await chaos.breakThings();
    const result = await chaos.finish();
    await chaos.end();
    if (result.problems.length === 0) await rm(folder, { recursive: true, force: true });
    return result;
  } catch (error) {
    const timeline = chaos.timeline.join("\n");
    await writeFile(join(folder, "timeline"), `${timeline}\n${(error as Error).message}\n`);
    throw new Error(`${(error as Error).message}\nseed ${options.seed}, kept in ${folder}\n${timeline}`, {
      cause: error,
    });
  } finally {
    await chaos.end();
  }
}

class ClusterChaos {
  readonly timeline: string[] = [];
  readonly #options: ClusterChaosOptions;
  readonly #folder: string;
  readonly #beganAtMs = performance.now();
  readonly #histories = Object.entries(STREAMS).map(
    ([stream, partitions]) => new StreamHistory(stream, partitions, stream === "readings"),
  );
  readonly #nodes: NodeProcess[] = [];
  readonly #producers: ProducerProcess[] = [];
  readonly #consumers: Consumer[] = [];
  readonly #problems: Problem[] = [];
  #pair: RedisPair | undefined;
  #endpoint: LocalProcess | undefined;
  #faults: ClusterFaults | undefined;
  #rest: ClusterAtRest | undefined;
  #yaml = "";
  #ending: Promise<void> | undefined;

  constructor(options: ClusterChaosOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
  }

  #say(what: string): void {
    const line = `${((performance.now() - this.#beganAtMs) / 1_000).toFixed(2)} s  ${what}`;
    this.timeline.push(line);
    appendFileSync(join(this.#folder, "timeline"), `${line}\n`);
    this.#options.say(line);
  }

  get #requestsFile(): string {
    return join(this.#folder, "requests");
  }

  async begin(): Promise<void> {
    this.#pair = await RedisPair.start();
    const endpointPort = await freePort();
    await writeFile(this.#requestsFile, "");
    this.#endpoint = await startProcess({
      program: process.execPath,
      args: ["--import", "tsx", here("./chaos_endpoint.ts"), String(endpointPort), this.#requestsFile],
      logFile: join(this.#folder, "endpoint.log"),
      hasInput: true,
    });
    this.#yaml = configurationText(this.#pair.url, this.#folder, endpointPort);
    for (let number = 1; number <= NODES_MAX; number += 1) {
      this.#nodes.push(await NodeProcess.place(`node-${number}`, this.#folder, this.#yaml));
    }
    await Promise.all(this.#nodes.slice(0, NODES_FIRST).map((node) => node.start()));
    this.#faults = new ClusterFaults({
      ...{ nodes: this.#nodes, pair: this.#pair, random: seededRandom(this.#options.seed) },
      say: (line) => this.#say(line),
    });
    this.#rest = new ClusterAtRest({
      ...{ nodes: this.#nodes, faults: this.#faults, histories: this.#histories, signal: this.#options.signal },
      say: (line) => this.#say(line),
    });
    await this.#rest.partitions();
    this.#say("the cluster is up");
    this.#startReaders();
    await this.#startProducers();
  }

  async #startProducers(): Promise<void> {
    const all = this.#nodes.slice(0, NODES_FIRST).map(({ endpoint }) => endpoint);
    const plans = [
      { id: "follows-1", addresses: all, forward: false },
      { id: "follows-2", addresses: all.toReversed(), forward: false },
      { id: "stays", addresses: all, forward: true },
      // The producer waits while that node is gone, and loses no event.
      { id: "knows-one", addresses: all.slice(0, 1), forward: false },
    ];
    const eventsPerSecond = this.#options.eventsPerSecond / plans.length;
    for (const plan of plans) {
      const full = { ...plan, eventsPerSecond, streams: STREAMS, settleWithinMs: SETTLE_WITHIN_MS };
      this.#producers.push(await ProducerProcess.start(full, this.#folder, this.#histories));
    }
  }

  #startReaders(): void {
    const addresses = this.#nodes.slice(0, NODES_FIRST).map(({ endpoint }) => endpoint);
    for (const forward of [false, true]) {
      const name = forward ? "the reader that stays" : "the reader that follows";
      const consumer = new Consumer({ connect, addresses, forward });
      this.#consumers.push(consumer);
      for (const history of this.#histories) {
        const seen = Array.from({ length: history.partitions }, (_, partition) => history.observe(name, partition));
        this.#read(consumer, history.stream, seen).catch((error: Error) =>
          this.#problems.push({
            kind: "not delivered",
            detail: `${name} of ${history.stream} ended: ${error.message}`,
          }),
        );
      }
    }
  }

  async #read(consumer: Consumer, stream: string, seen: readonly Observation[][]): Promise<void> {
    for await (const item of consumer.subscribe({ stream, from: "earliest" })) {
      const observations = seen[item.partition];
      if (item.kind === "truncated") observations?.push({ kind: "truncated", offset: item.divergence });
      if (item.kind === "trimmed") this.#problems.push({ kind: "skipped", detail: `${stream} was trimmed` });
      if (item.kind !== "records") continue;
      for (const { position, event } of item.records) {
        observations?.push({ kind: "record", ...position, id: String(event.id) });
      }
    }
  }

  async breakThings(): Promise<void> {
    await this.#faults?.run(this.#options.seconds * 1_000, this.#options.signal);
    // One producer knows only the first node's address.
    await Promise.all(this.#nodes.slice(0, NODES_FIRST).map((node) => (node.isRunning ? undefined : node.start())));
    this.#say("the faults are over");
  }

  async finish(): Promise<ClusterChaosResult> {
    const overAtMs = performance.now();
    const ended = await this.#unlessAborted(Promise.all(this.#producers.map((producer) => producer.finish())));
    for (const problem of ended) if (problem !== undefined) this.#problems.push(problem);
    this.#say("the producers have ended");
    await this.#rest!.partitions();
    const freshAtMs = Date.now();
    await this.#sendFresh();
    const log = await openLog(await configurationOf(this.#yaml, this.#folder));
    try {
      await this.#rest!.delivered(log, freshAtMs);
      const settledAfterMs = Math.round(performance.now() - overAtMs);
      this.#say("everything is at rest");
      await this.#stop();
      return { ...(await this.#judge(log)), settledAfterMs };
    } finally {
      await log.close();
    }
  }

  async #stop(): Promise<void> {
    for (const consumer of this.#consumers) consumer.close();
    for (const node of this.#nodes.filter(({ isRunning }) => isRunning)) {
      const ending = await node.stop();
      if (ending !== "exit code 0") this.#problems.push({ kind: "untold", detail: `${node.name} ended: ${ending}` });
    }
    for (const ending of this.#nodes.flatMap(({ endings }) => endings)) {
      this.#problems.push({ kind: "untold", detail: ending });
    }
  }

  async #unlessAborted<Value>(work: Promise<Value>): Promise<Value> {
    const { signal = new AbortController().signal } = this.#options;
    const aborted = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    return Promise.race([work, aborted]);
  }

  /** Sends one event to each partition, by a producer that met no fault. */
  async #sendFresh(): Promise<void> {
    const addresses = this.#nodes.filter(({ isRunning }) => isRunning).map(({ endpoint }) => endpoint);
    const producer = new Producer({ connect, addresses, producerId: "fresh" });
    const confirmed = this.#histories.flatMap(({ stream, partitions, sent, told }) =>
      Array.from({ length: partitions }, async (_, partition) => {
        const id = `fresh-${stream}-${partition}`;
        sent.push({ id, producer: "fresh", partition, order: 0 });
        const { kind } = await producer.sendAndConfirm(
          { id, n: HOOK_EVERY, pair: pairOfId(id) },
          { stream, partition },
        );
        told.set(id, kind === "stored" ? "acked" : "rejected");
      }),
    );
    const isDone = await Promise.race([
      Promise.all(confirmed).then(() => true),
      delay(SETTLE_WITHIN_MS, false, { ref: false }),
    ]);
    await producer.close({ timeoutMs: 1_000 });
    if (!isDone) throw new Error(`Cannot go on as fresh events must be acknowledged within ${SETTLE_WITHIN_MS} ms`);
  }

  async #judge(log: Log): Promise<Omit<ClusterChaosResult, "settledAfterMs">> {
    const totals = { sent: 0, acked: 0, stored: 0, archived: 0, lostWithTail: 0 };
    const problems = [...this.#problems];
    let posted: readonly string[] = [];
    const stored: TalliedEvent[] = [];
    const lost: LostEvent[] = [];
    for (const history of this.#histories) {
      const judged = await judge(history, log, join(this.#folder, "archive"));
      problems.push(...judged.problems);
      totals.sent += history.sent.length;
      totals.acked += [...history.told.values()].filter((told: Told) => told === "acked").length;
      totals.stored += judged.stored.length;
      totals.archived += judged.archived;
      totals.lostWithTail += judged.lostWithTail;
      if (history.stream === "ledger") posted = judged.stored.map(({ id }) => id).filter(isPosted);
      stored.push(...judged.stored.map((event) => ({ ...event, stream: history.stream })));
      const kept = new Set(judged.stored.map(({ id }) => id));
      // `ledger` loses no event that a pipeline has read.
      if (history.stream === "readings")
        lost.push(...history.sent.filter(({ id }) => !kept.has(id)).map((event) => ({ ...event, stream: "readings" })));
    }
    const [tallies, pairs] = [await readTallies(log), await readPairs(log)];
    const storedIn = (stream: string) => stored.filter((event) => event.stream === stream);
    problems.push(...checkPairs(pairs, [storedIn("ledger"), storedIn("readings")], pairOfId));
    problems.push(...checkTallies(tallies, stored, lost, numberOf));
    problems.push(...(await checkRequests(this.#requestsFile, posted)));
    const faults = this.#faults?.counts ?? {};
    const counts = { posted: posted.length, tallies: tallies.length, pairs: pairs.length, ...totals };
    return { problems, faults, timeline: this.timeline, folder: this.#folder, ...counts };
  }

  /** Ends all processes that were started here, whatever their state. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    for (const consumer of this.#consumers) consumer.close();
    await Promise.all([
      ...this.#producers.map((producer) => producer.end()),
      ...this.#nodes.map((node) => node.end()),
      this.#endpoint?.stop(0),
    ]);
    await this.#pair?.stop();
  }
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
