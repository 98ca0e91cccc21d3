/**
 * One partition with a pipeline that counts in windows, under faults from one seed: the product's actor, feed and log in
 * memory, a clock of its own, lost answers, failed calls, and owners that end at any moment. A plan breaks one rule.
 */
import { createActorSystem } from "../../../../actors/kernel/actor_system.ts";
import { createMemoryLog } from "../../../../actors/log/embedded/memory_log.ts";
import type { Claim, Log } from "../../../../actors/log/log.ts";
import { recordsOf } from "../../../../actors/log/stored_records.ts";
import { OwnedFeed } from "../../../../actors/partition/owned_feed.ts";
import { outboxActor, outboxChannel } from "../../../../actors/pipeline/outbox_actor.ts";
import type { OutboxRecord } from "../../../../actors/pipeline/outbox_record.ts";
import { compilePipeline, freshTables, type Pipeline } from "../../../../actors/pipeline/pipeline.ts";
import { InputWatermark } from "../../../../actors/pipeline/watermark.ts";
import { UnavailableError } from "../../../../protocols/errors.ts";
import type { Event } from "../../../../protocols/event.ts";
import { type Epoch, epoch, offset, type Position, partitionId, position } from "../../../../protocols/position.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";
import { type FakeWorld, fakeWorld } from "../../../support/fakes/fake_world.ts";
import { seededRandom } from "../../../support/seeded_random.ts";
import { atRest, turn } from "../../../support/until.ts";

const PARTITION = { stream: "readings", partition: partitionId(0) };
const TIME = { outOfOrderMs: 2_000, skewMs: 60_000, idleAfterMs: 1_000 };
const EVERY_MS = 10_000;
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
}

/** A record as it was appended. */
export interface Input {
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

export const countPipeline = (): Promise<Pipeline> =>
  compilePipeline(
    "count",
    [
      { filter: "event.kind != 'dropped'" },
      { count: { by: "event.key", every: EVERY_MS } },
      { map: { after: "offset" }, keep: true },
    ],
    ".",
  );

export class OutboxWorld {
  readonly #plan: Plan;
  readonly #random: () => number;
  readonly #world: FakeWorld;
  readonly #log: Log = createMemoryLog();
  readonly #inputs: Input[] = [];
  #claim: Claim | undefined;
  #feed: OwnedFeed | undefined;
  #isCalm = false;
  #needsOwner = false;
  #faults = 0;

  constructor(seed: number, plan: Plan) {
    this.#plan = plan;
    this.#random = seededRandom(seed).next;
    this.#world = fakeWorld(seed);
  }

