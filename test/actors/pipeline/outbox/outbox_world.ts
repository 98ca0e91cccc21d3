/**
 * One partition of a pipeline that counts in windows, or that joins two streams, under faults from one seed: the product's
 * actor, feeds and log in memory, a clock of its own, lost answers, failed calls, and owners that end at any moment. A plan
 * breaks one rule.
 */
import { createActorSystem } from "../../../../actors/kernel/actor_system.ts";
import { createMemoryLog } from "../../../../actors/log/embedded/memory_log.ts";
import type { Claim, Log } from "../../../../actors/log/log.ts";
import { recordsOf } from "../../../../actors/log/stored_records.ts";
import { OwnedFeed } from "../../../../actors/partition/owned_feed.ts";
import { LATE_OUTPUT, lateEvent } from "../../../../actors/pipeline/late_event.ts";
import { type OtherInput, outboxActor, outboxChannel } from "../../../../actors/pipeline/outbox_actor.ts";
import type { OutboxRecord } from "../../../../actors/pipeline/outbox_record.ts";
import {
  compilePipeline,
  freshTables,
  type Pipeline,
  type StepSettings,
} from "../../../../actors/pipeline/pipeline.ts";
import { InputWatermark } from "../../../../actors/pipeline/watermark.ts";
import { UnavailableError } from "../../../../protocols/errors.ts";
import type { Event } from "../../../../protocols/event.ts";
import {
  type Epoch,
  epoch,
  offset,
  type PartitionReference,
  type Position,
  partitionId,
  position,
} from "../../../../protocols/position.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";
import { type FakeWorld, fakeWorld } from "../../../support/fakes/fake_world.ts";
import { seededRandom } from "../../../support/seeded_random.ts";
import { atRest, turn } from "../../../support/until.ts";

const partitionOf = (stream: string): PartitionReference => ({ stream, partition: partitionId(0) });
export const TIME = { outOfOrderMs: 2_000, skewMs: 60_000 };
/** After how long an input is idle, in ms: soon, or not before the last round. */
const IDLE_AFTER_MS = { often: 1_000, atTheEnd: 6_000, never: 1_000_000_000 };
const EVERY_MS = 10_000;
export const WITHIN_MS = 3_000;
const ROUNDS = 40;
const CHAINS = { dedupeWindowMs: 60_000, producersMax: 10 };

/** The rule that a run breaks. */
export interface Plan {
  /** Replaces the log that the outbox appends to. */
  append?(log: Log, ...call: Parameters<Log["append"]>): ReturnType<Log["append"]>;
  /** Replaces the pipeline. */
  pipeline?(pipeline: Pipeline, nowMs: () => number): Pipeline;
  /** No tick comes to an idle input. */
  readonly hasNoTicks?: boolean;
  /** Readers do not know of appends under way. */
  readonly hidesAppends?: boolean;
}

/** A pipeline under test, and the streams that it reads. */
export interface Subject {
  readonly name: string;
  readonly streams: readonly string[];
  readonly step: "count" | "join";
  /** Whether late records have an output of their own; otherwise they are set aside. */
  readonly hasLate: boolean;
  compile(): Promise<Pipeline>;
}

const COUNT_STEPS: readonly StepSettings[] = [
  { filter: "event.kind != 'dropped'" },
  { count: { by: "event.key", every: EVERY_MS } },
  { map: { after: "offset" }, keep: true },
];
const JOIN_STEPS: readonly StepSettings[] = [
  { filter: "event.kind != 'dropped'" },
  { join: { on: { orders: "event.key", payments: "event.key" }, within: WITHIN_MS } },
];

const countSubject = (outputs: readonly string[]): Subject => ({
  ...{ name: "count", streams: ["readings"], step: "count", hasLate: outputs.length > 0 },
  compile: () => compilePipeline("count", COUNT_STEPS, ".", outputs),
});
const joinSubject = (outputs: readonly string[]): Subject => ({
  ...{ name: "join", streams: ["orders", "payments"], step: "join", hasLate: outputs.length > 0 },
  compile: () => compilePipeline("join", JOIN_STEPS, ".", outputs),
});

