/** Where each sink stands in each partition: filled by the deliveries' reports, read by metrics, the page and the CLI. */
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import type { DeliveryReport } from "../../actors/sinks/delivery/delivery_messages.ts";
import { type PartitionReference, partitionName } from "../../protocols/position.ts";

export type DeliveryState = "opening" | "delivering" | "retrying" | "fenced" | "stopped";

export interface DeliveryStanding {
  readonly sink: string;
  readonly stream: string;
  readonly partition: number;
  readonly state: DeliveryState;
  /** Why the delivery is being retried. */
  readonly reason?: string;
  /** True where a person must act before a retry can succeed (a token, an address); absent otherwise. */
  readonly needsPerson?: true;
  /** Sequence of the next record to deliver: each earlier record is in the sink, was filtered out, or was set aside. */
  readonly nextOffset: number;
  /** Records committed and not yet delivered. */
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

interface Standing {
  readonly sink: string;
  feed: PartitionFeed;
  state: DeliveryState;
  reason: string | undefined;
  needsPerson: boolean;
  nextOffset: number;
  deliveredRecords: number;
  deadLetters: number;
  lastDelayMs: number | undefined;
}

export class DeliveryBoard {
  readonly #standings = new Map<string, Standing>();
  readonly #nowMs: () => number;
  readonly #isOwned: (partition: PartitionReference) => boolean;

  /** @param isOwned whether this node owns a partition; deliveries of another node stand on that node's board */
  constructor(nowMs: () => number, isOwned: (partition: PartitionReference) => boolean) {
    this.#nowMs = nowMs;
    this.#isOwned = isOwned;
  }

  report(sink: string, feed: PartitionFeed, report: DeliveryReport): void {
    const standing = this.#of(sink, feed);
    standing.feed = feed;
    switch (report.kind) {
      case "opened":
        standing.state = "delivering";
        standing.reason = undefined;
        standing.needsPerson = false;
        standing.nextOffset = report.position === undefined ? 0 : report.position.offset + 1;
        return;
      case "delivered":
        standing.state = "delivering";
        standing.reason = undefined;
        standing.needsPerson = false;
        standing.nextOffset = report.batch.end.offset + 1;
        standing.deliveredRecords += report.batch.records;
        standing.lastDelayMs = this.delayMs(report.batch) ?? standing.lastDelayMs;
        return;
      case "retry":
        standing.state = "retrying";
        standing.reason = report.reason;
        standing.needsPerson = report.needsPerson === true;
        return;
      case "dead_lettered":
        standing.deadLetters += report.letters.length;
        return;
      case "fenced":
      case "stopped":
        standing.state = report.kind;
        return;
      case "trimmed":
      case "truncated":
      case "misplaced":
      case "completed":
        return;
    }
  }

  /** Milliseconds since the append of a batch's oldest record; undefined for an empty batch. */
  delayMs({ oldestAppendedAtMs }: { readonly oldestAppendedAtMs?: number | undefined }): number | undefined {
    return oldestAppendedAtMs === undefined ? undefined : this.#nowMs() - oldestAppendedAtMs;
  }

  *standings(): Iterable<DeliveryStanding> {
    for (const standing of this.#standings.values()) {
      if (!this.#isOwned(standing.feed.partition)) continue;
      const { sink, feed, state, reason, needsPerson, nextOffset, deliveredRecords, deadLetters, lastDelayMs } =
        standing;
      yield {
        sink,
        stream: feed.partition.stream,
        partition: feed.partition.partition,
        state,
        nextOffset,
        lagRecords: Math.max(0, feed.committedOffset("records") - nextOffset),
        deliveredRecords,
        deadLetters,
        deadLettersStored: lettersIn(feed, sink),
        ...(reason === undefined ? {} : { reason }),
        ...(needsPerson ? { needsPerson } : {}),
        ...(lastDelayMs === undefined ? {} : { lastDelayMs }),
      };
    }
  }

  #of(sink: string, feed: PartitionFeed): Standing {
    const key = `${sink} ${partitionName(feed.partition)}`;
    let standing = this.#standings.get(key);
    if (standing === undefined) {
      standing = {
        sink,
        feed,
        state: "opening",
        reason: undefined,
        needsPerson: false,
        nextOffset: 0,
        deliveredRecords: 0,
        deadLetters: 0,
        lastDelayMs: undefined,
      };
      this.#standings.set(key, standing);
    }
    return standing;
  }
}

function lettersIn(feed: PartitionFeed, sink: string): number {
  const { firstOffset, endOffset } = feed.bounds(`dead_letters/${sink}`);
  return endOffset - firstOffset;
}
