/**
 * The chain of a producer in one partition: how the log tells a repeated batch from a new one and from a gap (E2, E3).
 * Pure, and the only place where the rule is written down in TypeScript; the Redis Function states it again in Lua and
 * the conformance suite holds the two together.
 */

/**
 * A producer's own count of an event, compared in order of its three parts (E3): for a plain producer (0, n, 0); for a
 * replayable source its generation, its own position and 0; for a derived stream the entry epoch of the input record,
 * its offset and the index of the output among that input's outputs.
 */
export type Sequence = readonly [term: number, position: number, index: number];

/** Orders sequences; `undefined` ("nothing stored") sorts below every sequence. */
export function compareSequences(left: Sequence | undefined, right: Sequence | undefined): number {
  if (left === undefined || right === undefined) return Number(left !== undefined) - Number(right !== undefined);
  return left[0] - right[0] || left[1] - right[1] || left[2] - right[2];
}

/**
 * The sequences of a batch's events: either dense in `position` (`first`, `first + 1`, ...) or listed one by one, in
 * ascending order.
 */
export type Sequences = { readonly first: Sequence; readonly count: number } | { readonly list: readonly Sequence[] };

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

export const firstSequence = (sequences: Sequences): Sequence => sequenceAt(sequences, 0);
export const lastSequence = (sequences: Sequences): Sequence => sequenceAt(sequences, sequenceCount(sequences) - 1);

export type ChainJudgement = "accept" | "duplicate" | "gap";

/**
 * Decides what becomes of a batch whose events end at `last` and follow `previous`, in a chain that has stored
 * everything up to `stored`. Duplicates first, so that a batch repeated after its ack was lost is never a gap.
 */
export function judgeChain(
  stored: Sequence | undefined,
  previous: Sequence | undefined,
  last: Sequence,
): ChainJudgement {
  if (compareSequences(last, stored) <= 0) return "duplicate";
  return compareSequences(previous, stored) === 0 ? "accept" : "gap";
}
