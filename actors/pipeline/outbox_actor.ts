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
import type { Channel } from "../log/log.ts";
import type { PartitionFeed } from "../partition/partition_feed.ts";
import { encodeOutputs } from "./outbox/outbox_encoding.ts";
import { OutboxRun, type Run, type RunInput } from "./outbox/outbox_run.ts";
import { StoredTables } from "./outbox/stored_tables.ts";
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
import type { Pipeline, PipelineInstance } from "./pipeline.ts";
import { InputWatermark, TIME_DEFAULTS, type TimeSettings } from "./watermark.ts";

/** Bytes of input read for one turn of the outbox: a failed append has to run them again. */
const READ_BYTES_MAX = 262_144;
/** A snapshot of up to this size is stored with every append; a larger one every `inputsPerSnapshot` inputs. */
const SMALL_SNAPSHOT_BYTES = 16_384;
/** Milliseconds after which the steps of one record count as hanging: their inputs are read and run again, and the reason is told. */
const RECORD_WITHIN_MS = 30_000;

export interface OutboxOptions {
  readonly pipeline: Pipeline;
  readonly feed: PartitionFeed;
  timeOf(event: Event, appendedAtMs: number): number;
  /** How the pipeline takes event times. Default: `TIME_DEFAULTS`. */
  readonly time?: TimeSettings;
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
  readonly machine: Machine<OutboxState, OutboxMessage, OutboxEffect>;
  readonly first = [{ type: "begin" } as const];
  readonly #options: OutboxOptions;
  readonly #context: MachineContext<OutboxMessage>;
  readonly #subscription: { stop(): void };
  readonly #tables: StoredTables;
  #instance: PipelineInstance | undefined;
  #run: OutboxRun | undefined;
  #inputs: readonly RunInput[] = [];
  #snapshot: Uint8Array | undefined;
  #hangs: Timer | undefined;

  constructor(options: OutboxOptions, context: MachineContext<OutboxMessage>) {
    this.#options = options;
    this.#context = context;
    const { keepsTables } = options.pipeline;
    const { idleAfterMs } = options.time ?? TIME_DEFAULTS;
    this.machine = { initial: createOutbox({ keepsTables, idleAfterMs }), step: stepOutbox };
    this.#tables = new StoredTables(options.feed, options.pipeline.name);
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
        return this.#perform((run) => this.#runInputs(run)).then(tell);
      case "tick":
        return this.#perform(() => this.#tick(effect.nowMs)).then(tell);
      case "await_tick":
        context.after(effect.delayMs, { type: "tick_due", turn: effect.turn });
        return;
      case "append":
        return this.#append(effect).then(tell);
      case "forget_state":
        this.#begin(undefined);
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
    if (ANSWERLESS.has(effect.type)) return undefined;
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
    const stored = feed.readCheckpoint(progressCheckpoint(pipeline.name));
    const found = stored === undefined ? undefined : (decodeTrustedEvents(stored)[0] as unknown as StoredProgress);
    const progress = progressOf(found);
    if (pipeline.keepsTables) await this.#tables.restore();
    const instance = this.#begin(progress);
    const state = feed.readCheckpoint(stateCheckpoint(pipeline.name));
    if (state !== undefined) instance.restore(decodeTrustedEvents(state) as readonly unknown[]);
    return { type: "opened", last: outcome.lastSequence, progress, hasTimers: instance.hasTimers() };
  }

  /** Makes the steps anew, on the tables as they are. */
  #begin(progress: OutboxProgress | undefined): PipelineInstance {
    const { pipeline, feed, timeOf, time = TIME_DEFAULTS } = this.#options;
    const instance = pipeline.instantiate(feed.partition, this.#tables.tables);
    const watermark = pipeline.usesTime ? { watermark: new InputWatermark(time, progress?.watermarkMs) } : {};
    const hide = (text: string) => this.#options.hide?.(text) ?? text;
    const { partition } = feed;
    this.#run = new OutboxRun({ partition, instance, after: progress?.covered, timeOf, hide, ...watermark });
    this.#instance = instance;
    return instance;
  }

