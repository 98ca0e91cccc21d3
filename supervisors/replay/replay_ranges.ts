/** Where a replay begins and ends in each partition: as positions, at the moment when it is begun (R2). */
import type { Channel } from "../../actors/log/log.ts";
import type { PartitionView } from "../../actors/partition/partition_feed.ts";
import { UnavailableError } from "../../protocols/errors.ts";
import { cursorBefore, partitionName } from "../../protocols/position.ts";
import type { NodeDirectory } from "../node/stream_directory.ts";
import type { StoredRange } from "./replay_record.ts";
import type { ReplayPlace, ReplayRequest } from "./replay_request.ts";

/** Throws `UnavailableError` while no node owns a partition. @param count how many partitions the stream has */
export async function rangesOf(
  { stream, channel, from, to, partitions }: ReplayRequest,
  count: number,
  directory: Pick<NodeDirectory, "partition">,
): Promise<readonly StoredRange[]> {
  const wanted = partitions ?? Array.from({ length: count }, (_, partition) => partition);
  const ranges: StoredRange[] = [];
  for (const partition of wanted) {
    const view = directory.partition(stream, partition)?.view;
    if (view === undefined) {
      throw new UnavailableError(
        "NOT_READY",
        `Cannot replay ${partitionName({ stream, partition })} as a node must own the partition: it is being claimed`,
      );
    }
    await view.ready();
    const { epochs, firstOffset, endOffset } = view.bounds(channel);
    const begin = Math.max(firstOffset, await offsetOf(view, channel, from));
    const end = Math.min(endOffset, await offsetOf(view, channel, to));
    const last = begin < end ? cursorBefore(epochs, end) : undefined;
    ranges.push({ partition, after: cursorBefore(epochs, begin) ?? null, last: last ?? null });
  }
  return ranges;
}

async function offsetOf(view: PartitionView, channel: Channel, place: ReplayPlace): Promise<number> {
  if (place === "earliest") return 0;
  if (place === "latest") return view.bounds(channel).endOffset;
  if ("offset" in place) return place.offset;
  const before = await view.seek(channel, place.timeMs);
  return before === undefined ? 0 : before.offset + 1;
}
