/**
 * Tells a partition's owner which records a delivery still needs, from the delivery's own reports. So retention removes
 * no record that a sink has not handled. A position that the log lost with its tail counts as the end of the log.
 */
import { epoch, judgeCursor, offset, type Position } from "../../../protocols/position.ts";
import type { ActorReference } from "../../kernel/actor.ts";
import type { Channel } from "../../log/log.ts";
import type { PartitionRequest } from "../../partition/partition.ts";
import type { PartitionFeed } from "../../partition/partition_feed.ts";
import type { DeliveryReport } from "./delivery_messages.ts";

export function deliveryProgress(
  consumer: string,
  feed: PartitionFeed,
  owner: ActorReference<PartitionRequest>,
  channel: Channel = "records",
): (report: DeliveryReport) => void {
  const needs = (position: Position | undefined): number => {
    const { epochs, firstOffset, endOffset } = feed.bounds(channel);
    const judgement = judgeCursor(position, epochs, firstOffset, endOffset);
    if (judgement.kind === "truncated") return judgement.divergence;
    return position === undefined ? 0 : position.offset + 1;
  };
  const tell = (position: Position | undefined) =>
    owner.tell({ type: "consumer_at", consumer, channel, offset: offset(needs(position)), epoch: feed.epoch });
  return (report) => {
    if (report.kind === "opened") tell(report.position);
    if (report.kind === "delivered") tell(report.batch.end);
    if (report.kind === "misplaced") tell(report.to); // what lies behind is read again
    if (report.kind === "fenced" && report.fence !== undefined) {
      owner.tell({ type: "fence_seen", epoch: epoch(report.fence) });
    }
  };
}
