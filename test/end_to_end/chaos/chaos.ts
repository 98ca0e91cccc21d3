/**
 * Runs real processes under random faults: producers, a node on a real log with a file sink and a pipeline that counts in
 * windows, and the endpoint of an http sink. They are killed with SIGKILL and frozen with SIGSTOP while they work. Then the
 * checker compares the answers to the producers, the records of the log, the windows, the commits of the file sink and the
 * keys at the endpoint. Signals go only to processes that it started, by their id.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { DeadLetter } from "../../../actors/log/dead_letter.ts";
import type { Channel, Log } from "../../../actors/log/log.ts";
import { recordsOf } from "../../../actors/log/stored_records.ts";
import { offset, type Position, partitionId } from "../../../protocols/position.ts";
import { decodeSlice } from "../../../protocols/values/event_codec.ts";
import { openLog } from "../../../supervisors/node/open_log.ts";
import {
  checkHistory,
  type LoggedEvent,
  type Problem,
  type SentEvent,
  type SinkHistory,
  type Told,
} from "../../support/checker.ts";
import { headraceArguments } from "../../support/processes/headrace_program.ts";
import { configurationOf } from "../../support/processes/running_node.ts";
import { readFileSink } from "../../support/read_file_sink.ts";
import { freePort, type RedisServer, startRedis } from "../../support/redis/redis_server.ts";
import { type SeededRandom, seededRandom } from "../../support/seeded_random.ts";
import { checkTallies, readTallies, TALLIES, type Tally, tallyPipeline } from "./chaos_pipelines.ts";

export interface ChaosOptions {
  readonly log: "lmdb" | "redis";
  readonly seconds: number;
  readonly seed: number;
  readonly producers: number;
  say(line: string): void;
}

export interface ChaosResult {
  readonly problems: readonly Problem[];
  readonly faults: Readonly<Record<string, number>>;
  readonly sent: number;
  readonly acked: number;
  readonly inDoubt: number;
  readonly delivered: number;
  /** How many requests the endpoint got, repetitions included. */
  readonly requests: number;
  /** How many windows were emitted, each of one key. */
  readonly windows: number;
}

const PARTITIONS = 2;
const SINKS = 3;
const DRAIN_WITHIN_MS = 60_000;
const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Arguments with which Node runs a program of the tests. */
const helper = (program: string): string[] => ["--import", "tsx", here(program)];

/** One in this many events is posted, each in a request of its own. Odd, so that every partition has some. */
const HOOK_EVERY = 15;

const configurationText = (log: string, folder: string, endpointPort: number): string => `
log: ${log}
streams:
  readings:
    partitions: ${PARTITIONS}
    schema:
      type: object
      required: [id, n]
      properties: { id: { type: string }, n: { type: integer } }
  ${TALLIES.stream}: { partitions: ${TALLIES.partitions} }
sinks:
  archive: { type: file, directory: ${folder}/archive, segmentBytesMax: 20000 }
  hook: { type: http, url: "http://127.0.0.1:${endpointPort}/", timeoutMs: 1000 }
  ${TALLIES.stream}: { type: stream, stream: ${TALLIES.stream} }
pipelines:
  keep: { from: readings, to: [archive] }
  post: { from: readings, steps: [{ filter: "event.n % ${HOOK_EVERY} == 0" }], to: [hook] }
  tally: ${tallyPipeline("readings")}
`;

interface RecordsAnswer<Kind> {
  readonly records: readonly { readonly event: Kind }[];
  readonly endOffset: number;
}

class ProducerProcess {
  readonly id: string;
  order = 0;
  readonly #chaos: Chaos;
  #child: ChildProcess;
  #ended: Promise<unknown>;

