/** Turns replies of the log's keys and functions into the types of the log's contract. */
import { ConfigurationError } from "../../../protocols/errors.ts";
import { epoch, offset } from "../../../protocols/position.ts";
import { pairs } from "../embedded/stored_state.ts";
import type { Channel, ChannelBounds, RecordBatch } from "../log.ts";
import { decodeEntry } from "../rules/record_batch.ts";

export function* fieldsOf(fields: readonly Buffer[]): Iterable<readonly [string, Buffer]> {
  for (let at = 0; at + 1 < fields.length; at += 2) yield [String(fields[at]), fields[at + 1] as Buffer];
}

/** The checkpoints of a hash. Its field with the empty name exists only so that the key does. */
export function checkpointsOf(fields: readonly Buffer[]): Map<string, Uint8Array> {
  return new Map([...fieldsOf(fields)].filter(([name]) => name !== ""));
}

export function channelsOf(fields: readonly Buffer[]): Map<Channel, ChannelBounds> {
  const named = [...fieldsOf(fields)].filter(([name]) => name.startsWith("c:"));
  return new Map(named.map(([name, value]) => [name.slice(2) as Channel, boundsOf(value)]));
}

/** Reads `first end bytes entries last-epoch` and the epoch table, as redis_library.ts writes them. */
export function boundsOf(text: Buffer | null): ChannelBounds {
  const numbers = text === null || text.length === 0 ? [] : String(text).split(" ").map(Number);
  const [firstOffset = 0, endOffset = 0, sizeBytes = 0, , , ...epochs] = numbers;
  return { epochs: pairs(epochs), firstOffset: offset(firstOffset), endOffset: offset(endOffset), sizeBytes };
}

/** An entry of a stream: its id, then its fields, names and values in turn. */
export type StreamEntry = [Buffer, Buffer[]];

export function decodeStreamEntry([id, fields]: StreamEntry): RecordBatch[] {
  const [inEpoch, lastOffset] = String(id).split("-").map(Number);
  const bytes = fields[1];
  if (bytes === undefined || inEpoch === undefined || lastOffset === undefined) {
    throw new ConfigurationError("FORMAT_TOO_NEW", `Cannot read entry ${id} as it must hold a record batch`);
  }
  return decodeEntry(bytes, epoch(inEpoch), lastOffset);
}
