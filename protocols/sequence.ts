/**
 * The chain of a producer in one partition: how the log tells a repeated batch from a new one and from a gap (E2, E3).
 * Pure, and the only implementation in TypeScript. The Redis function implements it in Lua, and the conformance suite
 * compares the two.
 */

/**
 * A producer's own count of an event: three whole numbers from 0 to 2^53 - 1, compared in their order (E3). A plain
 * producer counts (0, n, 0). A replayable source uses its generation, its own position and 0. A derived stream uses the
 * owner epoch and the offset of the input record, and the index among that record's outputs.
 */
export type Sequence = readonly [term: number, position: number, index: number];

/** Compares sequences: below 0 where `left` comes first. `undefined` ("nothing stored") comes before every sequence. */
export function compareSequences(left: Sequence | undefined, right: Sequence | undefined): number {
  if (left === undefined || right === undefined) return Number(left !== undefined) - Number(right !== undefined);
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

/** The sequences of a batch's events: dense in `position` (`first`, `first + 1`, ...), or listed in ascending order. */
export type Sequences = { readonly first: Sequence; readonly count: number } | { readonly list: readonly Sequence[] };

/** The number of events that the sequences are of. */
export const sequenceCount = (sequences: Sequences): number =>
  "list" in sequences ? sequences.list.length : sequences.count;

/** The sequence of the event at `index` of the batch. Throws `RangeError` outside the batch. */
export function sequenceAt(sequences: Sequences, index: number): Sequence {
  if (index < 0 || index >= sequenceCount(sequences)) {
    throw new RangeError(
      `Cannot take the sequence of an event as its index must be in the batch of ${sequenceCount(sequences)}: current value is ${index}`,
    );
  }
  if ("list" in sequences) return sequences.list[index] as Sequence;
  const [term, position, outputIndex] = sequences.first;
  return [term, position + index, outputIndex];
}

/** The first sequence. Throws `RangeError` where there is none. */
export const firstSequence = (sequences: Sequences): Sequence => sequenceAt(sequences, 0);
/** The last sequence. Throws `RangeError` where there is none. */
export const lastSequence = (sequences: Sequences): Sequence => sequenceAt(sequences, sequenceCount(sequences) - 1);

/** The log's judgement of a batch (E2): written, stored already, or not behind the stored sequence. */
export type ChainJudgement = "accept" | "duplicate" | "gap";

/**
 * Judges a batch that ends at `last` and follows `previous`, in a chain that has stored all events up to `stored`.
 * Duplicates are judged first, so that a batch repeated after its ack was lost is never a gap.
 */
export function judgeChain(
  stored: Sequence | undefined,
  previous: Sequence | undefined,
  last: Sequence,
): ChainJudgement {
  if (compareSequences(last, stored) <= 0) return "duplicate";
  return compareSequences(previous, stored) === 0 ? "accept" : "gap";
}
