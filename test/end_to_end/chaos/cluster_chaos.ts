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
import { ClusterFaults } from "./cluster_chaos_faults.ts";
import { checkRequests, judge, StreamHistory } from "./cluster_chaos_history.ts";
import {
  checkPairs,
  checkTallies,
  type LostEvent,
  PAIRS,
  pairOf,
  pairPipeline,
  readPairs,
  readTallies,
  TALLIES,
  type TalliedEvent,
  tallyPipeline,
  unclosedPartition,
} from "./cluster_chaos_pipelines.ts";
import { ProducerProcess } from "./cluster_chaos_producers.ts";

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
/** `ledger` loses no event when Redis fails over. `readings` may lose a tail, and reports it. */
const STREAMS = { ledger: 12, readings: 12 } as const;
const SINKS_OF: Readonly<Record<keyof typeof STREAMS, number>> = { ledger: 4, readings: 2 };
const SETTLE_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 100;
/** One in this many events of `ledger` is posted. The number has no common factor with the number of partitions. */
const HOOK_EVERY = 17;
const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket: WebSocket as never });

const schema = `{ type: object, required: [id, n], properties: { id: { type: string }, n: { type: integer } } }`;
const configurationText = (redisUrl: string, folder: string, endpointPort: number): string => `
log: { type: redis, url: "${redisUrl}" }
streams:
  ledger: { partitions: ${STREAMS.ledger}, durability: { replicas: 1 }, schema: ${schema} }
  readings: { partitions: ${STREAMS.readings}, durability: everysec, schema: ${schema} }
  ${TALLIES.stream}: { partitions: ${TALLIES.partitions}, durability: { replicas: 1 } }
  ${PAIRS.stream}: { partitions: ${PAIRS.partitions}, durability: { replicas: 1 } }
sinks:
  archive_ledger: { type: file, directory: ${folder}/archive, shared: true, segmentBytesMax: 50000 }
  archive_readings: { type: file, directory: ${folder}/archive, shared: true, segmentBytesMax: 50000 }
  hook: { type: http, url: "http://127.0.0.1:${endpointPort}/", timeoutMs: 1000 }
  ${TALLIES.stream}: { type: stream, stream: ${TALLIES.stream} }
  ${PAIRS.stream}: { type: stream, stream: ${PAIRS.stream} }
pipelines:
  keep_ledger: { from: ledger, to: [archive_ledger] }
  keep_readings: { from: readings, to: [archive_readings] }
  post: { from: ledger, steps: [{ filter: "event.n % ${HOOK_EVERY} == 0" }], to: [hook] }
  tally_ledger: ${tallyPipeline("ledger")}
  tally_readings: ${tallyPipeline("readings")}
  pair: ${pairPipeline("ledger", "readings")}
`;

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
    await this.#atRest();
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
    await this.#atRest();
    const freshAtMs = Date.now();
    await this.#sendFresh();
    const log = await openLog(await configurationOf(this.#yaml, this.#folder));
    try {
      await this.#delivered(log, freshAtMs);
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

  /** Whether all live nodes agree: each partition has a live owner that confirms it, and no move is under way. */
  #atRest(): Promise<void> {
    return this.#eventually("every partition has one live owner", async () => {
      const live = this.#nodes.filter(({ isRunning }) => isRunning);
      const overviews = await Promise.all(live.map((node) => node.overview()));
      const [first] = overviews;
      if (first === undefined) return "no node runs";
      const isServing = (name: string) =>
        first.nodes.some((node) => node.name === name && (node.state === "ready" || node.state === "probation"));
      const away = live.find(({ name }) => !isServing(name));
      if (away !== undefined) await this.#undrain(away.name, live);
      if (away !== undefined) return `${away.name} is ${JSON.stringify(first.nodes)}`;
      for (const [at, { owner, state, stream, partition }] of first.partitions.entries()) {
        const name = `${stream}/${partition}`;
        const others = overviews.map(({ partitions }) => partitions[at]?.owner);
        if (others.some((other) => other !== owner)) return `${name} is owned by ${others.join(", ")}`;
        const own = overviews[live.findIndex((node) => node.name === owner)]?.partitions[at];
        if (state !== "owned" || own?.state !== "owned")
          return `${name} of ${owner} is ${state}, ${own?.state} to itself`;
      }
      const moving = overviews.find(({ moves }) => moves.length > 0);
      return moving === undefined ? undefined : `moves: ${JSON.stringify(moving.moves)}`;
    });
  }

  /** Ends a drain again, like a person, if its end was lost with Redis' tail. */
  async #undrain(name: string, live: readonly NodeProcess[]): Promise<void> {
    if (this.#faults?.mayHaveLostTheEndOfDrain(name) !== true) return;
    this.#say(`${name} is asked again to be drained no more`);
    await live[0]?.json(`/v1/cluster/nodes/${name}/undrain`, "POST").catch(() => undefined); // looked at again
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

  /** Waits until every sink and every reader stands at the end of the log, and the window of every fresh event has closed. */
  #delivered(log: Log, freshAtMs: number): Promise<void> {
    const counted = Object.entries(STREAMS).flatMap(([stream, partitions]) =>
      Array.from({ length: partitions }, (_, partition) => [stream, partition] as const),
    );
    return this.#eventually("sinks and readers stand at the end of the log", async () => {
      // Asked before the sinks' lag, so that all windows that closed with these are delivered.
      const unclosed = unclosedPartition(await readTallies(log), counted, freshAtMs);
      if (unclosed !== undefined) return `the last window of ${unclosed} has not closed`;
      const live = this.#nodes.filter(({ isRunning }) => isRunning);
      const { partitions } = await live[0]!.overview();
      const standings = new Map<string, readonly Standing[]>();
      for (const node of live) standings.set(node.name, (await node.json<{ sinks: Standing[] }>("/v1/sinks")).sinks);
      for (const { stream, partition, owner = "" } of partitions) {
        if (!(stream in STREAMS)) continue;
        const node = live.find(({ name }) => name === owner);
        if (node === undefined) return `${stream}/${partition} is owned by ${owner}`;
        const path = `/v1/streams/${stream}/partitions/${partition}/records?limit=1`;
        const { endOffset } = await node.json<{ endOffset: number }>(path);
        const own = standings.get(owner)?.filter((one) => one.stream === stream && one.partition === partition) ?? [];
        if (own.length !== SINKS_OF[stream as keyof typeof STREAMS]) {
          return `${stream}/${partition} has ${own.length} sinks`;
        }
        const isBehind = ({ sink, nextOffset, lagRecords, state }: Standing) =>
          state !== "delivering" ||
          (sink === TALLIES.stream || sink === PAIRS.stream ? lagRecords > 0 : nextOffset !== endOffset);
        const behind = own.find(isBehind);
        if (behind !== undefined) return `the log ends at ${endOffset}: ${JSON.stringify(behind)}`;
        const history = this.#histories.find((one) => one.stream === stream)!;
        for (const { reader, partition: of, observations } of history.readers) {
          const last = observations.findLast(({ kind }) => kind === "record");
          if (of === partition && last?.offset !== endOffset - 1) {
            return `${reader} of ${stream}/${partition} is at ${last?.offset} of ${endOffset}`;
          }
        }
      }
      return undefined;
    });
  }

  /** @param probe answers the missing parts */
  async #eventually(what: string, probe: () => Promise<string | undefined>): Promise<void> {
    let missing: string | undefined = "nothing yet";
    for (const deadline = Date.now() + SETTLE_WITHIN_MS; Date.now() < deadline; await delay(LOOK_EVERY_MS)) {
      missing = await probe().catch(String);
      if (missing === undefined) return;
      this.#options.signal?.throwIfAborted();
    }
    throw new Error(`Cannot go on as within ${SETTLE_WITHIN_MS} ms it must come about that ${what}: ${missing}`);
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

interface Standing {
  readonly sink: string;
  readonly stream: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly lagRecords: number;
  readonly state: string;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The field `n` of an event, by its id. */
const numberOf = (id: string): number => (id.startsWith("fresh-") ? HOOK_EVERY : Number(id.split("-").at(-1)));

const PARTITIONS_OF_ALL = STREAMS.ledger + STREAMS.readings;

/** The field `pair` of an event, by its id. */
const pairOfId = (id: string): string => {
  const at = id.lastIndexOf("-");
  return id.startsWith("fresh-") ? "fresh" : pairOf(id.slice(0, at), Number(id.slice(at + 1)), PARTITIONS_OF_ALL);
};

/** Whether the pipeline's filter lets the event through. */
const isPosted = (id: string): boolean => numberOf(id) % HOOK_EVERY === 0;