  constructor(chaos: Chaos, id: string) {
    this.#chaos = chaos;
    this.id = id;
    [this.#child, this.#ended] = this.#start();
  }

  #start(): [ChildProcess, Promise<unknown>] {
    const child = this.#chaos.launch([
      ...helper("./chaos_producer.ts"),
      this.#chaos.endpoint,
      this.id,
      String(this.order),
    ]);
    const lines = createInterface({ input: child.stdout! });
    lines.on("line", (line) => this.#hear(line.split(" ")));
    return [child, Promise.all([once(lines, "close"), child.exitCode === null ? once(child, "exit") : undefined])];
  }

  #hear([what, id = "", third = "", fourth = ""]: readonly string[]): void {
    if (what === "sent" && fourth !== "") {
      this.order = Number(fourth) + 1;
      this.#chaos.sent.push({ id, producer: this.id, partition: Number(third), order: Number(fourth) });
    }
    if (what === "told" && third !== "") this.#chaos.told.set(id, third as Told);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** The producer dies, and its successor goes on without its state. */
  async replace(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
    this.#forgive();
    [this.#child, this.#ended] = this.#start();
  }

  async finish(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
    // All its events were settled before it ended by itself, so none may be missing.
  }

  /** Events that died with the producer have no outcome. */
  #forgive(): void {
    const { sent, told } = this.#chaos;
    for (const { id, producer } of sent) if (producer === this.id && !told.has(id)) told.set(id, "open");
  }
}

class Chaos {
  readonly options: ChaosOptions;
  readonly folder: string;
  readonly port: number;
  readonly endpointPort: number;
  readonly random: SeededRandom;
  readonly sent: SentEvent[] = [];
  readonly told = new Map<string, Told>();
  readonly faults: Record<string, number> = {};
  readonly children = new Set<ChildProcess>();
  redis: RedisServer | undefined;
  #node: ChildProcess | undefined;
  #endpoint: ChildProcess | undefined;

  constructor(options: ChaosOptions, folder: string, port: number, endpointPort: number) {
    this.options = options;
    this.folder = folder;
    this.port = port;
    this.endpointPort = endpointPort;
    this.random = seededRandom(options.seed);
  }

  get endpoint(): string {
    return `ws://127.0.0.1:${this.port}/v1/connect`;
  }

  launch(args: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.children.add(child);
    child.on("exit", () => this.children.delete(child));
    return child;
  }

  configurationText(): string {
    const { redis } = this;
    return configurationText(
      redis === undefined ? "{ type: lmdb }" : `{ type: redis, url: "${redis.url}" }`,
      this.folder,
      this.endpointPort,
    );
  }

  get requestsFile(): string {
    return join(this.folder, "requests");
  }

  startEndpoint(): void {
    this.#endpoint = this.launch([...helper("./chaos_endpoint.ts"), String(this.endpointPort), this.requestsFile]);
  }

