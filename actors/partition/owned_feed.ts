/**
 * The feed of one ownership: reads from the tail cache or the log, never past the committed offset, and writes under the
 * owner's fence. A write that fails is reported (`onDoubt`), so that the owner claims again (E8). Until then nothing more is
 * written, and no checkpoint is read: the write may have taken effect, and memory does not know.
 */
import { FencedError } from "../../protocols/errors.ts";
import {
  type Epoch,
  type Offset,
  type PartitionReference,
  type Position,
  partitionName,
} from "../../protocols/position.ts";
import { advanceBounds, boundsUpTo, EMPTY_BOUNDS, trimBounds } from "../log/bounds.ts";
import type {
  AppendRequest,
  AppendResult,
  Channel,
  ChannelBounds,
  Claim,
  Log,
  ReadResult,
  RecordBatch,
} from "../log/log.ts";
import { storedBatch } from "../log/stored_batches.ts";
import { BatchSharing } from "./batch_sharing.ts";
import type { PartitionFeed, ReadAs } from "./partition_feed.ts";
import type { WrittenBatch } from "./partition_messages.ts";
import { TailCache } from "./tail_cache.ts";

export interface OwnedFeedHooks {
  nowMs(): number;
  /** A write was refused, or its outcome is unknown. */
  onDoubt(error: unknown): void;
  /** An append through this feed moved the end of a channel. */
  onAdvance(channel: Channel, endOffset: Offset): void;
  /** The bounds of a channel have changed. */
  onBounds(channel: Channel): void;
}

export class OwnedFeed implements PartitionFeed {
  readonly partition: PartitionReference;
  readonly epoch: Epoch;
  readonly #log: Log;
  readonly #claim: Claim;
  readonly #hooks: OwnedFeedHooks;
  readonly #bounds: Map<Channel, ChannelBounds>;
  readonly #checkpoints: Map<string, Uint8Array>;
  readonly #listeners = new Map<Channel, Set<() => void>>();
  readonly #tails = new Map<Channel, TailCache>([["records", new TailCache()]]);
  readonly #sharing = new BatchSharing((channel, batch) => this.#tails.get(channel)?.holds(batch) === true);
  #hasEnded = false;
  #isInDoubt = false;
  #appendingAtMs: number | undefined;

  constructor(log: Log, claim: Claim, hooks: OwnedFeedHooks) {
    this.partition = claim.ownership.partition;
    this.epoch = claim.ownership.epoch;
    this.#log = log;
    this.#claim = claim;
    this.#hooks = hooks;
    this.#bounds = new Map(claim.channels);
    this.#checkpoints = new Map(claim.checkpoints);
  }

  async ready(): Promise<void> {}

  /** The bounds of every channel that exists. */
  readonly allBounds = (): readonly (readonly [Channel, ChannelBounds])[] => [...this.#bounds];
  readonly bounds: PartitionFeed["bounds"] = (channel) => this.#bounds.get(channel) ?? EMPTY_BOUNDS;
  readonly committedOffset: PartitionFeed["committedOffset"] = (channel) => this.bounds(channel).endOffset;
  readonly readCheckpoint: PartitionFeed["readCheckpoint"] = (name) => {
    this.#refuseInDoubt("read a checkpoint of");
    return this.#checkpoints.get(name);
  };
  readonly seek: PartitionFeed["seek"] = (channel, timeMs) => this.#log.seek(this.partition, channel, timeMs);

  async read(channel: Channel, after: Position | undefined, bytesMax: number, inParts = false): Promise<ReadResult> {
    this.#refuseAfterEnd("read from");
    const batches = this.#tails.get(channel)?.read(after, bytesMax);
    if (batches !== undefined) return { kind: "records", batches };
    const committedOffset = this.committedOffset(channel);
    return this.#log.read(this.partition, { channel, after, committedOffset, bytesMax, inParts });
  }

  readonly decode: PartitionFeed["decode"] = (channel, batch) => this.#sharing.values(channel, batch);
  readonly peek: PartitionFeed["peek"] = (batch) => this.#sharing.peek(batch);
  readonly text: PartitionFeed["text"] = (channel, batch, make) => this.#sharing.text(channel, batch, make);

  onAdvance(channel: Channel, listener: () => void, as: ReadAs = "bytes"): { stop(): void } {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    this.#sharing.join(channel, as);
    return {
      stop: () => {
        if (listeners.delete(listener)) this.#sharing.leave(channel, as);
      },
    };
  }

  async append(request: AppendRequest): Promise<AppendResult> {
    const result = await this.#write("append to", () => this.#log.append(this.#claim.ownership, request));
    const isStored = result.outcomes.every(({ kind }) => kind === "written" || kind === "duplicate");
    if (isStored) for (const [name, value] of request.checkpoints ?? []) this.#remember(name, value);
    this.#keepTail(request, result);
    this.#advance(request.channel, result.endOffset);
    this.#hooks.onAdvance(request.channel, result.endOffset);
    for (const [at, { channel }] of (request.attached ?? []).entries()) {
      const endOffset = result.attachedEnds?.[at];
      if (endOffset === undefined) continue;
      this.#advance(channel, endOffset);
      this.#hooks.onAdvance(channel, endOffset);
    }
    return result;
  }

  readonly openChain: PartitionFeed["openChain"] = (channel, producerId, producerEpoch) =>
    this.#write("open a chain in", () =>
      this.#log.openChain(this.#claim.ownership, channel, producerId, producerEpoch, this.#hooks.nowMs()),
    );

