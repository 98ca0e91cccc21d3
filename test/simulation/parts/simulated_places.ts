/**
 * Places outside that sources read by shard: a topic that is read by position, and a queue that hands its messages out until they
 * are acknowledged (source I2, source I3). They outlive the nodes. A call to them takes time, fails, and may arrive after the death
 * of the node that made it. Each place reports what breaks the contract of sources as a problem of the world:
 *   - a batch is acknowledged before all of its events are durable or set aside (source I4),
 *   - two lives on one node read a shard at one time (source I1).
 */
import type {
  NamedItem,
  PlacedItem,
  SourceBatch,
  SourcePosition,
  SourceReader,
} from "../../../actors/sources/source.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import type { SentEvent, Told } from "../../support/checker.ts";
import type { OutsideCalls } from "./outside_calls.ts";
import { kindOf } from "./simulated_clients.ts";
import type { SimulatedStore } from "./simulated_store.ts";
import type { World } from "./world.ts";

/** The kinds of sources that read these places. */
export type PlaceKind = "topic" | "queue";

export type AnyReader = SourceReader<PlacedItem> | SourceReader<NamedItem>;

/** A node that reads a place. */
export interface ReadingNode extends OutsideCalls {
  readonly isAlive: boolean;
}

export interface PlaceLedgers {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly sent: SentEvent[];
  readonly told: Map<string, Told>;
}

/** One opening of a shard. */
interface Opened {
  readonly node: ReadingNode;
  readonly shard: string;
  /** Set once the reader reads. */
  signal: AbortSignal | undefined;
}

interface Message {
  readonly event: Event;
  readonly shard: string;
  readonly messageId: string;
  isAcknowledged: boolean;
  /** A queue does not hand a message out again before this time. */
  hiddenUntilMs: number;
}

const SHARDS = ["north", "east", "south"] as const;
/** Items of one batch. */
const BATCH_ITEMS_MAX = 4;
/** A queue hands an unacknowledged message out again after 500 to 3,000 ms. */
const HIDDEN_MS_MIN = 500;
const HIDDEN_MS_MAX = 3_000;
/** The probability that a batch of a queue holds its first message twice. */
const TWICE_SHARE = 0.1;

export class SimulatedPlace {
  readonly kind: PlaceKind;
  readonly shards: readonly string[] = SHARDS;
  readonly #ledgers: PlaceLedgers;
  /** By shard, in the order in which they came. */
  readonly #messages = new Map<string, Message[]>(SHARDS.map((shard) => [shard, []]));
  readonly #openings = new Set<Opened>();
  readonly #lastReaders = new Map<string, ReadingNode>();
  /** Wakes the readers that wait for messages. */
  #waiting: (() => void)[] = [];
  #count = 0;
  #hasEnded = false;

  constructor(kind: PlaceKind, ledgers: PlaceLedgers) {
    this.kind = kind;
    this.#ledgers = ledgers;
  }

  append(makeEvent: (name: string) => Event): void {
    const at = this.#count++;
    const event = makeEvent(`${this.kind}-${at}`);
    const id = String(event.id);
    const shard = SHARDS[at % SHARDS.length] ?? SHARDS[0];
    // A queue promises no order: each of its messages counts as a producer of its own.
    const producer = this.kind === "queue" ? id : `topic/${shard}`;
    this.#ledgers.sent.push({ id, producer, partition: undefined, order: at });
    this.#ledgers.told.set(id, "open");
    this.#messages.get(shard)?.push({ event, shard, messageId: `m${at}`, isAcknowledged: false, hiddenUntilMs: 0 });
    this.#wake();
  }

  /** A message that the log has not taken or the queue still holds, or a shard that is not read by one life; or undefined. */
  unread(): string | undefined {
    const open = [...this.#messages.values()].flat().find((message) => !this.#isSettled(message));
    if (open !== undefined) return `message ${open.event.id} of shard ${open.shard} is not settled`;
    const astray = SHARDS.find((shard) => this.readersOf(shard).length !== 1);
    if (astray === undefined) return undefined;
    return `shard ${astray} of the ${this.kind} is read by nodes [${this.readersOf(astray).map(({ number }) => number)}]`;
  }

  /** An acknowledgement of a topic that was lost is made up for by a later one, if one comes. */
  #isSettled({ event: { id }, isAcknowledged }: Message): boolean {
    if (isAcknowledged || this.kind === "queue") return isAcknowledged;
    return this.#ledgers.store.durable.has(String(id)) || this.#ledgers.store.unencodable.has(String(id));
  }

