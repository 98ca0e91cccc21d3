/** Where each delivery to a sink stands in each partition: filled by the deliveries' reports, read by metrics, the page and the CLI. */
import type { Channel } from "../../actors/log/log.ts";
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import type { DeliveryReport } from "../../actors/sinks/delivery/delivery_messages.ts";
import { type DeliveryTarget, deliveryText } from "../../actors/sinks/delivery/delivery_names.ts";
import { type PartitionReference, partitionName } from "../../protocols/position.ts";

export type DeliveryState = "opening" | "delivering" | "retrying" | "fenced" | "stopped";

export interface DeliveryStanding extends DeliveryTarget {
  readonly stream: string;
  readonly partition: number;
  readonly state: DeliveryState;
  /** Why the delivery is being retried. */
  readonly reason?: string;
  /** True where a person must act before a retry can succeed (a token, an address); absent otherwise. */
  readonly needsPerson?: true;
  /** Sequence of the next record to deliver: each earlier record is in the sink, was filtered out, or was set aside. */
  readonly nextOffset: number;
  /**
   * Records committed and not yet delivered. With a pipeline that stores its outputs: the records that it has not read
   * yet, and the outputs that are not yet delivered.
   */
  readonly lagRecords: number;
  /** Since this node began to deliver the partition. */
  readonly deliveredRecords: number;
  /** Records set aside since this node began to deliver the partition. */
  readonly deadLetters: number;
  /** Dead letters in the partition now, including those of earlier starts, of other nodes and of replays. */
  readonly deadLettersStored: number;
  /** From append to commit in the sink, of the oldest record of the last batch; ms. */
  readonly lastDelayMs?: number;
}

/** The part of a standing that its delivery reports. */
type Reported = Omit<
  DeliveryStanding,
  keyof DeliveryTarget | "stream" | "partition" | "lagRecords" | "deadLettersStored"
>;

/** Where a delivery reads: the records of its partition, or the outputs that a pipeline stores beside them. */
export interface DeliveryOrigin {
  readonly channel: Channel;
  /** The pipeline that stores the outputs. */
  readonly pipeline?: string;
}

interface Standing {
  readonly target: DeliveryTarget;
  readonly origin: DeliveryOrigin;
  feed: PartitionFeed;
  reported: Reported;
}

const RECORDS: DeliveryOrigin = { channel: "records" };
const none = (): number => 0;

export class DeliveryBoard {
  readonly #standings = new Map<string, Standing>();
  /** Records that a pipeline has not read yet, by pipeline and partition. */
  readonly #unread = new Map<string, (feed: PartitionFeed) => number>();
  readonly #nowMs: () => number;
  readonly #isOwned: (partition: PartitionReference) => boolean;

  /** @param isOwned whether this node owns a partition; deliveries of another node stand on that node's board */
  constructor(nowMs: () => number, isOwned: (partition: PartitionReference) => boolean) {
    this.#nowMs = nowMs;
    this.#isOwned = isOwned;
  }

  /**
   * A pipeline that stores its outputs has read the partition's records before `nextOffset`.
   *
   * @param unreadElsewhere tells the records that it has not read in its further streams
   */
  reached(pipeline: string, { partition }: PartitionFeed, nextOffset: number, unreadElsewhere = none): void {
    this.#unread.set(`${pipeline} ${partitionName(partition)}`, (feed) => {
      return Math.max(0, feed.committedOffset("records") - nextOffset) + unreadElsewhere();
    });
  }

  report(target: DeliveryTarget, feed: PartitionFeed, report: DeliveryReport, origin: DeliveryOrigin = RECORDS): void {
    const standing = this.#of(target, feed, origin);
    standing.feed = feed;
    standing.reported = this.#after(standing.reported, report);
  }

  #after(before: Reported, report: DeliveryReport): Reported {
    const { reason: _, needsPerson: __, ...well } = before;
    switch (report.kind) {
      case "opened":
        return { ...well, state: "delivering", nextOffset: (report.position?.offset ?? -1) + 1 };
      case "delivered": {
        const { batch } = report;
        const lastDelayMs = this.delayMs(batch);
        const deliveredRecords = before.deliveredRecords + batch.records;
        const delay = lastDelayMs === undefined ? {} : { lastDelayMs };
        return { ...well, ...delay, state: "delivering", nextOffset: batch.end.offset + 1, deliveredRecords };
      }
      case "retry": {
        const { reason, needsPerson } = report;
        return { ...well, state: "retrying", reason, ...(needsPerson === true ? { needsPerson } : {}) };
      }
      case "dead_lettered":
        return { ...before, deadLetters: before.deadLetters + report.letters.length };
      case "fenced":
      case "stopped":
        return { ...before, state: report.kind };
      case "trimmed":
      case "truncated":
      case "misplaced":
      case "completed":
        return before;
    }
  }

  /** Milliseconds since the append of a batch's oldest record; undefined for an empty batch. */
  delayMs({ oldestAppendedAtMs }: { readonly oldestAppendedAtMs?: number | undefined }): number | undefined {
    return oldestAppendedAtMs === undefined ? undefined : this.#nowMs() - oldestAppendedAtMs;
  }

  *standings(): Iterable<DeliveryStanding> {
    for (const { target, feed, origin, reported } of this.#standings.values()) {
      const { stream, partition } = feed.partition;
      if (!this.#isOwned(feed.partition)) continue;
      const undelivered = Math.max(0, feed.committedOffset(origin.channel) - reported.nextOffset);
      const lagRecords = undelivered + this.#unreadOf(feed, origin);
      yield { ...target, stream, partition, ...reported, lagRecords, deadLettersStored: lettersIn(feed, target) };
    }
  }

  #unreadOf(feed: PartitionFeed, { pipeline }: DeliveryOrigin): number {
    if (pipeline === undefined) return 0;
    const unread = this.#unread.get(`${pipeline} ${partitionName(feed.partition)}`);
    return unread?.(feed) ?? feed.committedOffset("records");
  }

  #of(target: DeliveryTarget, feed: PartitionFeed, origin: DeliveryOrigin): Standing {
    const key = `${deliveryText(target)} ${partitionName(feed.partition)}`;
    let standing = this.#standings.get(key);
    if (standing === undefined) {
      standing = {
        target,
        origin,
        feed,
        reported: { state: "opening", nextOffset: 0, deliveredRecords: 0, deadLetters: 0 },
      };
      this.#standings.set(key, standing);
    }
    return standing;
  }
}

function lettersIn(feed: PartitionFeed, target: DeliveryTarget): number {
  const { firstOffset, endOffset } = feed.bounds(`dead_letters/${deliveryText(target)}`);
  return endOffset - firstOffset;
}
