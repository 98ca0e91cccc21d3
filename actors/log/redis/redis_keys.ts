/** The names of a partition's keys in Redis. redis_library.ts tells their contents. */
import { type PartitionReference, partitionName } from "../../../protocols/position.ts";
import type { Channel } from "../log.ts";

export interface Keys {
  readonly meta: string;
  readonly chains: string;
  readonly verdicts: string;
  readonly checkpoints: string;
  stream(channel: Channel): string;
}

/** All keys of a partition have one hash tag, so that they share a slot. Callers keep the result, and make no names per call. */
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