  /** The nodes that live and read the shard. */
  readersOf(shard: string): readonly ReadingNode[] {
    return [...this.#openings].filter((one) => one.shard === shard && isReading(one)).map(({ node }) => node);
  }

  /** Ends all waits, also those of dead nodes, whose signals would otherwise never be collected. */
  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  async open(node: ReadingNode, shard: string, resume: SourcePosition | undefined): Promise<AnyReader> {
    const opened: Opened = { node, shard, signal: undefined };
    this.#openings.add(opened);
    this.#ledgers.world.count(`source: a shard of the ${this.kind} was opened`);
    return {
      read: (signal: AbortSignal) => {
        this.#begin(opened, signal);
        return this.kind === "topic"
          ? this.#readByPosition(opened, signal, Number(resume?.next ?? 0))
          : this.#readUnacknowledged(opened, signal);
      },
      acknowledge: (batch: SourceBatch<PlacedItem> | SourceBatch<NamedItem>) =>
        this.#call(opened, "acknowledge", () => this.#acknowledge(shard, batch.items)),
      close: async () => {
        this.#openings.delete(opened);
      },
    } as AnyReader;
  }

  #begin(opened: Opened, signal: AbortSignal): void {
    const { node, shard } = opened;
    const other = [...this.#openings].find((one) => one.node === node && one.shard === shard && isReading(one));
    const last = this.#lastReaders.get(shard);
    if (last?.isAlive === true && last !== node) this.#ledgers.world.count("source: a shard moved");
    this.#lastReaders.set(shard, node);
    if (other !== undefined && !signal.aborted)
      this.#ledgers.world.problem(`source I1: two lives on node ${node.number} read shard ${shard} at one time`);
    opened.signal = signal;
  }

  async *#readByPosition(opened: Opened, signal: AbortSignal, first: number): AsyncIterable<SourceBatch<PlacedItem>> {
    const messages = this.#messages.get(opened.shard) ?? [];
    let next = first;
    while (!signal.aborted && !this.#hasEnded) {
      const from = next;
      const found =
        from < messages.length
          ? await this.#call(opened, "read", () => messages.slice(from, from + BATCH_ITEMS_MAX))
          : [];
      if (found.length === 0) {
        await this.#more(signal, undefined);
        continue;
      }
      next += found.length;
      const items = found.map(({ event }, at): PlacedItem => {
        return { item: { kind: "event", event }, term: 1, position: from + at };
      });
      yield { items, resume: { next } };
    }
  }

  async *#readUnacknowledged(opened: Opened, signal: AbortSignal): AsyncIterable<SourceBatch<NamedItem>> {
    while (!signal.aborted && !this.#hasEnded) {
      const unread = (this.#messages.get(opened.shard) ?? []).filter(({ isAcknowledged }) => !isAcknowledged);
      const showsMs = Math.min(...unread.map(({ hiddenUntilMs }) => hiddenUntilMs));
      const isShown = showsMs <= this.#ledgers.world.trueMs;
      const found = isShown ? await this.#call(opened, "read", () => this.#handOut(opened.shard)) : [];
      if (found.length > 0) {
        const items = found.map(({ event, messageId }): NamedItem => ({ item: { kind: "event", event }, messageId }));
        yield { items, resume: undefined };
      } else if (!isShown) await this.#more(signal, unread.length === 0 ? undefined : showsMs);
    }
  }

  /** Some messages that are not hidden, in any order. They are hidden for a while. */
  #handOut(shard: string): readonly Message[] {
    const { world } = this.#ledgers;
    const { random } = world;
    const shown = (this.#messages.get(shard) ?? []).filter(
      ({ isAcknowledged, hiddenUntilMs }) => !isAcknowledged && hiddenUntilMs <= world.trueMs,
    );
    const found: Message[] = [];
    while (shown.length > 0 && found.length < BATCH_ITEMS_MAX) {
      found.push(...shown.splice(random.below(shown.length), 1));
    }
    for (const message of found) {
      if (message.hiddenUntilMs > 0) world.count("source: a message was handed out again");
      message.hiddenUntilMs = world.trueMs + HIDDEN_MS_MIN + random.below(HIDDEN_MS_MAX - HIDDEN_MS_MIN);
    }
    world.say(`the queue hands out ${found.map(({ event }) => event.id).join(", ")} of shard ${shard}`);
    return random.chance(TWICE_SHARE) ? [...found, ...found.slice(0, 1)] : found;
  }

  /** Those of a topic stand for all before them. Each event was durable or set aside before (source I4). */
  async #acknowledge(shard: string, items: readonly (PlacedItem | NamedItem)[]): Promise<void> {
    const { world, store, told } = this.#ledgers;
    const messages = this.#messages.get(shard) ?? [];
    const last = items.at(-1);
    const ids = new Set(items.map((one) => ("messageId" in one ? one.messageId : undefined)));
    const acknowledged =
      last !== undefined && "position" in last
        ? messages.slice(0, last.position + 1)
        : messages.filter(({ messageId }) => ids.has(messageId));
    for (const message of acknowledged) {
      if (message.isAcknowledged) continue;
      message.isAcknowledged = true;
      const id = String(message.event.id);
      world.say(`${id} of shard ${shard} is acknowledged`);
      if (store.unencodable.has(id)) continue; // refused for a fault of the program, or stored
      if (!(await store.holds(id))) world.problem(`source I4: ${id} was acknowledged before it was durable`);
      told.set(id, kindOf(id) === "invalid" ? "rejected" : "acked");
    }
  }

  #call<Value>({ node, shard }: Opened, what: string, perform: () => Value | Promise<Value>): Promise<Value> {
    return node.operate(`source ${what}`, `${this.kind} ${shard}`, placeError, async () => {
      return { value: await perform(), onAnswer: () => {} };
    });
  }

  /** Resolves at the next message, at a time, or at the end of the reader. */
  #more(signal: AbortSignal, atMs: number | undefined): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.push(wake);
      signal.addEventListener("abort", wake, { once: true });
      if (atMs !== undefined) this.#ledgers.world.at(atMs, wake);
    });
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

const isReading = ({ node, signal }: Opened): boolean => node.isAlive && signal !== undefined && !signal.aborted;

const placeError = (): Error =>
  new UnavailableError(
    "SOURCE_UNAVAILABLE",
    "Cannot tell the outcome of the call as the place must answer: it did not",
  );
