/**
 * Performs the effects of the outbox machine for one pipeline and partition: reads the feed, runs the steps one input
 * after the other, appends outputs with their progress and snapshot in one call, and restores all three.
 */
import { FencedError, OverloadedError, reasonOf, UnavailableError } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import type { Machine } from "../../protocols/machine.ts";
import { type Position, partitionName } from "../../protocols/position.ts";
import { decodeTrustedEvents, encodeEvents } from "../../protocols/values/event_codec.ts";
import type { ActorDefinition, Timer } from "../kernel/actor.ts";
import { type MachineContext, machineActor, type Shell } from "../kernel/machine_actor.ts";
import type { Channel } from "../log/log.ts";
import type { PartitionFeed } from "../partition/partition_feed.ts";
import type { InputLoss, OutboxInput } from "./outbox/input_reading.ts";
import { encodeOutputs } from "./outbox/outbox_encoding.ts";
import { OutboxInputs, type TakenRows } from "./outbox/outbox_inputs.ts";
import type {
  OutboxEffect,
  OutboxMessage,
  OutboxProgress,
  OutboxReport,
  OutboxState,
} from "./outbox/outbox_messages.ts";
import { type Run, runTaken } from "./outbox/outbox_run.ts";
import { StoredTables } from "./outbox/stored_tables.ts";
import { createOutbox, stepOutbox } from "./outbox_machine.ts";
import type { Pipeline, PipelineInstance } from "./pipeline.ts";
import { TIME_DEFAULTS, type TimeSettings } from "./watermark.ts";

/** A snapshot of up to this size is stored with every append; a larger one every `inputsPerSnapshot` inputs. */
const SMALL_SNAPSHOT_BYTES = 16_384;
/** Milliseconds after which the steps of one record count as hanging: their inputs are read and run again, and the reason is told. */
const RECORD_WITHIN_MS = 30_000;

export interface OutboxOptions {
  readonly pipeline: Pipeline;
  readonly feed: PartitionFeed;
  timeOf(event: Event, appendedAtMs: number): number;
  /** Further inputs, which are merged with the feed by event time. */
  readonly others?: readonly OtherInput[];
  /** How the pipeline takes event times. Default: `TIME_DEFAULTS`. */
  readonly time?: TimeSettings;
  /** Takes secrets out of the text of a step's failure. Default: the text has no secrets. */
  hide?(text: string): string;
  observe(report: OutboxReport): void;
}

/** The same partition of a further stream, whichever node owns it. */
export interface OtherInput extends OutboxInput {
  /** Calls `listener` once there may be more records, or another owner. */
  onAdvance(listener: () => void): { stop(): void };
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
  readonly #subscriptions: readonly { stop(): void }[];
  readonly #tables: StoredTables;
  readonly #inputs: OutboxInputs;
  #instance: PipelineInstance | undefined;
  #taken: readonly TakenRows[] = [];
  #snapshot: Uint8Array | undefined;
  #hangs: Timer | undefined;

