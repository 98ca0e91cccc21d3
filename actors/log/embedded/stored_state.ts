/**
 * Keys and stored forms of the embedded log: a partition's fence, channels, entries, chains, verdicts and checkpoints, and
 * the store's own producers and metadata. Decides names and layouts; leaves meaning to stored_partition.ts.
 *
 * A partition's keys share the prefix `p NUL stream NUL partition NUL`. An entry's key ends in its epoch and last offset at a
 * fixed width. So entries lie in order, and a cursor is found by one seek.
 */
import { Packr } from "../../../deps.ts";
import type { Verdict } from "../../../protocols/event.ts";
import { type EpochStart, epoch, offset, type PartitionReference } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import type { Channel, ChannelBounds, StoredVerdict } from "../log.ts";
import type { ChainState, PartitionState } from "../rules/stored_partition.ts";

const packr = new Packr({ useRecords: false, useToJSON: false });

/** Packs a small value of plain arrays and maps. The bytes decode by themselves. */
export const pack = (value: unknown): Buffer => Buffer.from(packr.pack(value));
export const unpack = <Value>(bytes: Uint8Array): Value => packr.unpack(bytes) as Value;

/** A safe integer as 14 hexadecimal digits, so that texts sort as their numbers do. */
export function fixedWidth(value: number): string {
  const digits = value.toString(16);
  return (ZEROS[digits.length] ?? "") + digits;
}
const ZEROS: readonly string[] = Array.from({ length: 15 }, (_, digits) => "0".repeat(14 - digits));
export const sequenceText = ([term, position, index]: Sequence): string =>
  fixedWidth(term) + fixedWidth(position) + fixedWidth(index);

/** The sequence that {@linkcode sequenceText} wrote; undefined for the empty text. */
export function textSequence(text: string): Sequence | undefined {
  if (text === "") return undefined;
  const part = (at: number) => Number.parseInt(text.slice(at, at + 14), 16);
  return [part(0), part(14), part(28)];
}

export const partitionPrefix = ({ stream, partition }: PartitionReference): string => `p\0${stream}\0${partition}\0`;

export const fenceKey = (prefix: string): string => `${prefix}f`;
export const channelKey = (prefix: string, channel: Channel): string => `${prefix}c\0${channel}`;
export const entriesPrefix = (prefix: string, channel: Channel): string => `${prefix}e\0${channel}\0`;
export const entryKey = (prefix: string, channel: Channel, ofEpoch: number, lastOffset: number): string =>
  entriesPrefix(prefix, channel) + fixedWidth(ofEpoch) + fixedWidth(lastOffset);
export const chainKey = (prefix: string, name: string): string => `${prefix}h\0${name}`;
export const checkpointKey = (prefix: string, name: string): string => `${prefix}k\0${name}`;
/** The length of the producer's id keeps its keys apart from those of ids that begin with it. */
export const verdictsPrefix = (prefix: string, producerId: string): string =>
  `${prefix}v\0${producerId.length}:${producerId}\0`;
export const metadataKey = (key: string): string => `m\0${key}`;
export const producerKey = (producerId: string): string => `i\0${producerId}`;

export const chainsPrefix = (prefix: string): string => `${prefix}h\0`;
export const channelsPrefix = (prefix: string): string => `${prefix}c\0`;
export const checkpointsPrefix = (prefix: string): string => `${prefix}k\0`;

/** The epoch and the last offset that an entry's key names. */
export const entryPlace = (key: string) => ({
  epoch: epoch(Number.parseInt(key.slice(-28, -14), 16)),
  lastOffset: Number.parseInt(key.slice(-14), 16),
});

type Fence = Pick<PartitionState, "grant" | "settings"> & { readonly epoch: number };

/** Packs these three fields alone: with the state's other fields a claim would cost more for each producer. */
export const encodeFence = ({ epoch, grant, settings }: Fence): Buffer => pack({ epoch, grant, settings });
export const decodeFence = (bytes: Uint8Array): Fence => unpack<Fence>(bytes);

export function encodeChannel({ epochs, firstOffset, endOffset, sizeBytes }: ChannelBounds): Buffer {
  return pack([firstOffset, endOffset, sizeBytes, ...epochs.flatMap((entry) => [entry.epoch, entry.firstOffset])]);
}

export function decodeChannel(bytes: Uint8Array): ChannelBounds {
  const [firstOffset = 0, endOffset = 0, sizeBytes = 0, ...rest] = unpack<number[]>(bytes);
  return { epochs: pairs(rest), firstOffset: offset(firstOffset), endOffset: offset(endOffset), sizeBytes };
}

/** An epoch table from its numbers, two for each entry. */
export function pairs(numbers: readonly number[]): EpochStart[] {
  const epochs: EpochStart[] = [];
  for (let at = 0; at + 1 < numbers.length; at += 2) {
    epochs.push({ epoch: epoch(numbers[at] ?? 0), firstOffset: offset(numbers[at + 1] ?? 0) });
  }
  return epochs;
}

/**
 * A list of four values, or of five with an owner, which chains of earlier releases lack. The last one is the position's
 * bytes as they were sent, or nil.
 */
export function encodeChain({ producerEpoch, activeAtMs, stored, owner, position }: ChainState): Buffer {
  const fields = [producerEpoch, activeAtMs, stored ?? null];
  const list = pack(owner === undefined ? [...fields, null] : [...fields, owner, null]);
  return position === undefined ? list : Buffer.concat([list.subarray(0, -1), position]);
}

/** Decodes a chain, but for its position: the bytes of a resume point may be small and its decoded form large. */
export function decodeChain(bytes: Uint8Array): ChainState {
  const fields: unknown[] = [];
  let endOfFields = 0;
  const inList = bytes.subarray(1);
  const fieldsBeforePosition = (bytes[0] ?? 0) - EMPTY_LIST - 1;
  packr.unpackMultiple(inList, (field: unknown, _start: number | undefined, end = 0) => {
    endOfFields = end;
    return fields.push(field) < fieldsBeforePosition;
  });
  const [producerEpoch, activeAtMs, stored, owner] = fields as [number, number, Sequence | null, string?];
  return {
    producerEpoch,
    activeAtMs,
    stored: stored ?? undefined,
    owner,
    position: inList[endOfFields] === NIL ? undefined : new Uint8Array(inList.subarray(endOfFields)),
  };
}

/** First byte of a MessagePack list of up to 15 values, before its length is added. */
const EMPTY_LIST = 0x90;
const NIL = 0xc0;

export const encodeVerdict = (sequence: Sequence, { code, path, reason }: Verdict): Buffer =>
  pack([sequence, code, path, reason]);

export function decodeVerdict(bytes: Uint8Array): StoredVerdict {
  const [sequence, code, path, reason] = unpack<[Sequence, string, string, string]>(bytes);
  return { sequence, code, path, reason };
}