export const COUNT = countSubject([]);
export const JOIN = joinSubject([]);
/** The same pipelines, with sinks for their late records. */
export const LATE_COUNT = countSubject([LATE_OUTPUT]);
export const LATE_JOIN = joinSubject([LATE_OUTPUT]);

/** A record as it was appended. */
export interface Input {
  readonly stream: string;
  readonly at: Position;
  readonly event: Event;
  readonly timeMs: number;
  readonly appendedAtMs: number;
}

export interface Ending {
  readonly inputs: readonly Input[];
  readonly outputs: readonly OutboxRecord[];
  readonly faults: number;
  /** Whether a tick moved the watermark before the last round: then outputs follow from the clock as well. */
  readonly isIdleAtTimes: boolean;
}

const timeOf = (event: Event): number => event.timeMs as number;

export class OutboxWorld {
  readonly #plan: Plan;
  readonly #subject: Subject;
  readonly #random: () => number;
  readonly #world: FakeWorld;
  readonly #log: Log = createMemoryLog();
  readonly #inputs: Input[] = [];
  readonly #claims = new Map<string, Claim>();
  readonly #feeds = new Map<string, OwnedFeed>();
  #isCalm = false;
  readonly #listeners = new Set<() => void>();
  /** Appends whose records have their time of append, and are not stored yet. */
  readonly #underWay = new Map<string, () => Promise<void>>();
  #needsOwner = false;
  #faults = 0;

  constructor(seed: number, subject: Subject, plan: Plan) {
    this.#plan = plan;
    this.#subject = subject;
    this.#random = seededRandom(seed).next;
    this.#world = fakeWorld(seed);
  }

