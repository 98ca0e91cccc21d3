/**
 * Performs the effects of the partition machine: calls the log, answers askers, and gives the parts beside the owner their
 * feed. Makes no decision of its own.
 */
import { HeadraceError, UnavailableError } from "../../protocols/errors.ts";
import type { PartitionReference } from "../../protocols/position.ts";
import { partitionName } from "../../protocols/position.ts";
import type { Actor, ActorContext, ActorDefinition } from "../kernel/actor.ts";
import type { AppendOutcome, Claim, Grant, Log, Ownership, PartitionSettings } from "../log/log.ts";
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
  /** The partition can not be claimed now. Called after each failed attempt. */
  onBlocked(error: HeadraceError): void;
  /** Called after each append. `waitedMs` is the time from the arrival of its oldest batch to its commit. */
  onAppended?(batches: number, events: number, sizeBytes: number, waitedMs: number | undefined): void;
  /** A clock finer than the actor's, in ms. Only differences mean something. Default: the actor's clock. */
  readonly stopwatchMs?: () => number;
}

type FollowRequest = Extract<PartitionRequest, { type: "follow" | "unfollow" }>;

/** The definition of one partition's actor. Suspect batches are remembered over its lives (P11). */
export const partitionActor = (options: PartitionOptions): ActorDefinition<PartitionRequest> => {
  const suspects: Suspects = new Map();
  return {
    name: String(options.partition.partition),
    // Append credit slows sessions before this mailbox is full: the bound is the last line of defence (E19).
    mailbox: { messagesMax: 10_000, weightBytesMax: 67_108_864 },
    start: (context) => new PartitionActor(options, context as ActorContext<PartitionMessage>, suspects).begin(),
  };
};

class PartitionActor implements Actor<PartitionMessage> {
  readonly #options: PartitionOptions;
  readonly #context: ActorContext<PartitionMessage>;
  #state: PartitionState;
  #feed: OwnedFeed | undefined;
  readonly #followers: Followers;
  #crashedBy: ArrivedAppend | undefined;
  /** When the oldest batch of the append in flight arrived, by the stopwatch. */
  #inFlightSinceMs: number | undefined;

  constructor(options: PartitionOptions, context: ActorContext<PartitionMessage>, suspects: Suspects) {
    this.#options = options;
    this.#context = context;
    const later = () => void context.after(REPORT_EVERY_MS, { type: "report_due" } as never);
    this.#followers = new Followers((channel) => this.#feed?.bounds(channel), later);
    const { partition, retention, expectedConsumers, placement } = options;
    this.#state = createPartition(partition, retention, expectedConsumers, placement.grant, suspects);
  }

  begin(): Actor<PartitionRequest> {
    this.receive({ type: "start" });
    if (this.#options.placement.isLeaving === true) this.receive({ type: "hand_over" });
    return this as Actor<PartitionRequest>;
  }

  receive(message: PartitionMessage | FollowRequest | { readonly type: "report_due" }): void {
    switch (message.type) {
      case "follow":
        this.#followers.add(message.replyTo, this.#feed?.allBounds() ?? []);
        return;
      case "unfollow":
        this.#followers.remove(message.replyTo);
        return;
      case "report_due":
        this.#followers.report();
        return;
      default:
        this.#step(message);
    }
  }

  #step(message: PartitionMessage): void {
    if (message.type === "append") this.#takeAppend({ ...message, arrivedMs: this.#stopwatchMs() });
    else this.#performAll(message);
  }

  #performAll(message: PartitionMessage): void {
    const [state, effects] = stepPartition(this.#state, message, this.#context.nowMs());
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  /** Marks batches whose arrival crashes this life as suspects of the next one (P11). */
  #takeAppend(message: ArrivedAppend): void {
    try {
      this.#performAll(message);
    } catch (error) {
      this.#crashedBy = message;
      suspect(
        this.#state.suspects,
        message.items.map(({ batch }) => batch),
      );
      throw error;
    }
  }

