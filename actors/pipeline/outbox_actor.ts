/**
 * Performs the effects of the outbox machine for one pipeline and partition: reads the feed, runs the steps one input
 * after the other, appends outputs with their progress and snapshot in one call, and restores all three.
 */
import { FencedError, OverloadedError, reasonOf, UnavailableError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import type { Machine } from "../../protocols/machine.ts";
import { cursorBefore, type Position, partitionName } from "../../protocols/position.ts";
import type { Sequence } from "../../protocols/sequence.ts";
import { decodeTrustedEvents, encodeEvents } from "../../protocols/values/event_codec.ts";
import type { ActorDefinition, Timer } from "../kernel/actor.ts";
import { type MachineContext, machineActor, type Shell } from "../kernel/machine_actor.ts";
import type { DecodedBatch } from "../log/decoded_batch.ts";
import type { Channel } from "../log/log.ts";
import type { PartitionFeed } from "../partition/partition_feed.ts";
import { encodeOutputs } from "./outbox_encoding.ts";
import {
  createOutbox,
  type OutboxEffect,
  type OutboxMessage,
  type OutboxOutput,
  type OutboxProgress,
  type OutboxReport,
  type OutboxState,
  stepOutbox,
} from "./outbox_machine.ts";
import type { OutboxRecord } from "./outbox_record.ts";
import type { Pipeline, PipelineInstance } from "./pipeline.ts";
import type { StepOutputs } from "./run_steps.ts";
import type { StepBatch } from "./step.ts";

/** Bytes of input read for one turn of the outbox: a failed append has to run them again. */
const READ_BYTES_MAX = 262_144;
/** A snapshot of up to this size is stored with every append; a larger one every `inputsPerSnapshot` inputs. */
const SMALL_SNAPSHOT_BYTES = 16_384;
/** Milliseconds after which the steps of one record count as hanging: their inputs are read and run again, and the reason is told. */
const RECORD_WITHIN_MS = 30_000;

/** One run of the steps over the inputs read last. */
interface Run {
  /** The input in hand. */
  at: Position | undefined;
  isOver: boolean;
}

/** The records of a batch from row `first` on. */
interface Input {
  readonly batch: DecodedBatch;
  readonly first: number;
}

export interface OutboxOptions {
  readonly pipeline: Pipeline;
  readonly feed: PartitionFeed;
  timeOf(event: Event, appendedAtMs: number): number;
  /** Takes secrets out of the text of a step's failure. Default: the text has no secrets. */
  hide?(text: string): string;
  observe(report: OutboxReport): void;
}

export const outboxChannel = (pipeline: string): Channel => `outbox/${pipeline}`;

/** The name under which retention waits for a pipeline. */
export const outboxConsumer = (pipeline: string): string => `pipeline/${pipeline}`;

const progressCheckpoint = (pipeline: string): string => `pipeline/${pipeline}/progress`;
const stateCheckpoint = (pipeline: string): string => `pipeline/${pipeline}/state`;

export const outboxActor = (options: OutboxOptions): ActorDefinition<OutboxMessage> =>
  machineActor<OutboxState, OutboxMessage, OutboxEffect>({
    machine: "outbox",
    name: `outbox-${options.pipeline.name}`,
    life: (context) => new OutboxShell(options, context),
  });

class OutboxShell implements Shell<OutboxState, OutboxMessage, OutboxEffect> {
  readonly machine: Machine<OutboxState, OutboxMessage, OutboxEffect> = { initial: createOutbox(), step: stepOutbox };
  readonly first = [{ type: "begin" } as const];
  readonly #options: OutboxOptions;
  readonly #context: MachineContext<OutboxMessage>;
  readonly #subscription: { stop(): void };
  #instance: PipelineInstance;
  #inputs: readonly Input[] = [];
  #snapshot: Uint8Array | undefined;
  #hangs: Timer | undefined;

  constructor(options: OutboxOptions, context: MachineContext<OutboxMessage>) {
    this.#options = options;
    this.#context = context;
    this.#instance = options.pipeline.instantiate(options.feed.partition);
    this.#subscription = options.feed.onAdvance("records", () => context.tell({ type: "advanced" }), true);
  }

  stop(): void {
    this.#subscription.stop();
  }

  perform(effect: OutboxEffect, context: MachineContext<OutboxMessage>): void | Promise<void> {
    const tell = (message: OutboxMessage) => context.tell(message);
    switch (effect.type) {
      case "open":
        return this.#open().then(tell);
      case "read":
        return this.#read(effect.after).then(tell);
      case "run":
        return this.#run().then(tell);
      case "append":
        return this.#append(effect).then(tell);
      case "forget_state":
        this.#instance = this.#options.pipeline.instantiate(this.#options.feed.partition);
        return;
      case "wait":
        context.after(effect.delayMs, { type: "retry_due" });
        return;
      case "report":
        this.#options.observe(effect.report);
        return;
    }
  }

  onEffectFailed(effect: OutboxEffect, error: unknown): OutboxMessage | undefined {
    if (effect.type === "forget_state" || effect.type === "wait" || effect.type === "report") return undefined;
    if (error instanceof FencedError) return { type: "fenced" };
    return { type: "failed", reason: reasonOf(error), random: this.#context.random() };
  }

  async #open(): Promise<OutboxMessage> {
    const { pipeline, feed } = this.#options;
    const outcome = await feed.openChain(outboxChannel(pipeline.name), outboxConsumer(pipeline.name), feed.epoch);
    if (outcome.kind === "stale_producer_epoch") return { type: "fenced" };
    if (outcome.kind === "too_many_producers") {
      throw new OverloadedError(
        "TOO_MANY_PRODUCERS",
        `Cannot open the outbox of ${pipeline.name} as live producers must stay within the partition's limit: current value is ${outcome.live}`,
        1_000,
      );
    }
    this.#instance = pipeline.instantiate(feed.partition);
    const state = feed.readCheckpoint(stateCheckpoint(pipeline.name));
    if (state !== undefined) this.#instance.restore(decodeTrustedEvents(state) as readonly unknown[]);
    const stored = feed.readCheckpoint(progressCheckpoint(pipeline.name));
    const progress = stored === undefined ? undefined : (decodeTrustedEvents(stored)[0] as unknown as StoredProgress);
    return {
      type: "opened",
      last: outcome.lastSequence,
      progress: { covered: progress?.covered ?? undefined, snapshotAt: progress?.snapshotAt ?? undefined },
    };
  }

  async #read(after: Position | undefined): Promise<OutboxMessage> {
    const { feed } = this.#options;
    const result = await feed.read("records", after, READ_BYTES_MAX);
    switch (result.kind) {
      case "records":
        this.#inputs = result.batches.flatMap((stored): Input[] => {
          const batch = feed.decode("records", stored);
          const first = batch.firstRowAfter(after);
          return first < batch.events.length ? [{ batch, first }] : [];
        });
        return { type: "read_records", end: this.#inputs.at(-1)?.batch.positions.at(-1) };
      case "trimmed": {
        const resume = cursorBefore(feed.bounds("records").epochs, result.firstOffset);
        return { type: "read_trimmed", firstOffset: result.firstOffset, resume };
      }
      case "truncated":
        return { type: "read_truncated", divergence: result.divergence, resume: result.resume };
    }
  }

  /** A step may be a user's function that never answers: its record is then told, and run again (B3). */
  async #run(): Promise<OutboxMessage> {
    const run: Run = { at: undefined, isOver: false };
    try {
      return await new Promise((resolve, reject) => {
        this.#watch(run, reject);
        this.#runInputs(run).then(resolve, reject);
      });
    } finally {
      run.isOver = true;
      this.#hangs?.cancel();
    }
  }

  #watch(run: Run, reject: (error: Error) => void): void {
    const { at } = run;
    this.#hangs = this.#context.callAfter(RECORD_WITHIN_MS, () => {
      if (run.isOver) return;
      if (run.at !== at) return this.#watch(run, reject);
      const { pipeline, feed } = this.#options;
      const place = `${partitionName(feed.partition)} at offset ${at?.offset}`;
      const reason = `its steps must answer within ${RECORD_WITHIN_MS} ms: they have not`;
      reject(new UnavailableError("TIMEOUT", `Cannot run pipeline ${pipeline.name} on ${place} as ${reason}`));
    });
  }

  /** One batch after the other: steps that keep state see the records in order. */
  async #runInputs(run: Run): Promise<OutboxMessage> {
    const instance = this.#instance;
    const outputs: OutboxOutput[] = [];
    let inputs = 0;
    for (const { batch, first } of this.#inputs) {
      if (run.isOver) break; // nobody waits for this run any more
      const input = this.#stepBatch(batch, first);
      run.at = input.positions[0];
      const found = instance.run(input, (row) => {
        run.at = input.positions[row] ?? run.at;
      });
      this.#gather(outputs, input, found instanceof Promise ? await found : found, batch, first);
      inputs += input.events.length;
    }
    const end = this.#inputs.at(-1)?.batch.positions.at(-1);
    if (end === undefined)
      throw new UnavailableError("NOT_READY", "Cannot run a pipeline as inputs must have been read: none were");
    this.#snapshot = encodeEvents(instance.snapshot(), { asRecords: false });
    const isStateSmall = this.#snapshot.byteLength <= SMALL_SNAPSHOT_BYTES;
    return { type: "ran", end, inputs, outputs, isStateSmall };
  }

  #stepBatch(batch: DecodedBatch, first: number): StepBatch {
    const { feed, timeOf } = this.#options;
    const events = first === 0 ? batch.events : batch.events.slice(first);
    const positions = first === 0 ? batch.positions : batch.positions.slice(first);
    const timesMs = events.map((event) => timeOf(event, batch.stored.appendedAtMs));
    return { partition: feed.partition, events, positions, timesMs };
  }

  /** Turns the results of a batch into records of the outbox, in the order of their inputs. */
  #gather(outputs: OutboxOutput[], input: StepBatch, results: StepOutputs, batch: DecodedBatch, first: number): void {
    let next = 0;
    for (const [row, position] of input.positions.entries()) {
      const traceparent = batch.traceparentOf(first + row);
      const base = { timeMs: input.timesMs[row] as number, ...(traceparent === undefined ? {} : { traceparent }) };
      const place = (index: number): Sequence => [position.epoch, position.offset, index];
      const failure = results.failures.get(row);
      if (failure !== undefined) {
        const { code, path, reason } = failure;
        const failed = { code, path, reason: this.#hidden(reason), event: input.events[row] as Event };
        outputs.push({ sequence: place(0), event: { ...base, failed } satisfies OutboxRecord });
      }
      for (let index = 0; results.rows[next] === row; index += 1, next += 1) {
        const event = results.events[next] as Event;
        outputs.push({ sequence: place(index), event: { ...base, event } satisfies OutboxRecord });
      }
    }
  }

  #hidden(text: string): string {
    return this.#options.hide?.(text) ?? text;
  }

  async #append(effect: Extract<OutboxEffect, { type: "append" }>): Promise<OutboxMessage> {
    const { pipeline, feed } = this.#options;
    const checkpoints = new Map<string, Uint8Array | undefined>([
      [progressCheckpoint(pipeline.name), encodeProgress(effect.progress)],
    ]);
    if (effect.takesSnapshot) checkpoints.set(stateCheckpoint(pipeline.name), this.#snapshot);
    const batches = effect.outputs.length === 0 ? [] : [this.#batch(effect)];
    const { outcomes } = await feed.append({ channel: outboxChannel(pipeline.name), batches, checkpoints });
    const kind = outcomes[0]?.kind ?? "written";
    if (kind === "written" || kind === "duplicate") return { type: "appended" };
    if (kind === "stale_producer_epoch") return { type: "fenced" };
    throw new UnavailableError(
      "NOT_READY",
      `Cannot append to the outbox of ${pipeline.name} as its chain must go on: it answered ${kind}`,
    );
  }

  /** The input that an output was made of. */
  #inputAt([epoch, at]: Sequence): Event | undefined {
    for (const { batch } of this.#inputs) {
      const { stored, events } = batch;
      if (stored.epoch === epoch && at >= stored.firstOffset && at < stored.firstOffset + events.length)
        return events[at - stored.firstOffset];
    }
    return undefined;
  }

  #batch(effect: Extract<OutboxEffect, { type: "append" }>) {
    const { pipeline, feed } = this.#options;
    return {
      producerId: outboxConsumer(pipeline.name),
      producerEpoch: feed.epoch,
      previousSequence: effect.previous,
      sequences: { list: effect.outputs.map(({ sequence }) => sequence) },
      schemaVersion: 0,
      events: encodeOutputs(effect.outputs, (sequence) => this.#inputAt(sequence)),
      appendedAtMs: this.#context.nowMs(),
    };
  }
}

interface StoredProgress {
  readonly covered: Position | null;
  readonly snapshotAt: Position | null;
}

const encodeProgress = ({ covered, snapshotAt }: OutboxProgress): Uint8Array =>
  encodeEvents([{ covered: covered ?? null, snapshotAt: snapshotAt ?? null }], { asRecords: false });
