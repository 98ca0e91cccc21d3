/**
 * A partition that another node owns, for readers on this node. Its owner reports the committed offsets, and the records are
 * read from the log that all nodes share.
 *   X1. Nothing is read past the committed offset that the owner reported (E10).
 *   X2. The owner is followed from the first read until the last subscriber leaves. While there are subscribers `follow` is
 *       sent every `FOLLOW_EVERY_MS`, because a new link or a restarted owner does not know its followers.
 */
import { UnavailableError } from "../../protocols/errors.ts";
import { type PartitionReference, partitionName } from "../../protocols/position.ts";
import type { ActorReference } from "../kernel/actor.ts";
import { EMPTY_BOUNDS } from "../log/bounds.ts";
import { DecodedBatch } from "../log/decoded_batch.ts";
import type { Channel, ChannelBounds, Log } from "../log/log.ts";
import { LocalReference, watch } from "./link_ends.ts";
import type { CommittedReport, PartitionRequest } from "./partition.ts";
import type { PartitionView } from "./partition_feed.ts";

/** Time between messages `follow`: after a break a subscriber may wait this long for news. */
const FOLLOW_EVERY_MS = 1_000;
/** How long `ready` waits for the first report. */
const REPORT_WITHIN_MS = 2_000;

export interface RemoteViewOptions {
  readonly partition: PartitionReference;
  /** The partition's actor on its owner's node; can be watched. */
  readonly owner: ActorReference<PartitionRequest>;
  readonly log: Pick<Log, "read" | "seek">;
  setTimer(delayMs: number, callback: () => void): { cancel(): void };
}

export class RemoteView implements PartitionView {
  readonly partition: PartitionReference;
  readonly #options: RemoteViewOptions;
  readonly #bounds = new Map<Channel, ChannelBounds>();
  readonly #listeners = new Map<Channel, Set<() => void>>();
  /** Ends the waits for the first report, with the error if there is none. */
  readonly #waiting = new Set<(error?: UnavailableError) => void>();
  #endWatch: (() => void) | undefined;
  #isFollowing = false;
  #again: { cancel(): void } | undefined;
  #hasReport = false;
  #settledMs = Number.NEGATIVE_INFINITY;

  /** Where the owner sends its reports. */
  readonly #reports: LocalReference<CommittedReport>;

  constructor(options: RemoteViewOptions) {
    this.partition = options.partition;
    this.#options = options;
    this.#reports = new LocalReference(`view/${partitionName(options.partition)}`, (report) => this.#take(report));
  }

  async ready(): Promise<void> {
    this.#follow();
    if (this.#hasReport && this.#isFollowing) return;
    if (!this.#isFollowing) throw this.#away("its node is not linked");
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: UnavailableError) => {
        timer.cancel();
        this.#waiting.delete(settle);
        if (error === undefined) resolve();
        else reject(error);
      };
      const timer = this.#options.setTimer(REPORT_WITHIN_MS, () => settle(this.#away("it did not answer")));
      this.#waiting.add(settle);
    });
  }

  readonly bounds: PartitionView["bounds"] = (channel) => this.#bounds.get(channel) ?? EMPTY_BOUNDS;
  readonly committedOffset: PartitionView["committedOffset"] = (channel) => this.bounds(channel).endOffset;

  readonly settledMs: PartitionView["settledMs"] = () => this.#settledMs;

  /** X1. */
  readonly read: PartitionView["read"] = (channel, after, bytesMax, inParts = false) => {
    const committedOffset = this.committedOffset(channel);
    return this.#options.log.read(this.partition, { channel, after, committedOffset, bytesMax, inParts });
  };

  readonly seek: PartitionView["seek"] = (channel, timeMs) => this.#options.log.seek(this.partition, channel, timeMs);

  // Each read of the log answers batches of its own, so there is nothing to share.
  readonly decode: PartitionView["decode"] = (_channel, batch) => new DecodedBatch(batch);
  readonly peek: PartitionView["peek"] = (batch) => new DecodedBatch(batch);
  readonly text: PartitionView["text"] = (_channel, batch, make) => make(new DecodedBatch(batch));

  onAdvance(channel: Channel, listener: () => void): { stop(): void } {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    this.#follow();
    this.#again ??= this.#options.setTimer(FOLLOW_EVERY_MS, this.#sayAgain);
    return {
      stop: () => {
        listeners.delete(listener);
        if (!this.#hasListeners) this.#unfollow();
      },
    };
  }

  /** Ends the view: another node owns the partition, or none. */
  end(): void {
    this.#listeners.clear();
    this.#unfollow();
    for (const settle of [...this.#waiting]) settle(this.#away("it is another one now"));
    this.#reports.end();
  }

  get #hasListeners(): boolean {
    return [...this.#listeners.values()].some((set) => set.size > 0);
  }

  /** X2: sends `follow` again. */
  readonly #sayAgain = (): void => {
    this.#again = undefined;
    if (!this.#hasListeners) return;
    this.#again = this.#options.setTimer(FOLLOW_EVERY_MS, this.#sayAgain);
    if (this.#isFollowing) this.#options.owner.tell({ type: "follow", replyTo: this.#reports });
    else this.#follow();
  };

  #take({ bounds, settledMs = Number.NEGATIVE_INFINITY }: CommittedReport): void {
    if (!this.#isFollowing) return;
    this.#hasReport = true;
    this.#settledMs = Math.max(this.#settledMs, settledMs);
    for (const [channel, of] of bounds) this.#bounds.set(channel, of);
    for (const settle of [...this.#waiting]) settle();
    for (const [channel] of bounds) for (const listener of this.#listeners.get(channel) ?? []) listener();
  }

  #follow(): void {
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    this.#hasReport = false;
    const { owner } = this.#options;
    this.#endWatch = watch(owner, () => this.#lost());
    if (this.#endWatch !== undefined) owner.tell({ type: "follow", replyTo: this.#reports });
  }

  #unfollow(): void {
    this.#again?.cancel();
    this.#again = undefined;
    if (!this.#isFollowing) return;
    this.#isFollowing = false;
    this.#endWatch?.();
    this.#endWatch = undefined;
    this.#options.owner.tell({ type: "unfollow", replyTo: this.#reports });
  }

  /** The link has ended. A reader that goes on follows anew, or learns of a new owner from the directory. */
  #lost(): void {
    this.#isFollowing = false;
    this.#hasReport = false;
    this.#endWatch = undefined;
    for (const settle of [...this.#waiting]) settle(this.#away("its link has ended"));
  }

  #away(why: string): UnavailableError {
    return new UnavailableError(
      "NOT_READY",
      `Cannot read ${partitionName(this.partition)} as its owner must tell its committed offset: ${why}`,
    );
  }
}
