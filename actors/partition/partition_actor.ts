/**
 * Performs the effects of the partition machine: calls the log, answers askers, and gives the parts beside the owner their
 * feed. Makes no decision of its own.
 */
import { asHeadraceError, type HeadraceError } from "../../protocols/errors.ts";
import type { Machine } from "../../protocols/machine.ts";
import { cursorBefore, offset, type PartitionReference, partitionName } from "../../protocols/position.ts";
import type { ActorDefinition } from "../kernel/actor.ts";
import { type MachineContext, machineActor, type Shell } from "../kernel/machine_actor.ts";
import { EMPTY_BOUNDS } from "../log/bounds.ts";
import type { Claim, Grant, Log, Ownership, PartitionSettings } from "../log/log.ts";
import { Followers, REPORT_EVERY_MS } from "./followers.ts";
import { OwnedFeed } from "./owned_feed.ts";
import type { PartitionAnswer, PartitionRequest, Retention } from "./partition.ts";
import type { PartitionFeed } from "./partition_feed.ts";
import { endLife, stepPartition } from "./partition_machine.ts";
import {
  type ArrivedAppend,
  createPartition,
  type PartitionEffect,
  type PartitionMessage,
  type PartitionState,
  type PendingChain,
  type Suspects,
} from "./partition_messages.ts";
import { suspect } from "./suspect_batches.ts";

export interface PartitionOptions {
  readonly partition: PartitionReference;
  readonly log: Log;
  /**
   * Read at each start of the actor: the grant, undefined while the partition is only expected here (P9), and whether the
   * partition is being handed over. A life that ended during that has nothing in flight (P8).
   */
  readonly placement: { readonly grant: Grant | undefined; readonly isLeaving?: boolean };
  readonly settings: PartitionSettings;
  readonly retention: Retention;
  readonly expectedConsumers: readonly string[];
  /** The partition is owned and readable: start the parts beside it. Called again after each new claim. */
  onOwned(feed: PartitionFeed): void;
  /** The parts that were started with the last feed must end. */
  onDisowned(error: HeadraceError, isFinal: boolean): void;
  /** No append is in flight, and none will be: another node may own the partition. */
  onHandedOver?(): void;
  /** The partition cannot be claimed now. Called after each failed attempt. */
  onBlocked(error: HeadraceError): void;
  /** Called after each append. `waitedMs` is the time from the arrival of its oldest batch to its commit. */
  onAppended?(batches: number, events: number, sizeBytes: number, waitedMs: number | undefined): void;
  /** A clock finer than the actor's, in ms. Only differences mean something. Default: the actor's clock. */
  readonly stopwatchMs?: () => number;
}

type PartitionInput = PartitionMessage | Extract<PartitionRequest, { type: "follow" | "unfollow" }>;

/** The definition of one partition's actor. Suspect batches are remembered over its lives (P11). */
export const partitionActor = (options: PartitionOptions): ActorDefinition<PartitionRequest> => {
  const suspects: Suspects = new Map();
  return machineActor<PartitionState, PartitionMessage, PartitionEffect, PartitionInput>({
    machine: "partition",
    name: String(options.partition.partition),
    // Append credit slows sessions before this mailbox is full: the bound is the last line of defence (E19).
    mailbox: { messagesMax: 10_000, weightBytesMax: 67_108_864 },
    life: (context) => new PartitionShell(options, context, suspects),
  }) as ActorDefinition<PartitionRequest>;
};

class PartitionShell implements Shell<PartitionState, PartitionMessage, PartitionEffect, PartitionInput> {
  readonly machine: Machine<PartitionState, PartitionMessage, PartitionEffect>;
  readonly first: readonly PartitionMessage[];
  readonly #options: PartitionOptions;
  readonly #context: MachineContext<PartitionMessage>;
  readonly #followers: Followers;
  readonly #suspects: Suspects;
  #feed: OwnedFeed | undefined;
  #crashedBy: ArrivedAppend | undefined;
  /** When the oldest batch of the append in flight arrived, by the stopwatch. */
  #inFlightSinceMs: number | undefined;

