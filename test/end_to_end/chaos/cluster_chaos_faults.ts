/** The faults of the cluster's chaos: their kinds, when each begins, and how often each happened. */
import { setTimeout as delay } from "node:timers/promises";
import type { Way } from "../../support/clients/link_proxy.ts";
import type { NodeProcess } from "../../support/processes/node_process.ts";
import type { RedisPair } from "../../support/redis/redis_pair.ts";
import type { SeededRandom } from "../../support/seeded_random.ts";

export interface FaultsOptions {
  readonly nodes: readonly NodeProcess[];
  readonly pair: RedisPair;
  readonly random: SeededRandom;
  say(line: string): void;
}

/** Most faults under way at once, each with another subject. */
const FAULTS_AT_ONCE_MAX = 3;
const APART_MIN_MS = 300;
const APART_MAX_MS = 1_300;
/** Fewest nodes that can serve. */
const NODES_RUNNING_MIN = 3;
/** Longest time of one fault with its mending, in ms. */
const FAULT_WITHIN_MS = 60_000;
const ASK_TRIES_MAX = 40;
const ASK_AGAIN_AFTER_MS = 250;
/**
 * How long the end of a drain may be lost with Redis' tail, in ms from the request: nodes repeat the request for ten
 * seconds, and a lost tail is less than two seconds old.
 */
const DRAIN_END_UNSAFE_MS = 12_000;

interface Fault {
  readonly kind: string;
  /** The fault, which has its subject to itself until it is over. Undefined if it cannot happen now. */
  begin(): { readonly subject: object; run(): Promise<void> } | undefined;
}

/** Writes to Redis between these times may be lost. */
interface Loss {
  readonly fromMs: number;
  toMs: number;
}

export class ClusterFaults {
  readonly counts: Record<string, number> = {};
  readonly #options: FaultsOptions;
  readonly #kinds: readonly Fault[];
  readonly #busy = new Set<object>();
  /** When Redis lost its tail, and when the end of a node's last drain was accepted. */
  readonly #losses: Loss[] = [];
  readonly #drainsEnded = new Map<string, number>();
  readonly #failures: Error[] = [];

