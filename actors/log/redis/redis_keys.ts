/** The names of a partition's keys in Redis: redis_library.ts says what they hold. */
import { type PartitionReference, partitionName } from "../../../protocols/position.ts";
import type { Channel } from "../log.ts";

export interface Keys {
  readonly meta: string;
  readonly chains: string;
  readonly verdicts: string;
  readonly checkpoints: string;
  stream(channel: Channel): string;
}

/** One hash tag for all keys of a partition, so that they share a slot. To be kept: names are most of what a small append says. */
export function keysOf(prefix: string, partition: PartitionReference): Keys {
  const base = `${prefix}{${partitionName(partition)}}:`;
  const streams = new Map<Channel, string>();
  const nameStream = (channel: Channel): string => {
    const name = `${base}s:${channel}`;
    streams.set(channel, name);
    return name;
  };
  return {
    meta: `${base}meta`,
    chains: `${base}chains`,
    verdicts: `${base}verdicts`,
    checkpoints: `${base}checkpoints`,
    stream: (channel) => streams.get(channel) ?? nameStream(channel),
  };
}