  constructor(options: PartitionOptions, context: MachineContext<PartitionMessage>, suspects: Suspects) {
    const { partition, retention, expectedConsumers, placement } = options;
    this.machine = {
      initial: createPartition(partition, retention, expectedConsumers, placement.grant, suspects),
      step: stepPartition,
    };
    this.first = placement.isLeaving === true ? [{ type: "start" }, { type: "hand_over" }] : [{ type: "start" }];
    this.#options = options;
    this.#context = context;
    this.#suspects = suspects;
    const later = () => void context.callAfter(REPORT_EVERY_MS, () => this.#followers.report());
    this.#followers = new Followers(
      (channel) => this.#feed?.bounds(channel),
      () => this.#feed?.settledMs(),
      later,
    );
  }

  take(message: PartitionInput, step: (message: PartitionMessage) => void): void {
    switch (message.type) {
      case "follow":
        this.#followers.add(message.replyTo, this.#feed?.allBounds() ?? []);
        return;
      case "unfollow":
        this.#followers.remove(message.replyTo);
        return;
      case "append":
        this.#takeAppend({ ...message, arrivedMs: this.#stopwatchMs() }, step);
        return;
      default:
        step(message);
    }
  }

  /** Marks batches whose arrival crashes this life as suspects of the next one (P11). */
  #takeAppend(message: ArrivedAppend, step: (message: PartitionMessage) => void): void {
    try {
      step(message);
    } catch (error) {
      this.#crashedBy = message;
      suspect(this.#suspects, message.items);
      throw error;
    }
  }

  stop(state: PartitionState): void {
    for (const effect of endLife(state, this.#crashedBy)) void this.perform(effect, this.#context, state);
    this.#followers.end();
    this.#feed?.end();
    this.#feed = undefined;
  }

  perform(
    effect: PartitionEffect,
    context: MachineContext<PartitionMessage>,
    state: PartitionState,
  ): void | Promise<void> {
    const { log, partition } = this.#options;
    switch (effect.type) {
      case "claim":
        return this.#claim(effect).then((claimed) => context.tell(claimed));
      case "handed_over":
        this.#options.onHandedOver?.();
        return;
      case "wait":
        context.after(effect.delayMs, effect.message);
        return;
      case "append": {
        const { epoch } = effect.ownership;
        this.#inFlightSinceMs = effect.arrivedMs;
        this.#feed?.appending(effect.batches[0]?.appendedAtMs);
        return log
          .append(effect.ownership, { channel: "records", batches: effect.batches })
          .then((result) => context.tell({ type: "appended", epoch, result }));
      }
      case "call_chain":
        return this.#callChain(effect.ownership, effect.call).then((answer) =>
          context.tell({ type: "chain_answered", call: effect.call, answer }),
        );
      case "reply":
        effect.to.tell({ type: "partition_reply", partition, answers: effect.answers });
        return;
      case "owned":
        this.#own(effect.claim);
        return;
      case "blocked":
        this.#options.onBlocked(effect.error);
        return;
      case "disowned":
        this.#feed?.end();
        this.#feed = undefined;
        this.#options.onDisowned(effect.error, effect.isFinal);
        return;
      case "committed":
        this.#feed?.advanceRecords(effect.written, effect.endOffset);
        this.#options.onAppended?.(
          effect.written.length,
          effect.written.reduce((sum, one) => sum + one.count, 0),
          effect.written.reduce((sum, one) => sum + one.batch.events.byteLength, 0),
          this.#inFlightSinceMs === undefined ? undefined : this.#stopwatchMs() - this.#inFlightSinceMs,
        );
        return;
      case "sweep":
        return this.#sweep(effect.ownership, effect.agedBeforeMs, state);
      case "trim":
        return log.trim(effect.ownership, effect.channel, effect.beforeOffset).then((bounds) => {
          const { epoch } = effect.ownership;
          if (this.#feed?.epoch === epoch) this.#feed.trimmed(effect.channel, bounds);
          context.tell({ type: "trimmed", epoch, channel: effect.channel, bounds });
        });
    }
  }

  /** What the machine hears of a store that refuses or does not answer; an effect without a store does not fail. */
  onEffectFailed(effect: PartitionEffect, cause: unknown): PartitionMessage | undefined {
    if (effect.type === "claim") return { type: "claim_failed", error: this.#storeError(cause, "claim") };
    if (!("ownership" in effect)) return undefined;
    const { epoch } = effect.ownership;
    switch (effect.type) {
      case "append":
        return { type: "append_failed", epoch, error: this.#storeError(cause, "append to") };
      case "call_chain": {
        const error = this.#storeError(cause, "open a chain in");
        return { type: "chain_failed", epoch, call: effect.call, error };
      }
      case "sweep":
      case "trim":
        return { type: "ownership_doubted", epoch, error: this.#storeError(cause, "write to") };
    }
  }

  #stopwatchMs(): number {
    return this.#options.stopwatchMs?.() ?? this.#context.nowMs();
  }

  async #callChain(ownership: Ownership, { request, requestId }: PendingChain): Promise<PartitionAnswer> {
    const { log } = this.#options;
    const { producerId, producerEpoch, owner } = request;
    const nowMs = this.#context.nowMs();
    if (request.type === "open_chain") {
      const outcome = await log.openChain(ownership, "records", producerId, producerEpoch, nowMs, owner);
      return { kind: "opened", requestId, outcome };
    }
    const { from, to } = request;
    const outcome = await log.declareLost(ownership, producerId, producerEpoch, from, to, nowMs, owner);
    this.#feed?.refreshRejected(); // the declaration is a record of that channel
    return { kind: "appended", requestId, outcome };
  }

  /** The newest record's time is read behind the claim, so that no former owner can append after it (P13). */
  async #claim({ grant, atLeast }: Extract<PartitionEffect, { type: "claim" }>): Promise<PartitionMessage> {
    const { log, partition, settings } = this.#options;
    const claim = await log.claim(partition, grant, atLeast, settings);
    const newestMs = await this.#newestMs(claim).catch(() => undefined); // an unreadable record must not stop appends
    return { type: "claimed", claim, ...(newestMs === undefined ? {} : { newestMs }) };
  }

  async #newestMs({ channels }: Claim): Promise<number | undefined> {
    const { log, partition } = this.#options;
    const { epochs, firstOffset, endOffset } = channels.get("records") ?? EMPTY_BOUNDS;
    if (endOffset === firstOffset) return undefined;
    const after = cursorBefore(epochs, endOffset - 1);
    const read = await log.read(partition, { channel: "records", after, committedOffset: endOffset, bytesMax: 1 });
    return read.kind === "records" ? read.batches.at(-1)?.appendedAtMs : undefined;
  }

