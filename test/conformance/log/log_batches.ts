/** Batches for tests of logs. Each event holds its own name, so that a test can tell which events it read back. */
import type { AppendBatch, RecordBatch } from "../../../actors/log/log.ts";
import { isRejected } from "../../../actors/log/log.ts";
import { Packr } from "../../../deps.ts";
import type { Verdict } from "../../../protocols/event.ts";
import { type PartitionReference, partitionId } from "../../../protocols/position.ts";
import { type Sequence, type Sequences, sequenceAt, sequenceCount } from "../../../protocols/sequence.ts";

const packr = new Packr({ useRecords: false });

export const plain = (n: number): Sequence => [0, n, 0];
export const partition = (n = 0, stream = "orders"): PartitionReference => ({ stream, partition: partitionId(n) });

export const eventsOf = (names: readonly string[]): Buffer => Buffer.from(packr.pack(names.map((name) => ({ name }))));
export const namesOf = (events: Uint8Array): string[] =>
  (packr.unpack(events) as { name: string }[]).map(({ name }) => name);

export interface BatchOptions {
  readonly producerEpoch?: number;
  readonly rejected?: readonly number[];
  readonly appendedAtMs?: number;
  readonly extra?: Partial<AppendBatch>;
}

/** A batch of `sequences` after `previous`; events are named `<producer>:<sequence>`. */
export function batch(
  producerId: string,
  previousSequence: Sequence | undefined,
  sequences: Sequences,
  options: BatchOptions = {},
): AppendBatch {
  const names = Array.from(
    { length: sequenceCount(sequences) },
    (_, index) => `${producerId}:${sequenceAt(sequences, index).join("/")}`,
  );
  const verdicts: Verdict[] = (options.rejected ?? []).map((index) => ({
    index,
    code: "SCHEMA_VIOLATION",
    path: `/${index}`,
    reason: `because of ${names[index]}`,
  }));
  return {
    producerId,
    producerEpoch: options.producerEpoch ?? 1,
    previousSequence,
    sequences,
    schemaVersion: 3,
    events: eventsOf(names),
    appendedAtMs: options.appendedAtMs ?? 1_000,
    ...(verdicts.length === 0
      ? {}
      : { rejects: { verdicts, events: eventsOf(verdicts.map(({ index }) => `dead:${names[index]}`)) } }),
    ...options.extra,
  };
}

/** Events `from` to `from + count - 1` of a plain producer, after event `from - 1`. */
export const dense = (producerId: string, from: number, count: number, options?: BatchOptions): AppendBatch =>
  batch(producerId, from === 0 ? undefined : plain(from - 1), { first: plain(from), count }, options);

/** Names of the records of batches, with their offsets and without rejected events. */
export function recordsOf(batches: readonly RecordBatch[]): [offset: number, name: string][] {
  return batches.flatMap((stored) => {
    const names = namesOf(stored.events).filter((_, index) => !isRejected(stored.rejected, index));
    return names.map((name, at): [number, string] => [stored.firstOffset + at, name]);
  });
}
