/** The names of a partition's keys in Redis. redis_library.ts tells their contents. */
import { type PartitionReference, partitionName } from "../../../protocols/position.ts";
import type { Channel } from "../log.ts";

export type Keys = ReturnType<typeof keysOf>;

/** The keys of all partitions that this process has used. Names are made once, not for each call. */
export class KnownKeys {
  readonly #prefix: string;
  /** By stream, then by partition. */
  readonly #partitions = new Map<string, Map<number, Keys>>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  of(partition: PartitionReference): Keys {
    const ofStream = this.#partitions.get(partition.stream);
    const known = ofStream?.get(partition.partition);
    if (known !== undefined) return known;
    const made = keysOf(this.#prefix, partition);
    if (ofStream === undefined) this.#partitions.set(partition.stream, new Map([[partition.partition, made]]));
    else ofStream.set(partition.partition, made);
    return made;
  }
}

/** All keys of a partition have one hash tag, so that they share a slot. */
function keysOf(prefix: string, partition: PartitionReference) {
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
    stream: (channel: Channel): string => streams.get(channel) ?? nameStream(channel),
  };
}