  stop(): void {
    for (const effect of endLife(this.#state, this.#crashedBy)) this.#perform(effect);
    this.#followers.end();
    this.#feed?.end();
    this.#feed = undefined;
  }

  #perform(effect: PartitionEffect): void {
    const { log, partition } = this.#options;
    switch (effect.type) {
      case "claim":
        this.#claim(effect.grant, effect.atLeast);
        return;
      case "handed_over":
        this.#options.onHandedOver?.();
        return;
      case "wait":
        this.#context.after(effect.delayMs, effect.message);
        return;
      case "append": {
        const { epoch } = effect.ownership;
        this.#inFlightSinceMs = effect.arrivedMs;
        log.append(effect.ownership, { channel: "records", batches: effect.batches }).then(
          (result) => this.#context.self.tell({ type: "appended", epoch, result }),
          (error) =>
            this.#context.self.tell({
              type: "append_failed",
              epoch,
              error: asHeadraceError(error, "append to", partition),
            }),
        );
        return;
      }
      case "call_chain":
        this.#callChain(effect.ownership, effect.call);
        return;
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
        this.#sweep(effect.ownership, effect.agedBeforeMs);
        return;
      case "trim":
        log.trim(effect.ownership, effect.channel, effect.beforeOffset).then((bounds) => {
          const { epoch } = effect.ownership;
          if (this.#feed?.epoch === epoch) this.#feed.trimmed(effect.channel, bounds);
          this.#context.self.tell({ type: "trimmed", epoch, channel: effect.channel, bounds });
        }, this.#doubt(effect.ownership));
        return;
    }
  }

  #stopwatchMs(): number {
    return this.#options.stopwatchMs?.() ?? this.#context.nowMs();
  }

  #claim(grant: Grant, atLeast: PartitionState["claimAtLeast"]): void {
    const { log, partition, settings } = this.#options;
    log.claim(partition, grant, atLeast, settings).then(
      (claim) => this.#context.self.tell({ type: "claimed", claim }),
      (error) => this.#context.self.tell({ type: "claim_failed", error: asHeadraceError(error, "claim", partition) }),
    );
  }

  #callChain(ownership: Ownership, call: Extract<PartitionEffect, { type: "call_chain" }>["call"]): void {
    const { log, partition } = this.#options;
    const { request } = call;
    const { producerId, producerEpoch, owner } = request;
    const nowMs = this.#context.nowMs();
    const answer: Promise<PartitionAnswer> =
      request.type === "open_chain"
        ? log
            .openChain(ownership, "records", producerId, producerEpoch, nowMs, owner)
            .then((outcome) => ({ kind: "opened", requestId: call.requestId, outcome }))
        : log
            .declareLost(ownership, producerId, producerEpoch, request.from, request.to, nowMs, owner)
            .then((outcome: AppendOutcome) => {
              this.#feed?.refreshRejected(); // the declaration is a record of that channel
              return { kind: "appended", requestId: call.requestId, outcome };
            });
    answer.then(
      (answered) => this.#context.self.tell({ type: "chain_answered", call, answer: answered }),
      (error) =>
        this.#context.self.tell({
          type: "chain_failed",
          epoch: ownership.epoch,
          call,
          error: asHeadraceError(error, "open a chain in", partition),
        }),
    );
  }

  #own(claim: Claim): void {
    this.#feed?.end();
    const feed = new OwnedFeed(this.#options.log, claim, {
      nowMs: () => this.#context.nowMs(),
      onDoubt: (error) => this.#doubt(claim.ownership)(error),
      onBounds: (channel) => this.#followers.note(channel),
      onAdvance: (channel, endOffset) =>
        this.#context.self.tell({ type: "channel_advanced", epoch: claim.ownership.epoch, channel, endOffset }),
    });
    this.#feed = feed;
    this.#followers.tellAll(feed.allBounds());
    this.#options.onOwned(feed);
  }

  #sweep(ownership: Ownership, agedBeforeMs: number): void {
    const { log, partition } = this.#options;
    const doubt = this.#doubt(ownership);
    log.expireChains(ownership, this.#context.nowMs()).catch(doubt);
    for (const channel of this.#state.channels.keys()) {
      log.seek(partition, channel, agedBeforeMs).then((cursor) => {
        if (cursor === undefined) return;
        this.#context.self.tell({ type: "aged", channel, beforeOffset: (cursor.offset + 1) as typeof cursor.offset });
      }, doubt);
    }
  }

  #doubt(ownership: Ownership): (error: unknown) => void {
    return (error) =>
      this.#context.self.tell({
        type: "ownership_doubted",
        epoch: ownership.epoch,
        error: asHeadraceError(error, "write to", this.#options.partition),
      });
  }
}

function asHeadraceError(error: unknown, action: string, partition: PartitionReference): HeadraceError {
  if (error instanceof HeadraceError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new UnavailableError(
    "STORE_UNAVAILABLE",
    `Cannot ${action} ${partitionName(partition)} as the log must answer: ${reason}`,
    { cause: error },
  );
}
