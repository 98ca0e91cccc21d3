/**
 * Performs the effects of the delivery machine for one sink and one partition: opens and writes the sink, reads the
 * feed, appends dead letters and runs timers. Each effect answers with one message. An operation past its deadline is
 * reported as overdue, and answers once it has ended (D12).
 */
import type { Connect } from "../../../protocols/connection.ts";
import { ConfigurationError, FencedError, OverloadedError, reasonOf } from "../../../protocols/errors.ts";
import type { Machine } from "../../../protocols/machine.ts";
import { cursorBefore, partitionName } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { ActorDefinition } from "../../kernel/actor.ts";
import { type MachineContext, machineActor, type Shell } from "../../kernel/machine_actor.ts";
import { settledWithin } from "../../kernel/settled_within.ts";
import type { SinkCheckpoint, SinkClient, SinkContext, SinkDefinition, SinkWriter } from "../sink.ts";
import { checkpointedWriter } from "./checkpointed_writer.ts";
import type { ClientLease, CountedClient } from "./counted_client.ts";
import { appendLetters, type EventBytes, type LetterParts, openLetterChain } from "./delivery_letters.ts";
import { createDelivery, stepDelivery } from "./delivery_machine.ts";
import {
  CUT_RECORDS_MAX,
  type DeliveryEffect,
  type DeliveryLimits,
  type DeliveryMessage,
  type DeliveryReport,
  type DeliveryState,
} from "./delivery_messages.ts";
import { cutCheckpoint, deliveryName, nameOf, positionCheckpoint, setAsideCheckpoint } from "./delivery_names.ts";
import { DeliveryOperation, untilAborted } from "./delivery_operation.ts";
import { type ReadParts, readItems } from "./delivery_read.ts";
import { decodeCut, encodeCut } from "./stored_cut.ts";

export type { DeliveryRange } from "./delivery_read.ts";
export { positionCheckpoint };

export interface DeliveryOptions<Options, Client extends SinkClient | undefined = undefined> extends ReadParts {
  /** Name of the sink. */
  readonly name: string;
  /** Tells this delivery from others of the partition to the same sink. */
  readonly as?: string;
  /** Name of the replay, for a delivery beside the sink's own. It has its own position, fence and chain. */
  readonly replay?: string;
  readonly sink: SinkDefinition<Options, Client>;
  /** The client that the sink's deliveries share; undefined for a sink without `connect`. */
  readonly clients?: CountedClient<Client> | undefined;
  readonly sinkOptions: Options;
  readonly folder: string;
  readonly clusterId: string;
  readonly start: "earliest" | "latest";
  readonly limits: DeliveryLimits;
  readonly eventBytes: EventBytes;
  /** Deadline of each step of an operation on the sink or the log. */
  readonly operationTimeoutMs: number;
  /** Connects to this node, for sinks that append to its streams. */
  readonly connect: Connect;
  /** Takes secrets out of the reasons in dead letters. Default: the text as it is. */
  hide?(text: string): string;
  observe(report: DeliveryReport): void;
}

/** The longest wait for a sink to close, in ms. A stop has less, as a node must end within its own deadline. */
const CLOSE_WITHIN_MS = { stop: 2_000, end: 10_000 };