  constructor(options: FaultsOptions) {
    this.#options = options;
    this.#kinds = this.#faults();
    for (const { kind } of this.#kinds) this.counts[kind] = 0;
  }

  /** Causes faults for the given time, then mends them all. Rejects if one cannot be mended. */
  async run(forMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { random } = this.#options;
    const running = new Set<Promise<void>>();
    const endAt = performance.now() + forMs;
    let drawn: Fault[] = [];
    while (performance.now() < endAt && this.#failures.length === 0 && signal?.aborted !== true) {
      await delay(APART_MIN_MS + random.below(APART_MAX_MS - APART_MIN_MS));
      if (running.size >= FAULTS_AT_ONCE_MAX) continue;
      // Drawn without replacement, so that each kind has its turn soon.
      if (drawn.length === 0) drawn = [...this.#kinds];
      const fault = drawn[random.below(drawn.length)]!;
      const begun = fault.begin();
      if (begun === undefined) continue;
      drawn = drawn.filter((one) => one !== fault);
      this.counts[fault.kind] = (this.counts[fault.kind] ?? 0) + 1;
      const { subject } = begun;
      this.#busy.add(subject);
      const one = within(FAULT_WITHIN_MS, begun.run())
        .catch(
          (error: Error) => void this.#failures.push(new Error(`${fault.kind}: ${error.message}`, { cause: error })),
        )
        .finally(() => {
          this.#busy.delete(subject);
          running.delete(one);
        });
      running.add(one);
    }
    await Promise.all(running);
    signal?.throwIfAborted();
    const [failure] = this.#failures;
    if (failure !== undefined) throw failure;
  }

  #faults(): readonly Fault[] {
    const { random, pair } = this.#options;
    const between = (min: number, max: number): number => min + random.below(max - min);
    const ofNode = (kind: string, run: (node: NodeProcess) => Promise<void>): Fault => ({
      kind,
      begin: () => {
        const node = this.#pick(({ isRunning }) => isRunning);
        return node === undefined ? undefined : { subject: node, run: () => run(node) };
      },
    });
    const ofRedis = (kind: string, run: () => Promise<void>): Fault => ({
      kind,
      begin: () => (this.#busy.has(pair) ? undefined : { subject: pair, run }),
    });
    const ofLink = (kind: string, what: string, breakIt: (node: NodeProcess) => unknown, maxMs: number): Fault =>
      ofNode(kind, async (node) => {
        const forMs = between(200, maxMs);
        this.#say(`${node.name}: ${what}, for ${forMs} ms`);
        await breakIt(node);
        await delay(forMs);
        await node.link.resume();
      });
    const ways: readonly Way[] = ["out", "back"];
    return [
      ofNode("a node was killed", (node) => this.#killNode(node, between(0, 3_000), random.chance(0.5))),
      ofNode("a node was frozen for less than the silence", (node) => this.#freeze(node, between(100, 1_500))),
      ofNode("a node was frozen for longer than its lease", (node) => this.#freeze(node, between(3_000, 12_000))),
      ofLink(
        "a link was slow",
        "its link is slow",
        ({ link }) => link.delay({ out: between(5, 200), back: between(5, 200) }),
        5_000,
      ),
      ofLink("a link was cut", "its link is cut", ({ link }) => link.cut(), 4_000),
      ofLink("a link swallowed everything", "its link swallows everything", ({ link }) => link.blackHole(), 7_000),
      ofLink(
        "a link swallowed one way",
        "its link swallows one way",
        ({ link }) => link.blackHole(ways[random.below(2)]!),
        7_000,
      ),
      ofRedis("Redis was killed", async () => {
        const forMs = between(0, 3_000);
        this.#say(`Redis is killed, for ${forMs} ms`);
        await pair.crash(forMs);
      }),
      ofRedis("Redis was frozen", async () => {
        const forMs = between(100, 4_000);
        this.#say(`Redis is frozen for ${forMs} ms`);
        await pair.freeze(forMs);
      }),
      ofRedis("Redis changed places with its replica", async () => {
        this.#say("Redis changes places with its replica");
        await pair.switchOver();
      }),
      ofRedis("Redis died and its replica took over", async () => {
        this.#say("Redis dies and its replica takes over");
        await this.#lose(0);
      }),
      ofRedis("Redis died and its replica lacked the tail", async () => {
        const forMs = between(100, 1_500);
        this.#say(`Redis dies and its replica lacks ${forMs} ms`);
        await this.#lose(forMs);
      }),
      this.#added(),
      this.#stopped(),
      ofNode("a node was drained", async (node) => {
        const forMs = between(500, 4_000);
        this.#say(`${node.name} is drained for ${forMs} ms`);
        await this.#ask(`/v1/cluster/nodes/${node.name}/drain`);
        await delay(forMs);
        await this.#ask(`/v1/cluster/nodes/${node.name}/undrain`);
        this.#drainsEnded.set(node.name, performance.now());
      }),
      {
        kind: "a rebalance was asked for",
        begin: () => ({ subject: {}, run: () => this.#ask("/v1/cluster/rebalance") }),
      },
    ];
  }

  #added(): Fault {
    return {
      kind: "a node was added",
      begin: () => {
        const node = this.#pick(({ isRunning }) => !isRunning);
        if (node === undefined) return undefined;
        const run = async () => {
          this.#say(`${node.name} is added`);
          await node.start();
        };
        return { subject: node, run };
      },
    };
  }

  #stopped(): Fault {
    return {
      kind: "a node was ended in order",
      begin: () => {
        const { nodes } = this.#options;
        const node = this.#pick(({ isRunning }) => isRunning);
        const staying = nodes.filter((one) => one !== node && (one.isRunning || this.#busy.has(one)));
        if (node === undefined || staying.length < NODES_RUNNING_MIN) return undefined;
        const run = async () => {
          this.#say(`${node.name} is ended in order`);
          const ending = await node.stop();
          this.#say(`${node.name} ended: ${ending}`);
          // 75: the node had work left, and reported it.
          if (ending !== "exit code 0" && ending !== "exit code 75")
            throw new Error(`${node.name} ended with ${ending}`);
        };
        return { subject: node, run };
      },
    };
  }

  /**
   * Whether Redis may have lost the end of the node's last drain with its tail. Then the end must be asked for again.
   */
  mayHaveLostTheEndOfDrain(node: string): boolean {
    const endedAtMs = this.#drainsEnded.get(node) ?? Number.NEGATIVE_INFINITY;
    return this.#losses.some(({ fromMs, toMs }) => endedAtMs >= fromMs - DRAIN_END_UNSAFE_MS && endedAtMs <= toMs);
  }

  async #lose(withoutLastMs: number): Promise<void> {
    const loss: Loss = { fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY };
    this.#losses.push(loss);
    await this.#options.pair.loseMaster(withoutLastMs);
    loss.toMs = performance.now();
  }

  #say(what: string): void {
    this.#options.say(what);
  }

  #pick(isFit: (node: NodeProcess) => boolean): NodeProcess | undefined {
    const fit = this.#options.nodes.filter((node) => isFit(node) && !this.#busy.has(node));
    return fit[this.#options.random.below(Math.max(1, fit.length))];
  }

  /** Removes the node with its link, whose listener would outlive the node. */
  async #killNode(node: NodeProcess, downForMs: number, isCut: boolean): Promise<void> {
    this.#say(`${node.name} is killed${isCut ? ", its port refuses" : ""}, for ${downForMs} ms`);
    await node.kill();
    if (isCut) await node.link.cut();
    await delay(downForMs);
    await node.link.resume();
    await node.start();
    this.#say(`${node.name} is back`);
  }

  async #freeze(node: NodeProcess, forMs: number): Promise<void> {
    this.#say(`${node.name} is frozen for ${forMs} ms`);
    node.freeze();
    await delay(forMs);
    node.thaw();
  }

  /** Asks the reachable nodes until one accepts, as at times there is no coordinator. */
  async #ask(path: string): Promise<void> {
    let last = "";
    for (let tries = 0; tries < ASK_TRIES_MAX; tries += 1) {
      const node = this.#pick(({ isRunning }) => isRunning);
      try {
        if (node !== undefined) {
          await node.json(path, "POST");
          this.#say(`${node.name} was asked for ${path}`);
          return;
        }
        last = "no node is free to hear";
      } catch (error) {
        last = String(error);
      }
      await delay(ASK_AGAIN_AFTER_MS);
    }
    throw new Error(`Cannot go on as a node must take ${path}: ${last}`);
  }
}

function within(ms: number, work: Promise<void>): Promise<void> {
  const tooLate = delay(ms, undefined, { ref: false }).then(() => {
    throw new Error(`Cannot go on as it must be over within ${ms} ms`);
  });
  return Promise.race([work, tooLate]);
}