  constructor(options: OutboxOptions, context: MachineContext<OutboxMessage>) {
    this.#options = options;
    this.#context = context;
    const { pipeline, feed, timeOf, others = [], time = TIME_DEFAULTS } = options;
    const { partition } = feed;
    const isExact = pipeline.keepsTables || others.length > 0;
    this.machine = { initial: createOutbox({ isExact }), step: stepOutbox };
    this.#tables = new StoredTables(feed, pipeline.name);
    const first = { partition, view: () => feed, timeOf };
    this.#inputs = new OutboxInputs([first, ...others], time, pipeline.usesTime, context.nowMs());
    const advanced = () => context.tell({ type: "advanced" });
    this.#subscriptions = [
      feed.onAdvance("records", advanced, "values"),
      ...others.map((other) => other.onAdvance(advanced)),
    ];
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.stop();
  }

  perform(effect: OutboxEffect, context: MachineContext<OutboxMessage>): void | Promise<void> {
    const tell = (message: OutboxMessage) => context.tell(message);
    switch (effect.type) {
      case "open":
        return this.#open().then(tell);
      case "read":
        return this.#read(effect.after, effect.tickMs).then(tell);
      case "run":
        return this.#perform((run) => this.#runTaken(run)).then(tell);
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
    return { type: "opened", last: outcome.lastSequence, progress };
  }

  /** Makes the steps anew, on the tables as they are, and reads on from the progress. */
  #begin(progress: OutboxProgress | undefined): PipelineInstance {
    const { pipeline, feed } = this.#options;
    const instance = pipeline.instantiate(feed.partition, this.#tables.tables);
    const { snapshotAt, watermarkMs, others = [] } = progress ?? {};
    const first = { covered: snapshotAt, ...(watermarkMs === undefined ? {} : { watermarkMs }) };
    this.#inputs.begin([first, ...others], this.#context.nowMs());
    this.#instance = instance;
    return instance;
  }

  async #read(after: Position | undefined, tickMs: number | undefined): Promise<OutboxMessage> {
    const losses = await this.#inputs.refill(after, this.#context.nowMs());
    const own = losses.get(0);
    for (const [at, loss] of losses) if (at > 0) this.#tellLoss(at, loss);
    if (own?.kind === "trimmed") return { type: "read_trimmed", firstOffset: own.firstOffset, resume: own.resume };
    if (own?.kind === "truncated") return { type: "read_truncated", divergence: own.divergence, resume: own.resume };
    const hasTicked = tickMs !== undefined && this.#inputs.tick(tickMs);
    const hasTimers = this.#instance?.hasTimers() === true;
    this.#taken = this.#inputs.take();
    if (this.#taken.length > 0) return { type: "read_records", hasWork: true };
    if (hasTicked && hasTimers) this.#taken = [this.#inputs.nothing];
    const hasWork = this.#taken.length > 0;
    const waitMs = hasTimers || this.#inputs.isBlocked ? this.#inputs.waitMs(this.#context.nowMs()) : undefined;
    return { type: "read_records", hasWork, ...(waitMs === undefined ? {} : { waitMs }) };
  }

  #tellLoss(at: number, loss: InputLoss): void {
    const { observe, others = [] } = this.#options;
    const stream = others[at - 1]?.partition.stream ?? "";
    if (loss.kind === "trimmed") observe({ kind: "trimmed", firstOffset: loss.firstOffset, stream });
    else observe({ kind: "truncated", divergence: loss.divergence, stream });
    this.#context.tell({ type: "advanced" }); // reading goes on behind the loss
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

  async #runTaken(run: Run): Promise<OutboxMessage> {
    const { pipeline, hide = (text: string) => text } = this.#options;
    const instance = this.#instance;
    if (instance === undefined) {
      const must = "its state must be restored: it is not";
      throw new UnavailableError("NOT_READY", `Cannot run pipeline ${pipeline.name} as ${must}`);
    }
    const taken = this.#taken;
    this.#taken = [];
    const outputs = await runTaken({ instance, named: pipeline.outputs, hide }, taken, run);
    this.#snapshot = encodeEvents(instance.snapshot(), { asRecords: false });
    const [first, ...others] = this.#inputs.progress;
    return {
      type: "ran",
      end: first?.covered,
      inputs: taken.reduce((sum, { batch }) => sum + batch.events.length, 0),
      outputs,
      isStateSmall: this.#snapshot.byteLength <= SMALL_SNAPSHOT_BYTES,
      hasChanges: this.#tables.hasChanges,
      ...(first?.watermarkMs === undefined ? {} : { watermarkMs: first.watermarkMs }),
      ...(others.length === 0 ? {} : { others }),
    };
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

  #batch(effect: Extract<OutboxEffect, { type: "append" }>) {
    const { pipeline, feed } = this.#options;
    return {
      producerId: outboxConsumer(pipeline.name),
      producerEpoch: feed.epoch,
      previousSequence: effect.previous,
      sequences: { list: effect.outputs.map(({ sequence }) => sequence) },
      schemaVersion: 0,
      events: encodeOutputs(effect.outputs),
      appendedAtMs: this.#context.nowMs(),
    };
  }
}

const ANSWERLESS: ReadonlySet<OutboxEffect["type"]> = new Set(["forget_state", "wait", "await_tick", "report"]);

interface StoredProgress {
  readonly covered: Position | null;
  readonly snapshotAt: Position | null;
  readonly watermarkMs?: number;
  readonly others?: readonly { readonly covered: Position | null; readonly watermarkMs?: number }[];
}

function progressOf(stored: StoredProgress | undefined): OutboxProgress {
  if (stored === undefined) return { covered: undefined, snapshotAt: undefined };
  const { covered, snapshotAt, others, ...rest } = stored;
  const further = others?.map((other) => ({ ...other, covered: other.covered ?? undefined }));
  const own = { covered: covered ?? undefined, snapshotAt: snapshotAt ?? undefined, ...rest };
  return further === undefined ? own : { ...own, others: further };
}

function encodeProgress({ covered, snapshotAt, others, ...rest }: OutboxProgress): Uint8Array {
  const own: StoredProgress = { covered: covered ?? null, snapshotAt: snapshotAt ?? null, ...rest };
  const further = others?.map((other) => ({ ...other, covered: other.covered ?? null }));
  return encodeEvents([further === undefined ? own : { ...own, others: further }], { asRecords: false });
}