const unflushable = (name: string): ConfigurationError =>
  new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot deliver to ${name} as a sink that answers 'held' must have 'flush': current value is none`,
  );

export function deliveryActor<Options, Client extends SinkClient | undefined>(
  options: DeliveryOptions<Options, Client>,
): ActorDefinition<DeliveryMessage> {
  return machineActor<DeliveryState, DeliveryMessage, DeliveryEffect>({
    machine: "delivery",
    name: `${deliveryName(options)}-${partitionName(options.feed.partition)}`.replaceAll("/", "-"),
    life: (context) => new DeliveryShell(options, context),
  });
}

class DeliveryShell<Options, Client extends SinkClient | undefined>
  implements Shell<DeliveryState, DeliveryMessage, DeliveryEffect>
{
  readonly machine: Machine<DeliveryState, DeliveryMessage, DeliveryEffect>;
  readonly first = [{ type: "begin" } as const];
  readonly #options: DeliveryOptions<Options, Client>;
  readonly #context: MachineContext<DeliveryMessage>;
  readonly #letters: LetterParts;
  readonly #subscription: { stop(): void };
  /** Kept while the sink is opened again: a client reconnects by itself (sink S11). */
  #lease: ClientLease<Client> | undefined;
  #writer: SinkWriter | undefined;
  #operation: DeliveryOperation | undefined;
  #inHand: Promise<unknown> = Promise.resolve();

  constructor(options: DeliveryOptions<Options, Client>, context: MachineContext<DeliveryMessage>) {
    this.#options = options;
    this.#context = context;
    this.machine = { initial: createDelivery(options.limits, options.start), step: stepDelivery };
    const { feed, eventBytes } = options;
    const hide = (text: string) => options.hide?.(text) ?? text;
    const random = () => context.random();
    this.#letters = { of: options, feed, eventBytes, hide, nowMs: () => context.nowMs(), random };
    this.#subscription = feed.onAdvance(options.input, () => context.tell({ type: "advanced" }), "values");
  }

  async stop(): Promise<void> {
    this.#subscription.stop();
    const { stopTimeoutMs } = this.#options.limits;
    let isOverdue = false;
    this.#inHand = this.#inHand.then(() => (isOverdue ? undefined : this.#flushBeforeStop()));
    isOverdue = !(await settledWithin(this.#inHand, stopTimeoutMs));
    await this.#shutDown(false, Math.min(stopTimeoutMs, CLOSE_WITHIN_MS.stop));
  }

  perform(effect: DeliveryEffect, context: MachineContext<DeliveryMessage>): void | Promise<void> {
    switch (effect.type) {
      case "open":
        return this.#operate((call) => this.#open(call));
      case "write":
        return this.#operate(async (call) => {
          const writer = this.#opened();
          const outcome = await writer.write(effect.batch, call);
          if (outcome.kind === "held" && writer.flush === undefined) throw unflushable(nameOf(this.#options));
          return { type: "wrote", outcome, random: this.#context.random() };
        });
      case "flush":
        return this.#operate(async (call) => {
          const position = await this.#opened().flush?.(call);
          return { type: "flushed", position, random: this.#context.random() };
        });
      case "ask_position":
        return this.#operate(async (call) => ({ type: "positioned", position: await this.#opened().position(call) }));
      case "rewind":
        return this.#operate(async (call) => {
          await this.#opened().rewind?.(effect.to, effect.from, call);
          // A sink may go back further than asked: to the end of a batch, where it can cut.
          return { type: "rewound", to: await this.#opened().position(call) };
        });
      case "store_cut":
        return this.#operate(async ({ signal }) => {
          const name = cutCheckpoint(this.#options);
          await untilAborted(this.#options.feed.writeCheckpoint(name, encodeCut(effect.cut)), signal);
          return { type: "cut_stored" };
        });
      case "open_chain":
        return this.#operate(({ signal }) => untilAborted(openLetterChain(this.#letters), signal));
      case "append_dead_letters":
        return this.#operate(({ signal }) => untilAborted(appendLetters(this.#letters, effect), signal));
      case "give_up":
        return this.#operation?.giveUp();
      case "read":
        return readItems(this.#options, effect.readId, effect.after, this.#writer?.rewind !== undefined).then(
          (message) => context.tell(message),
        );
      case "timer": {
        const { timerId, purpose, delayMs } = effect;
        this.#context.after(delayMs, { type: "timer", timerId, purpose });
        return;
      }
      case "close":
        this.#subscription.stop();
        return this.#shutDown(effect.isFinal, CLOSE_WITHIN_MS.end).then(() => this.#context.tell({ type: "closed" }));
      case "report":
        this.#options.observe(effect.report);
    }
  }

  #operate(perform: (call: DeliveryOperation) => Promise<DeliveryMessage>): Promise<void> {
    const operation = new DeliveryOperation(this.#options.operationTimeoutMs, (overdueMs) => {
      if (this.#operation === operation) this.#context.tell({ type: "overdue", overdueMs });
    });
    this.#operation = operation;
    const work = async (): Promise<void> => {
      try {
        this.#context.tell(await perform(operation));
      } finally {
        operation.ended();
        this.#operation = undefined;
      }
    };
    const working = work();
    this.#inHand = working.catch(() => undefined); // whoever waits for the end of the work is told of its failure elsewhere
    return working;
  }

  /** D15: the machine hears no message any more, so that its shell asks the sink itself. */
  async #flushBeforeStop(): Promise<void> {
    const writer = this.#writer;
    if (writer?.flush === undefined) return;
    const operation = new DeliveryOperation(this.#options.operationTimeoutMs, () => operation.giveUp());
    this.#operation = operation;
    try {
      await writer.flush(operation);
    } catch (error) {
      const { log } = this.#options;
      log("warn", `Cannot flush sink ${nameOf(this.#options)} before it is closed: ${reasonOf(error)}`);
    } finally {
      operation.ended();
      this.#operation = undefined;
    }
  }

  #failure(error: unknown): DeliveryMessage {
    if (error instanceof FencedError) return { type: "fenced", fence: undefined };
    const failed = { type: "failed", reason: reasonOf(error), random: this.#context.random() } as const;
    if (error instanceof ConfigurationError) return { ...failed, needsPerson: true };
    return error instanceof OverloadedError ? { ...failed, retryAfterMs: error.retryAfterMs } : failed;
  }

  #opened(): SinkWriter {
    if (this.#writer === undefined) throw new FencedError("NOT_OWNER", "Cannot use the sink as it has been closed");
    return this.#writer;
  }

  async #open(call: DeliveryOperation): Promise<DeliveryMessage> {
    const { sink, sinkOptions, feed, input, eventBytes, clients } = this.#options;
    await this.#close(call);
    this.#lease ??= await clients?.acquire(call.signal);
    const context = this.#sinkContext();
    const opened = await sink.open(sinkOptions, context, call);
    this.#writer = sink.delivery === "transactional" ? opened : checkpointedWriter(opened, context.checkpoint);
    const stored = feed.readCheckpoint(setAsideCheckpoint(this.#options));
    const setAside = stored === undefined ? [] : (eventBytes.decode(stored) as readonly Sequence[]);
    const bounds = feed.bounds(input);
    const cut = decodeCut(feed.readCheckpoint(cutCheckpoint(this.#options)), bounds);
    const position = await this.#writer.position(call);
    const from = position ?? this.#options.range?.after;
    const reachOffset = Math.min(bounds.endOffset, (from?.offset ?? -1) + 1 + (cut?.recordsMax ?? CUT_RECORDS_MAX));
    return {
      type: "opened",
      position,
      canHold: this.#writer.flush !== undefined,
      reach: cursorBefore(bounds.epochs, reachOffset),
      latest: cursorBefore(bounds.epochs, bounds.endOffset),
      setAside,
      ...(cut === undefined ? {} : { cut }),
    };
  }

  #sinkContext(): SinkContext<Client> {
    const { name, as, replay, folder, clusterId, feed, connect, log } = this.#options;
    const position = positionCheckpoint(this.#options);
    const checkpoint: SinkCheckpoint = {
      read: async () => feed.readCheckpoint(position),
      // The call waits even after it was given up: a checkpoint stored later would be missed by the next read.
      write: (value) => feed.writeCheckpoint(position, value),
    };
    return {
      client: this.#lease?.client as Client, // undefined for a sink without `connect`
      name,
      folder,
      clusterId,
      partition: feed.partition,
      fence: feed.epoch,
      checkpoint,
      connect,
      nowMs: () => this.#context.nowMs(),
      setTimer: (delayMs, run) => this.#context.callAfter(delayMs, run),
      log,
      ...(as === undefined ? {} : { as }),
      ...(replay === undefined ? {} : { replay }),
    };
  }

  /** Operations on the sink have a deadline of their own, which each step begins anew (D12). */
  deadlineMs({ type }: DeliveryEffect): number | undefined {
    return type === "read" ? this.#options.operationTimeoutMs : undefined;
  }

  onEffectFailed(effect: DeliveryEffect, error: unknown): DeliveryMessage | undefined {
    if (effect.type === "report" || effect.type === "timer" || effect.type === "give_up") return undefined;
    if (effect.type !== "read") return this.#failure(error);
    if (error instanceof FencedError) return { type: "fenced", fence: undefined };
    const { readId } = effect;
    return { type: "read_failed", readId, reason: reasonOf(error), random: this.#context.random() };
  }

  /** Ends the operation under way, then closes the sink. Both waits are bounded. */
  async #shutDown(isFinal: boolean, withinMs: number): Promise<void> {
    const { log } = this.#options;
    this.#operation?.giveUp();
    const closing = this.#inHand.then(() => this.#close(undefined, isFinal)).finally(() => this.#lease?.release()); // after the last writer (sink S11)
    if (await settledWithin(closing, withinMs)) return;
    log("warn", `Cannot wait for sink ${nameOf(this.#options)} to close as it must within ${withinMs} ms`);
  }

  async #close(call: DeliveryOperation | undefined, isFinal = false): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    try {
      // All records are committed already. Those that cannot be handed out now are when the sink is opened again.
      if (isFinal) await writer?.finish?.(call);
    } catch (error) {
      this.#options.log("warn", `Cannot finish sink ${nameOf(this.#options)}: ${reasonOf(error)}`);
    }
    try {
      await writer?.close(call);
    } catch (error) {
      this.#options.log("warn", `Cannot close sink ${nameOf(this.#options)}: ${reasonOf(error)}`);
    }
  }
}