  async #read(after: Position | undefined): Promise<OutboxMessage> {
    const { feed } = this.#options;
    const result = await feed.read("records", after, READ_BYTES_MAX);
    switch (result.kind) {
      case "records":
        this.#inputs = result.batches.flatMap((stored): RunInput[] => {
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
  async #perform(work: (run: Run) => Promise<OutboxMessage>): Promise<OutboxMessage> {
    const run: Run = { at: undefined, isOver: false };
    try {
      return await new Promise((resolve, reject) => {
        this.#watch(run, (error) => {
          this.#tables.abandon(); // the steps may still come back, and change what they hold
          reject(error);
        });
        work(run).then(resolve, (error) => {
          if (!run.isOver) this.#tables.rollBack();
          reject(error);
        });
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

  async #runInputs(run: Run): Promise<OutboxMessage> {
    const outputs = await this.#opened().run(this.#inputs, run);
    const inputs = this.#inputs.reduce((sum, { batch, first }) => sum + batch.events.length - first, 0);
    return this.#ran(this.#inputs.at(-1)?.batch.positions.at(-1), inputs, outputs);
  }

  async #tick(nowMs: number): Promise<OutboxMessage> {
    this.#inputs = [];
    return this.#ran(undefined, 0, await this.#opened().tick(nowMs));
  }

  #ran(end: Position | undefined, inputs: number, outputs: readonly OutboxOutput[]): OutboxMessage {
    const instance = this.#instance;
    const watermarkMs = this.#run?.watermarkMs;
    this.#snapshot = encodeEvents(instance?.snapshot() ?? [], { asRecords: false });
    return {
      type: "ran",
      end,
      inputs,
      outputs,
      isStateSmall: this.#snapshot.byteLength <= SMALL_SNAPSHOT_BYTES,
      hasChanges: this.#tables.hasChanges,
      hasTimers: instance?.hasTimers() === true,
      ...(watermarkMs === undefined ? {} : { watermarkMs }),
    };
  }

  #opened(): OutboxRun {
    const { name } = this.#options.pipeline;
    if (this.#run === undefined)
      throw new UnavailableError("NOT_READY", `Cannot run pipeline ${name} as its state must be restored: it is not`);
    return this.#run;
  }

  async #append(effect: Extract<OutboxEffect, { type: "append" }>): Promise<OutboxMessage> {
    const { pipeline, feed } = this.#options;
    const checkpoints = new Map<string, Uint8Array | undefined>([
      [progressCheckpoint(pipeline.name), encodeProgress(effect.progress)],
    ]);
    if (effect.takesSnapshot) checkpoints.set(stateCheckpoint(pipeline.name), this.#snapshot);
    const batches = effect.outputs.length === 0 ? [] : [this.#batch(effect)];
    const attached = pipeline.keepsTables ? this.#tables.attached(this.#context.nowMs()) : [];
    const channel = outboxChannel(pipeline.name);
    const result = await feed.append({ channel, batches, checkpoints, ...(attached.length === 0 ? {} : { attached }) });
    const kind = result.outcomes[0]?.kind ?? "written";
    if (kind === "written" || kind === "duplicate") {
      await this.#tables.stored(result);
      return { type: "appended" };
    }
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

const ANSWERLESS: ReadonlySet<OutboxEffect["type"]> = new Set(["forget_state", "wait", "await_tick", "report"]);

interface StoredProgress {
  readonly covered: Position | null;
  readonly snapshotAt: Position | null;
  readonly watermarkMs?: number;
}

function progressOf(stored: StoredProgress | undefined): OutboxProgress {
  const { covered, snapshotAt, watermarkMs } = stored ?? { covered: null, snapshotAt: null };
  const progress = { covered: covered ?? undefined, snapshotAt: snapshotAt ?? undefined };
  return watermarkMs === undefined ? progress : { ...progress, watermarkMs };
}

const encodeProgress = ({ covered, snapshotAt, watermarkMs }: OutboxProgress): Uint8Array => {
  const stored: StoredProgress = { covered: covered ?? null, snapshotAt: snapshotAt ?? null };
  return encodeEvents([watermarkMs === undefined ? stored : { ...stored, watermarkMs }], { asRecords: false });
};