  async #replaceEndpoint(): Promise<void> {
    const endpoint = this.#endpoint;
    if (endpoint === undefined) return;
    const ended = once(endpoint, "exit");
    endpoint.kill("SIGKILL");
    await ended;
    await pause(this.random.below(500));
    this.startEndpoint();
  }

  async startNode(): Promise<void> {
    const config = join(this.folder, "headrace.yaml");
    await writeFile(config, `node: { logLevel: error }\n${this.configurationText()}`);
    const data = join(this.folder, "data");
    await mkdir(data, { recursive: true });
    const args = ["up", "--config", config, "--port", String(this.port), "--data", data, "--json"];
    this.#node = this.launch(headraceArguments(args));
    this.#node.stdout?.resume();
  }

  async killNode(signal: NodeJS.Signals): Promise<void> {
    const node = this.#node;
    if (node === undefined || node.exitCode !== null || node.signalCode !== null) return;
    const ended = once(node, "exit");
    node.kill(signal);
    await ended;
  }

  async ready(): Promise<void> {
    await this.#eventually("the node is ready", async () => (await fetch(this.#url("/readyz"))).ok);
  }

  async drained(): Promise<void> {
    await this.#eventually("the sink holds everything", async () => {
      const answer = (await (await fetch(this.#url("/v1/sinks"))).json()) as {
        readonly sinks: readonly { readonly lagRecords: number; readonly state: string }[];
      };
      return (
        answer.sinks.length === SINKS * PARTITIONS &&
        answer.sinks.every(({ lagRecords, state }) => lagRecords === 0 && state === "delivering")
      );
    });
    await this.#eventually("the windows of all records have closed", () => this.#haveWindowsClosed());
  }

  /** Whether windows have counted as many records of each partition as it holds. */
  async #haveWindowsClosed(): Promise<boolean> {
    const counted = new Map<string, number>();
    for (let partition = 0; partition < TALLIES.partitions; partition += 1) {
      for (const { key, count } of await this.#eventsOf<Tally>(TALLIES.stream, partition)) {
        const name = key.replace(/\/[^/]*$/, "");
        counted.set(name, (counted.get(name) ?? 0) + count);
      }
    }
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const { endOffset } = await this.#recordsFrom("readings", partition, 0);
      if ((counted.get(`readings/${partition}`) ?? 0) < endOffset) return false;
    }
    return true;
  }

  async #eventsOf<Kind>(stream: string, partition: number): Promise<readonly Kind[]> {
    const events: Kind[] = [];
    for (;;) {
      const { records, endOffset } = await this.#recordsFrom<Kind>(stream, partition, events.length);
      events.push(...records.map(({ event }) => event));
      if (records.length === 0 || events.length >= endOffset) return events;
    }
  }

  async #recordsFrom<Kind>(stream: string, partition: number, from: number): Promise<RecordsAnswer<Kind>> {
    const path = `/v1/streams/${stream}/partitions/${partition}/records?from=${from}&limit=1000`;
    return (await (await fetch(this.#url(path))).json()) as RecordsAnswer<Kind>;
  }

  #url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  async #eventually(what: string, probe: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + DRAIN_WITHIN_MS;
    let last = "";
    while (Date.now() < deadline) {
      try {
        if (await probe()) return;
        last = "not yet";
      } catch (error) {
        last = String(error);
      }
      await pause(100);
    }
    throw new Error(`Cannot go on as it must come about that ${what}: ${last}`);
  }

  async breakSomething(producers: readonly ProducerProcess[]): Promise<void> {
    const producer = producers[this.random.below(producers.length)]!;
    const turns = this.redis === undefined ? 7 : 9;
    switch (this.random.below(turns)) {
      case 0:
        this.#note("a producer was killed");
        return producer.replace();
      case 1:
        this.#note("a producer was frozen");
        return this.#freeze((signal) => producer.signal(signal), 1_000);
      case 2:
      case 3:
        this.#note("the node was killed");
        await this.killNode("SIGKILL");
        await this.startNode();
        return this.ready();
      case 4:
        this.#note("the node was frozen");
        return this.#freeze((signal) => void this.#node?.kill(signal), 2_000);
      case 5:
        this.#note("the endpoint was killed");
        return this.#replaceEndpoint();
      case 6:
        this.#note("the endpoint was frozen");
        return this.#freeze((signal) => void this.#endpoint?.kill(signal), 2_000);
      case 7:
        this.#note("the store was killed");
        await this.redis?.kill();
        await pause(this.random.below(300));
        return this.redis?.restart();
      case 8: {
        this.#note("the store was frozen");
        const resume = this.redis?.pause();
        await pause(this.random.below(1_500));
        resume?.();
      }
    }
  }

  #note(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
    this.options.say(fault);
  }

  async #freeze(signal: (signal: NodeJS.Signals) => void, forMsMax: number): Promise<void> {
    signal("SIGSTOP");
    await pause(this.random.below(forMsMax));
    signal("SIGCONT");
  }
}

const pause = (forMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, forMs));

