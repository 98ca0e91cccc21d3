/**
 * The applications of a simulated run. Senders use the product's producer, with a stored buffer or without, crash and come
 * back. A reader uses the product's consumer. Everything that they are told is recorded for the checker.
 */

import { Consumer } from "../../../protocols/client/consumer/consumer.ts";
import type { Confirmation } from "../../../protocols/client/producer/event_batcher.ts";
import { Producer } from "../../../protocols/client/producer/producer.ts";
import type { Clock } from "../../../protocols/clock.ts";
import type { Connect } from "../../../protocols/connection.ts";
import { FencedError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";
import type { Observation, SentEvent, Told } from "../../support/checker.ts";
import type { Operation } from "./recording.ts";
import type { SimulatedStore } from "./simulated_store.ts";
import { STREAM } from "./simulated_store.ts";
import type { World } from "./world.ts";

export interface Ledgers {
  readonly sent: SentEvent[];
  readonly told: Map<string, Told>;
  readonly store: SimulatedStore;
  /** A planted bug: the application is not told which events are in doubt. */
  readonly forgetsInDoubt: boolean;
}

/** Options of a sender's producer beside its name. */
export interface SenderOptions extends WayIn {
  readonly batchEventsMax?: number;
  readonly specialShare?: number;
}

/** The way in of a client. */
export interface WayIn {
  readonly addresses: readonly [string, ...string[]];
  /** The client stays at its node, which forwards appends to other owners. */
  readonly forward?: boolean;
}

const FRONT: WayIn = { addresses: ["front"] };

const SPECIAL_KINDS = ["filtered", "failing", "poison", "invalid"] as const;
/** Probability of a special event. Each costs a step, a letter or a verdict, so there are only some. */
const SPECIAL_SHARE = 0.16;

/** Makes an event whose id names its kind. An invalid one breaks its schema. */
export function makeEvent(
  world: World,
  name: string,
  specialShare = SPECIAL_SHARE,
): { readonly id: string; readonly kind: string } {
  const isSpecial = specialShare > 0 && world.random.chance(specialShare);
  const kind = isSpecial ? SPECIAL_KINDS[world.random.below(SPECIAL_KINDS.length)]! : "plain";
  const event = { id: `${name}:${kind}`, kind, n: kind === "invalid" ? "not a number" : 1 };
  return event;
}

export const kindOf = (id: string): string => id.slice(id.indexOf(":") + 1);

interface Kept {
  readonly id: string;
  readonly event: Event;
  readonly partition: number;
  readonly sequence: Sequence;
}

export class Sender {
  readonly name: string;
  /** A stored send buffer: the sender keeps its events, with sequences of its own, until they are settled. */
  readonly isBuffered: boolean;
  readonly batchEventsMax: number;
  readonly #world: World;
  readonly #connect: Connect;
  readonly #ledgers: Ledgers;
  readonly #options: SenderOptions;
  readonly #clock: Clock;
  readonly #lostTold: { partition: number; from: Sequence | undefined; to: Sequence }[] = [];
  /** The stored sequence of each chain, as this process was told. */
  readonly #acked = new Map<string, { readonly partition: number; readonly sequence: Sequence }>();
  /** Whether it was one process all along, so that it must have been told of every loss. */
  #isSteady = true;
  #producer: Producer;
  #life = 1;
  #instance = 1;
  #orders = 0;
  /** Order is promised within this name: two processes that live side by side are two senders until one is fenced. */
  #lineage: string;
  #buffer: Kept[] = [];
  readonly #positions = new Map<number, number>();
  /** Events without an answer, by partition. */
  readonly #open = new Map<number, number>();
  /** Whether it was told that another instance took over. */
  isFenced = false;

  constructor(
    world: World,
    name: string,
    isBuffered: boolean,
    connect: Connect,
    ledgers: Ledgers,
    options: SenderOptions = FRONT,
  ) {
    this.#options = options;
    this.batchEventsMax = options.batchEventsMax ?? 3;
    this.#world = world;
    this.name = name;
    this.#lineage = name;
    this.isBuffered = isBuffered;
    this.#connect = connect;
    this.#ledgers = ledgers;
    const skewMs = world.random.below(20_000) - 10_000;
    this.#clock = {
      nowMs: () => world.wallMs() + skewMs,
      random: () => world.random.next(),
      setTimer: (delayMs, onTime) => world.after(delayMs, onTime),
    };
    this.#producer = this.#start(undefined);
  }

  get open(): number {
    let sum = 0;
    for (const count of this.#open.values()) sum += count;
    return sum;
  }

  openIn(partition: number): number {
    return this.#open.get(partition) ?? 0;
  }

  get lostTold() {
    return this.#lostTold;
  }

  #start(producerEpoch: number | undefined): Producer {
    const life = this.#life;
    return new Producer({
      connect: async (address, events, signal) => {
        const isCurrent = () => life === this.#life;
        const connection = await this.#connect(
          address,
          {
            onFrame: (frame, bytes) => isCurrent() && events.onFrame(frame, bytes),
            onClose: (error) => isCurrent() && events.onClose(error),
          },
          signal,
        );
        if (!isCurrent()) connection.close();
        return connection;
      },
      ...this.#options,
      producerId: this.name,
      instance: `${this.name}#${this.#instance}`,
      ...(producerEpoch === undefined ? {} : { producerEpoch }),
      stream: STREAM,
      batchEventsMax: this.batchEventsMax,
      lingerMs: 2,
      clock: {
        ...this.#clock,
        setTimer: (delayMs, onTime) => this.#clock.setTimer(delayMs, () => life === this.#life && onTime()),
      },
      onLost: ({ partition, from, to }) => {
        if (life !== this.#life) return;
        this.#world.count("a producer was told of a loss");
        this.#lostTold.push({ partition, from, to });
      },
    });
  }

  send(isPlain = false, toPartition?: number): void {
    const partition = toPartition ?? this.#world.random.below(this.#ledgers.store.partitions.length);
    this.#orders += 1;
    const event = makeEvent(this.#world, `${this.name}-${this.#orders}`, isPlain ? 0 : this.#options.specialShare);
    const { id } = event;
    const at = (this.#positions.get(partition) ?? -1) + 1;
    this.#positions.set(partition, at);
    this.#ledgers.sent.push({ id, producer: this.#lineage, partition, order: this.#orders });
    const kept: Kept = { id, event, partition, sequence: [0, at, 0] };
    if (this.isBuffered) this.#buffer.push(kept);
    this.#record(kept, "begun");
    this.#offer(kept);
  }

  /** An event that is offered again by the next process is the same operation. */
  #record({ id, partition }: Kept, phase: Operation["phase"]): void {
    this.#world.history?.add({ kind: "send", process: this.name, phase, partition, ids: [id] });
  }

  #offer(kept: Kept): void {
    const { id, event, partition, sequence } = kept;
    const life = this.#life;
    const producer = this.#producer;
    const { store } = this.#ledgers;
    const settle = (told: Told) => {
      if (life !== this.#life) return;
      this.#open.set(partition, this.openIn(partition) - 1);
      this.#buffer = this.#buffer.filter((one) => one !== kept);
      if (this.#world.isTraced) this.#world.say(`${this.name} is told ${told} of ${id}`);
      this.#record(kept, told === "acked" ? "ok" : told === "in_doubt" ? "unknown" : "failed");
      if (told === "acked" && kindOf(id) === "invalid" && store.forgotVerdicts.has(partition)) {
        // E4 holds only as long as the dead letters are kept.
        this.#world.count("a verdict was told too late, its dead letter gone");
        this.#ledgers.told.set(id, "rejected");
        return;
      }
      if (told !== "in_doubt" || !this.#ledgers.forgetsInDoubt) this.#ledgers.told.set(id, told);
      if (told === "acked" && store.tier === "fsync" && !store.durable.has(id)) {
        this.#world.problem(`G1: ${id} was acked before it was in the log`);
      }
      if (told === "refused") this.#world.count("refused by a fault of the program");
      if (told === "acked" && kindOf(id) === "invalid") {
        this.#world.problem(`E4: ${id} breaks its schema, and was acked without its verdict`);
      }
    };
    this.#open.set(partition, this.openIn(partition) + 1);
    const options = this.isBuffered ? { partition, sequence } : { partition };
    producer.sendAndConfirm(event, options).then(
      (confirmation) => {
        settle(toldBy(confirmation));
        // An invalid event that was acked because its verdict was forgotten was never stored, so it cannot be lost.
        if (confirmation.kind !== "stored" || confirmation.sequence === undefined || kindOf(id) === "invalid") return;
        this.#acked.set(id, { partition, sequence: confirmation.sequence });
      },
      (error: unknown) => {
        settle("in_doubt");
        this.#world.count("in doubt");
        if (error instanceof FencedError && producer === this.#producer) this.isFenced = true;
      },
    );
  }

  /** E6: events that were acked and are no longer stored, without this process being told. */
  untoldLosses(stored: ReadonlySet<string>): readonly string[] {
    if (!this.#isSteady) return [];
    const missing = [...this.#acked].filter(([id]) => !stored.has(id));
    const isTold = (partition: number, sequence: Sequence) =>
      this.#lostTold.some(
        (lost) =>
          lost.partition === partition &&
          compareSequences(lost.from, sequence) < 0 &&
          compareSequences(sequence, lost.to) <= 0,
      );
    this.#world.count("losses of a steady producer", missing.length);
    return missing.filter(([, { partition, sequence }]) => !isTold(partition, sequence)).map(([id]) => id);
  }

  /** The process dies and starts again. With a stored buffer it goes on as the same instance. */
  crash(): void {
    this.#isSteady = false;
    this.#world.noteFault(
      this.isBuffered ? "a producer crashed, its buffer kept" : "a producer crashed, its buffer lost",
    );
    const { producerEpoch } = this.#producer;
    this.#dropProcess();
    if (!this.isBuffered) {
      this.#instance += 1;
      const { sent, told } = this.#ledgers;
      for (const { id } of sent) if (id.startsWith(`${this.name}-`) && !told.has(id)) told.set(id, "open");
    }
    this.#producer = this.#start(this.isBuffered ? producerEpoch : undefined);
    for (const kept of this.#buffer) this.#offer(kept);
  }

  /** A new process starts before the old one has ended, as in a deployment, and fences the old one. */
  takeOver(): void {
    this.#isSteady = false;
    this.#world.noteFault("a second instance of a producer");
    this.#instance += 1;
    this.#lineage = `${this.name}#${this.#instance}`;
    this.#producer = this.#start(undefined);
  }

  #dropProcess(): void {
    this.#life += 1;
    this.#open.clear();
  }

  /** The application's answer to being fenced: a new instance. */
  recover(): void {
    if (!this.isFenced) return;
    this.#isSteady = false;
    this.isFenced = false;
    this.#instance += 1;
    this.#producer = this.#start(undefined);
    this.#buffer = [];
  }
}

function toldBy(confirmation: Confirmation): Told {
  if (confirmation.kind === "stored") return "acked";
  return confirmation.code === "INVARIANT_VIOLATED" ? "refused" : "rejected";
}

/** Reads every partition from the beginning, and records what it sees. */
export class Reader {
  readonly observations: Observation[][];
  readonly #consumer: Consumer;
  readonly #world: World;

  constructor(world: World, connect: Connect, store: SimulatedStore, wayIn: WayIn = FRONT) {
    this.#world = world;
    this.observations = store.partitions.map(() => []);
    this.#consumer = new Consumer({
      connect,
      ...wayIn,
      clock: {
        nowMs: () => world.wallMs(),
        random: () => world.random.next(),
        setTimer: (delayMs, onTime) => world.after(delayMs, onTime),
      },
    });
    void this.#read(store).catch((error: unknown) => world.problem(`the reader ended: ${String(error)}`));
  }

  nextOffset(partition: number): number {
    const last = this.observations[partition]?.at(-1);
    return last === undefined ? 0 : last.kind === "record" ? last.offset + 1 : last.offset;
  }

  async #read(store: SimulatedStore): Promise<void> {
    const options = { stream: STREAM, from: "earliest", windowBytes: 2_000 } as const;
    for await (const item of this.#consumer.subscribe(options)) {
      const list = this.observations[item.partition]!;
      if (item.kind === "records") {
        for (const { position, event } of item.records) {
          store.checkSeen(item.partition, position, "the subscriber");
          list.push({ kind: "record", id: String(event.id), epoch: position.epoch, offset: position.offset });
        }
        this.#world.count("records read by the subscriber", item.records.length);
        this.#world.history?.add({
          ...{ kind: "poll", process: "the subscriber", phase: "ok", partition: item.partition },
          ids: item.records.map(({ event }) => String(event.id)),
          offsets: item.records.map(({ position }) => position.offset),
        });
      } else {
        this.#world.count(`the subscriber was told ${item.kind}`);
        list.push({ kind: item.kind, offset: item.kind === "trimmed" ? item.firstOffset : item.divergence });
      }
    }
  }
}