  async trim(channel: Channel, beforeOffset: Offset): Promise<void> {
    this.trimmed(
      channel,
      await this.#write("trim", () => this.#log.trim(this.#claim.ownership, channel, beforeOffset)),
    );
  }

  async writeCheckpoint(name: string, value: Uint8Array | undefined): Promise<void> {
    await this.#write("checkpoint", () => this.#log.checkpoint(this.#claim.ownership, new Map([[name, value]])));
    this.#remember(name, value);
  }

  /** The owner's append moved the committed offset of `records` by these batches. */
  advanceRecords(written: readonly WrittenBatch[], endOffset: Offset): void {
    const addedBytes = written.reduce((sum, { batch }) => sum + batch.events.byteLength, 0);
    this.#extendTail("records", written);
    if (written.some(({ batch }) => batch.rejects !== undefined)) this.refreshRejected();
    this.#appendingAtMs = undefined;
    this.#advance("records", endOffset, addedBytes);
  }

  /** Records with this time of append are on their way to the log. */
  appending(appendedAtMs: number | undefined): void {
    this.#appendingAtMs = appendedAtMs;
  }

  readonly settledMs: PartitionFeed["settledMs"] = () => this.#appendingAtMs ?? this.#hooks.nowMs();

  /** Outputs of a pipeline are read at once by its sinks. */
  #keepTail({ channel, batches }: AppendRequest, { outcomes }: AppendResult): void {
    const written = batches.flatMap((batch, at): WrittenBatch[] => {
      const outcome = outcomes[at];
      return outcome?.kind === "written" ? [{ batch, firstOffset: outcome.firstOffset, count: outcome.count }] : [];
    });
    this.#extendTail(channel, written);
  }

  /** Without a reader no batch is kept: a reader that begins later reads the log until it has caught up. */
  #extendTail(channel: Channel, written: readonly WrittenBatch[]): void {
    const tail = this.#tails.get(channel) ?? new TailCache();
    if ((this.#listeners.get(channel)?.size ?? 0) === 0) {
      tail.clear();
      return;
    }
    for (const one of written) tail.push(this.#asRead(one));
    this.#tails.set(channel, tail);
  }

  #asRead({ batch, firstOffset }: WrittenBatch): RecordBatch {
    return { epoch: this.epoch, firstOffset, ...storedBatch(batch) };
  }

  /** The log has told how much each channel takes, headers and traces included. */
  measured(channels: ReadonlyMap<Channel, ChannelBounds>): void {
    for (const [channel, { sizeBytes }] of channels) {
      const known = this.#bounds.get(channel);
      if (known !== undefined) this.#bounds.set(channel, { ...known, sizeBytes });
    }
  }

  /** Retention moved the beginning of a channel. */
  trimmed(channel: Channel, bounds: ChannelBounds): void {
    const known = this.bounds(channel);
    this.#bounds.set(channel, trimBounds(known, boundsUpTo(bounds, known.endOffset)));
    this.#tails.get(channel)?.trim(bounds.firstOffset);
    this.#hooks.onBounds(channel);
  }

  /** Nothing is read or written through this feed any more. */
  end(): void {
    this.#hasEnded = true;
    this.#listeners.clear();
    for (const tail of this.#tails.values()) tail.clear();
    this.#sharing.clear();
  }

  /** Rejects were written beside the records. Asks the log for the end of their channel, which only the log knows. */
  refreshRejected(): void {
    this.#log.describe(this.partition).then(
      (channels) => {
        const bounds = channels?.get("rejected");
        if (bounds === undefined || this.#hasEnded) return;
        this.#advance("rejected", bounds.endOffset);
      },
      (error) => this.#hooks.onDoubt(error),
    );
  }

  #advance(channel: Channel, endOffset: Offset, addedBytes = 0): void {
    this.#bounds.set(channel, advanceBounds(this.bounds(channel), this.epoch, endOffset, addedBytes));
    for (const listener of this.#listeners.get(channel) ?? []) listener();
    this.#hooks.onBounds(channel);
  }

  #remember(name: string, value: Uint8Array | undefined): void {
    if (value === undefined) this.#checkpoints.delete(name);
    else this.#checkpoints.set(name, value);
  }

  async #write<Value>(action: string, call: () => Promise<Value>): Promise<Value> {
    this.#refuseAfterEnd(action);
    this.#refuseInDoubt(action);
    try {
      return await call();
    } catch (error) {
      this.#isInDoubt = true;
      this.#hooks.onDoubt(error);
      throw error;
    }
  }

  #refuseInDoubt(action: string): void {
    if (!this.#isInDoubt) return;
    throw new FencedError(
      "STALE_EPOCH",
      `Cannot ${action} ${partitionName(this.partition)} as its ownership must be certain: a write of epoch ${this.epoch} has failed`,
    );
  }

  #refuseAfterEnd(action: string): void {
    if (!this.#hasEnded) return;
    throw new FencedError(
      "STALE_EPOCH",
      `Cannot ${action} ${partitionName(this.partition)} as its ownership must be the newest: that of epoch ${this.epoch} has ended`,
    );
  }
}