  #own(claim: Claim): void {
    const { epoch } = claim.ownership;
    const doubted = (error: unknown) => this.#storeError(error, "write to");
    this.#feed?.end();
    const feed = new OwnedFeed(this.#options.log, claim, {
      nowMs: () => this.#context.nowMs(),
      onDoubt: (error) => this.#context.tell({ type: "ownership_doubted", epoch, error: doubted(error) }),
      onBounds: (channel) => this.#followers.note(channel),
      onAdvance: (channel, endOffset) => this.#context.tell({ type: "channel_advanced", epoch, channel, endOffset }),
    });
    this.#feed = feed;
    this.#followers.tellAll(feed.allBounds());
    this.#options.onOwned(feed);
  }

  async #sweep(ownership: Ownership, agedBeforeMs: number, state: PartitionState): Promise<void> {
    const { log, partition } = this.#options;
    const seeks = [...state.channels.keys()].map(async (channel) => {
      const cursor = await log.seek(partition, channel, agedBeforeMs);
      if (cursor !== undefined) this.#context.tell({ type: "aged", channel, beforeOffset: offset(cursor.offset + 1) });
    });
    const described = log.describe(partition).then((channels = new Map()) => {
      this.#feed?.measured(channels);
      this.#context.tell({ type: "described", epoch: ownership.epoch, channels });
    });
    await Promise.all([log.expireChains(ownership, this.#context.nowMs()), described, ...seeks]);
  }

  #storeError(error: unknown, action: string): HeadraceError {
    return asHeadraceError(error, `Cannot ${action} ${partitionName(this.#options.partition)} as the log must answer`);
  }
}