  async run(isIdleAtTimes: boolean): Promise<Ending> {
    const system = await createActorSystem({ world: this.#world });
    const compiled = await countPipeline();
    const pipeline = this.#plan.pipeline?.(compiled, () => this.#world.nowMs()) ?? compiled;
    const own = async () => {
      this.#needsOwner = false;
      await this.#own();
      const feed = this.#feed as OwnedFeed;
      const time = this.#plan.hasNoTicks === true ? { ...TIME, idleAfterMs: 1e9 } : TIME;
      return system.spawn(outboxActor({ pipeline, feed, timeOf, time, observe: () => undefined }));
    };
    let actor = await own();
    const next = async () => {
      await system.stop(actor as never);
      actor = await own();
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      if (this.#chance(0.7)) await this.#append(1 + Math.floor(this.#random() * 12));
      for (let turns = Math.floor(this.#random() * 12); turns > 0; turns -= 1) await turn();
      if (this.#chance(0.2)) this.#faults += 1;
      if (this.#needsOwner || this.#chance(0.2)) await next();
      // Less than the time after which an input counts as idle, unless ticks are wanted.
      this.#world.advance(Math.floor(this.#random() * (isIdleAtTimes ? 3_000 : 400)));
    }
    this.#isCalm = true;
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

  async #own(): Promise<void> {
    const tier = { tier: "memory", chains: CHAINS } as const;
    const atLeast: Epoch = epoch(this.#world.nowMs());
    this.#feed?.end();
    const claim = await this.#log.claim(PARTITION, { leaderEpoch: 1, tableVersion: 1 }, atLeast, tier);
    this.#claim = claim;
    this.#feed = new OwnedFeed(this.#faulty(), claim, {
      nowMs: () => this.#world.nowMs(),
      onDoubt: () => {
        this.#needsOwner = true;
      },
      onAdvance: () => undefined,
      onBounds: () => undefined,
    });
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
  async #append(count: number): Promise<void> {
    const appendedAtMs = this.#world.nowMs();
    const first = this.#inputs.length;
    const events = Array.from({ length: count }, (_, at): Event => {
      const spread = this.#random();
      const timeMs = appendedAtMs - (spread < 0.1 ? 15_000 : spread < 0.5 ? 2_000 : 500) * this.#random();
      const isFuture = this.#chance(0.02);
      const kind = this.#chance(0.1) ? "dropped" : "counted";
      const key = this.#chance(0.05) ? { no: "key" } : `k${Math.floor(this.#random() * 4)}`;
      return { id: first + at, kind, key, timeMs: Math.floor(isFuture ? timeMs + 3_600_000 : timeMs) };
    });
    const { ownership } = this.#claim as Claim;
    const batch = {
      ...{ producerId: "p", producerEpoch: 1, previousSequence: first === 0 ? undefined : ([0, first, 0] as const) },
      ...{ sequences: { first: [0, first + 1, 0] as const, count }, schemaVersion: 0, appendedAtMs },
      events: encodeEvents(events, { asRecords: true }),
    };
    const { outcomes, endOffset } = await this.#log.append(ownership, { channel: "records", batches: [batch] });
    const [outcome] = outcomes;
    if (outcome?.kind !== "written")
      throw new Error(`Cannot go on as the log must write: it answered ${outcome?.kind}`);
    for (const [at, event] of events.entries()) {
      this.#inputs.push({ at: position(ownership.epoch, first + at), event, timeMs: timeOf(event), appendedAtMs });
    }
    this.#feed?.advanceRecords([{ batch, ...outcome }], endOffset);
  }

  async #outputs(): Promise<OutboxRecord[]> {
    const bounds = (await this.#log.describe(PARTITION))?.get(outboxChannel("count"));
    const committedOffset = bounds?.endOffset ?? offset(0);
    const request = { channel: outboxChannel("count"), after: undefined, committedOffset, bytesMax: 1e9 } as const;
    const result = await this.#log.read(PARTITION, request);
    if (result.kind !== "records") throw new Error(`Cannot read the outbox: ${result.kind}`);
    return [...recordsOf(result.batches, 0)].map(({ event }) => event as unknown as OutboxRecord);
  }
}

/** The outputs of all inputs in one batch each, computed without a log, a fault or a tick. */
export async function reference(inputs: readonly Input[]): Promise<OutboxRecord[]> {
  const pipeline = await countPipeline();
  const instance = pipeline.instantiate(PARTITION, freshTables());
  const watermark = new InputWatermark(TIME);
  const outputs: OutboxRecord[] = [];
  let after: Position | undefined;
  for (const { at, event, timeMs, appendedAtMs } of inputs) {
    const beforeMs = [watermark.ms];
    if (!watermark.see(timeMs, appendedAtMs)) {
      outputs.push({ timeMs, failed: { code: "FUTURE_RECORD", path: "", reason: "", event } });
    } else {
      const watermarks = { beforeMs, after, endMs: watermark.ms };
      const batch = { partition: PARTITION, events: [event], positions: [at], timesMs: [timeMs], watermarks };
      const { events, failures, fired } = await instance.run(batch);
      const failure = failures.get(0);
      if (failure !== undefined) outputs.push({ timeMs, failed: { ...failure, event } });
      for (const [index, one] of events.entries())
        outputs.push({ timeMs: fired?.get(index)?.timeMs ?? timeMs, event: one });
    }
    after = at;
  }
  return outputs;
}