  async run(isIdleAtTimes: boolean): Promise<Ending> {
    const system = await createActorSystem({ world: this.#world });
    const compiled = await this.#subject.compile();
    const pipeline = this.#plan.pipeline?.(compiled, () => this.#world.nowMs()) ?? compiled;
    const own = async () => {
      this.#needsOwner = false;
      const [first = "", ...further] = this.#subject.streams;
      // The owner of a further stream changes now and then, and not with the pipeline's own.
      for (const stream of [first, ...further.filter(() => this.#feeds.size === 0 || this.#chance(0.3))])
        await this.#own(stream);
      const feed = this.#feeds.get(first) as OwnedFeed;
      const idle = this.#plan.hasNoTicks === true ? "never" : isIdleAtTimes ? "often" : "atTheEnd";
      const time = { ...TIME, idleAfterMs: IDLE_AFTER_MS[idle] };
      const others = further.map((stream) => this.#otherInput(stream));
      return system.spawn(outboxActor({ pipeline, feed, timeOf, time, others, observe: () => undefined }));
    };
    let actor = await own();
    const next = async () => {
      await system.stop(actor as never);
      actor = await own();
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const stream of this.#subject.streams) {
        if (this.#chance(0.6)) await this.#append(stream, 1 + Math.floor(this.#random() * 12));
      }
      for (let turns = Math.floor(this.#random() * 12); turns > 0; turns -= 1) await turn();
      if (this.#chance(0.2)) this.#faults += 1;
      if (this.#needsOwner || this.#chance(0.2)) await next();
      // Less than the time after which an input counts as idle, unless ticks are wanted.
      this.#world.advance(Math.floor(this.#random() * (isIdleAtTimes ? 3_000 : 400)));
    }
    this.#isCalm = true;
    for (const stream of this.#subject.streams) await this.#land(stream);
    for (let rounds = 0; rounds < 20; rounds += 1) {
      if (this.#needsOwner) await next();
      this.#world.advance(isIdleAtTimes || rounds > 0 ? EVERY_MS : 0);
      await atRest();
    }
    await system.shutdown();
    return { inputs: this.#inputs, outputs: await this.#outputs(), faults: this.#faults, isIdleAtTimes };
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #otherInput(stream: string): OtherInput {
    return {
      partition: partitionOf(stream),
      view: () => this.#feeds.get(stream),
      timeOf,
      onAdvance: (listener) => {
        this.#listeners.add(listener);
        return { stop: () => void this.#listeners.delete(listener) };
      },
    };
  }

  async #own(stream: string): Promise<void> {
    const tier = { tier: "memory", chains: CHAINS } as const;
    const atLeast: Epoch = epoch(this.#world.nowMs());
    await this.#land(stream);
    this.#feeds.get(stream)?.end();
    const claim = await this.#log.claim(partitionOf(stream), { leaderEpoch: 1, tableVersion: 1 }, atLeast, tier);
    this.#claims.set(stream, claim);
    const feed = new OwnedFeed(this.#faulty(), claim, {
      nowMs: () => this.#world.nowMs(),
      onDoubt: () => {
        this.#needsOwner = true;
      },
      onAdvance: () => undefined,
      onBounds: () => undefined,
    });
    this.#feeds.set(stream, feed);
  }

  /** The log with calls that fail before they take effect, or whose answer is lost. */
  #faulty(): Log {
    const append: Log["append"] = async (...call) => {
      const fault = this.#isCalm ? 1 : this.#random();
      if (fault < 0.06) throw this.#away("before");
      const result = await (this.#plan.append?.(this.#log, ...call) ?? this.#log.append(...call));
      if (fault < 0.12) throw this.#away("after");
      return result;
    };
    return new Proxy(this.#log, {
      get: (target, name) => {
        if (name === "append") return append;
        const value = Reflect.get(target, name) as unknown;
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  #away(when: string): UnavailableError {
    this.#faults += 1;
    return new UnavailableError("CONNECTION_LOST", `the answer was lost ${when} the call`);
  }

  /** Event times follow the clock, some late, some too late, a few far in the future. */
  async #append(stream: string, count: number): Promise<void> {
    await this.#land(stream);
    const appendedAtMs = this.#world.nowMs();
    const first = this.#inputs.filter((input) => input.stream === stream).length;
    const events = Array.from({ length: count }, (_, at): Event => {
      const spread = this.#random();
      const timeMs = appendedAtMs - (spread < 0.1 ? 15_000 : spread < 0.5 ? 2_000 : 500) * this.#random();
      const isFuture = this.#chance(0.02);
      const kind = this.#chance(0.1) ? "dropped" : "counted";
      const key = this.#chance(0.05) ? { no: "key" } : `k${Math.floor(this.#random() * 4)}`;
      return { id: `${stream}-${first + at}`, kind, key, timeMs: Math.floor(isFuture ? timeMs + 3_600_000 : timeMs) };
    });
    const { ownership } = this.#claims.get(stream) as Claim;
    const batch = {
      ...{ producerId: "p", producerEpoch: 1, previousSequence: first === 0 ? undefined : ([0, first, 0] as const) },
      ...{ sequences: { first: [0, first + 1, 0] as const, count }, schemaVersion: 0, appendedAtMs },
      events: encodeEvents(events, { asRecords: true }),
    };
    if (this.#plan.hidesAppends !== true) this.#feeds.get(stream)?.appending(appendedAtMs);
    this.#underWay.set(stream, async () => {
      const { outcomes, endOffset } = await this.#log.append(ownership, { channel: "records", batches: [batch] });
      const [outcome] = outcomes;
      if (outcome?.kind !== "written")
        throw new Error(`Cannot go on as the log must write: it answered ${outcome?.kind}`);
      for (const [index, event] of events.entries()) {
        const at = position(ownership.epoch, first + index);
        this.#inputs.push({ stream, at, event, timeMs: timeOf(event), appendedAtMs });
      }
      this.#feeds.get(stream)?.advanceRecords([{ batch, ...outcome }], endOffset);
      for (const listener of this.#listeners) listener();
    });
    if (!this.#chance(0.3)) await this.#land(stream);
  }

  /** Ends the append that is under way: before the next one, and before another owner claims. */
  async #land(stream: string): Promise<void> {
    const append = this.#underWay.get(stream);
    this.#underWay.delete(stream);
    await append?.();
  }

  async #outputs(): Promise<OutboxRecord[]> {
    const partition = partitionOf(this.#subject.streams[0] ?? "");
    const channel = outboxChannel(this.#subject.name);
    const bounds = (await this.#log.describe(partition))?.get(channel);
    const committedOffset = bounds?.endOffset ?? offset(0);
    const request = { channel, after: undefined, committedOffset, bytesMax: 1e9 } as const;
    const result = await this.#log.read(partition, request);
    if (result.kind !== "records") throw new Error(`Cannot read the outbox: ${result.kind}`);
    return [...recordsOf(result.batches, 0)].map(({ event }) => event as unknown as OutboxRecord);
  }
}

/** The order in which records of several streams are merged: by the latest event time that each stream has shown (Q1). */
function merged(inputs: readonly Input[], streams: readonly string[]): Input[] {
  const shownMs = new Map<string, number>();
  const placed = inputs.map((input) => {
    const isTimely = input.timeMs <= input.appendedAtMs + TIME.skewMs;
    const before = shownMs.get(input.stream) ?? Number.NEGATIVE_INFINITY;
    const clockMs = Math.max(before, isTimely ? input.timeMs : before);
    shownMs.set(input.stream, clockMs);
    return { input, clockMs, stream: streams.indexOf(input.stream) };
  });
  return placed.sort((a, b) => a.clockMs - b.clockMs || a.stream - b.stream).map(({ input }) => input);
}

/** The outputs of all inputs in one batch each, computed without a log, a fault or a tick. */
export async function reference(inputs: readonly Input[], subject: Subject): Promise<OutboxRecord[]> {
  const pipeline = await subject.compile();
  const partition = partitionOf(subject.streams[0] ?? "");
  const instance = pipeline.instantiate(partition, freshTables());
  const watermarks = new Map(
    subject.streams.map((stream) => [stream, new InputWatermark({ ...TIME, idleAfterMs: 0 })]),
  );
  const leastMs = () => Math.min(...[...watermarks.values()].map(({ ms }) => ms));
  const outputs: OutboxRecord[] = [];
  let after: Position | undefined;
  for (const { stream, at, event, timeMs, appendedAtMs } of merged(inputs, subject.streams)) {
    const beforeMs = [leastMs()];
    if (watermarks.get(stream)?.see(timeMs, appendedAtMs) !== true) {
      if (pipeline.outputs.has(LATE_OUTPUT)) {
        outputs.push({ timeMs, event: lateEvent({ event, stream, reason: "future" }), output: LATE_OUTPUT });
      } else outputs.push({ timeMs, failed: { code: "FUTURE_RECORD", path: "", reason: "", event } });
    } else {
      const marks = { beforeMs, after, endMs: leastMs() };
      const columns = { events: [event], positions: [at], timesMs: [timeMs], sources: [partitionOf(stream)] };
      const { events, failures, fired, names } = await instance.run({ partition, ...columns, watermarks: marks });
      const failure = failures.get(0);
      if (failure !== undefined) outputs.push({ timeMs, failed: { ...failure, event } });
      for (const [index, one] of events.entries()) {
        const output = names?.get(index);
        const named = output === undefined ? {} : { output };
        outputs.push({ timeMs: fired?.get(index)?.timeMs ?? timeMs, event: one, ...named });
      }
    }
    after = at;
  }
  return outputs;
}