/** Runs the chaos, and answers the checker's findings. Rejects if the processes do not come to rest. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-chaos-"));
  const chaos = new Chaos(options, folder, await freePort(), await freePort());
  try {
    if (options.log === "redis") chaos.redis = await startRedis({ appendfsync: "always" });
    chaos.startEndpoint();
    await chaos.startNode();
    await chaos.ready();
    const producers = Array.from({ length: options.producers }, (_, at) => new ProducerProcess(chaos, `p${at}`));
    const endAt = Date.now() + options.seconds * 1_000;
    while (Date.now() < endAt) {
      await pause(200 + chaos.random.below(1_200));
      await chaos.breakSomething(producers);
    }
    await chaos.ready();
    await Promise.all(producers.map((producer) => producer.finish()));
    await chaos.drained();
    await chaos.killNode("SIGTERM");
    return await judge(chaos);
  } finally {
    for (const child of chaos.children) child.kill("SIGKILL");
    await chaos.redis?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function judge(chaos: Chaos): Promise<ChaosResult> {
  const configuration = await configurationOf(chaos.configurationText(), chaos.folder);
  const log = await openLog(configuration);
  const logged: LoggedEvent[] = [];
  const rejected: string[] = [];
  const sinks: SinkHistory[] = [];
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const reference = { stream: "readings", partition: partitionId(partition) };
    const records: LoggedEvent[] = [];
    for await (const { position, event } of readAll(log, partition, "records")) {
      records.push({ partition, epoch: position.epoch, offset: position.offset, id: String(event.id) });
    }
    logged.push(...records);
    for await (const { event } of readAll(log, partition, "rejected")) {
      const { original } = event as unknown as DeadLetter;
      if (original !== undefined) rejected.push(String(decodeSlice(original).id));
    }
    const checkpoint = (await log.readCheckpoints(reference)).get("sink/archive");
    const texts = await readFileSink(join(chaos.folder, "archive"), reference, checkpoint);
    const lines = texts.join("").split("\n").slice(0, -1);
    sinks.push({
      sink: "archive",
      partition,
      // The file names no positions: line n must be the record at offset n.
      records: lines.map((line, at) => ({
        epoch: records[at]?.epoch ?? 0,
        offset: at,
        id: String((JSON.parse(line) as { id: string }).id),
      })),
      deadLetters: [],
    });
  }
  const tallies = await readTallies(log);
  await log.close();
  const { sent, told, faults } = chaos;
  const posted = logged.filter(({ id }) => Number(id.split("-")[1]) % HOOK_EVERY === 0);
  const problems = checkHistory({
    sent,
    told,
    log: logged,
    rejected,
    readers: [],
    sinks,
    lostWithTail: new Set(),
    firstOffsets: new Map(),
    mayTrimUnread: false,
  });
  const requests = (await readFile(chaos.requestsFile, "utf8")).split("\n").slice(0, -1);
  problems.push(...checkRequests(requests, posted));
  const counted = logged.map((one) => ({ ...one, stream: "readings" }));
  problems.push(...checkTallies(tallies, counted, [], (id) => Number(id.split("-")[1])));
  const count = (what: Told) => [...told.values()].filter((one) => one === what).length;
  return {
    problems,
    faults,
    sent: sent.length,
    acked: count("acked"),
    inDoubt: count("in_doubt"),
    delivered: sinks.reduce((sum, { records }) => sum + records.length, 0),
    requests: requests.length,
    windows: tallies.length,
  };
}

/** E15: every record was posted at least once, and under one key that no other record had. */
function checkRequests(requests: readonly string[], posted: readonly LoggedEvent[]): Problem[] {
  const problems: Problem[] = [];
  const keys = new Map<string, string>();
  const ids = new Map<string, string>();
  for (const line of requests) {
    const at = line.indexOf(" ");
    const [key, { id }] = [line.slice(0, at), JSON.parse(line.slice(at + 1)) as { readonly id: string }];
    if (keys.has(id) && keys.get(id) !== key) {
      problems.push({ kind: "delivered twice", detail: `${id} to the endpoint as ${keys.get(id)} and as ${key}` });
    }
    if (ids.has(key) && ids.get(key) !== id) {
      problems.push({ kind: "inconsistent offset", detail: `${key} is ${ids.get(key)} and ${id} to the endpoint` });
    }
    keys.set(id, key);
    ids.set(key, id);
  }
  for (const { id } of posted) {
    if (!keys.has(id)) problems.push({ kind: "not delivered", detail: `${id} to the endpoint` });
  }
  return problems;
}

async function* readAll(log: Log, partition: number, channel: Channel) {
  const reference = { stream: "readings", partition: partitionId(partition) };
  let after: Position | undefined;
  for (;;) {
    const request = { channel, after, committedOffset: offset(Number.MAX_SAFE_INTEGER), bytesMax: 1_000_000 };
    const result = await log.read(reference, request);
    if (result.kind !== "records") throw new Error(`the log is ${result.kind}`);
    let seen = 0;
    for (const record of recordsOf(result.batches, (after?.offset ?? -1) + 1)) {
      after = record.position;
      seen += 1;
      yield record;
    }
    if (seen === 0) return;
  }
}
