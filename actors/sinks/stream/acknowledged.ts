/**
 * What a derived stream has acknowledged in one life of its writer, and from where to write again once the stream has lost
 * a part of that with its tail (E6). Pure.
 */
import { comparePositions, type Position } from "../../../protocols/position.ts";
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";

/** Ends of batches that are remembered. Beyond them every second one is forgotten. */
export const ENDS_MAX = 256;

interface Acknowledgement {
  readonly sequence: Sequence;
  readonly atMs: number;
}

interface BatchEnd {
  /** Undefined before the first record of all. */
  readonly position: Position | undefined;
  readonly atMs: number;
}

/** From where to write again. */
export interface WayBack {
  readonly position: Position | undefined;
  /** False where older records may be lost as well: writing these again could repeat others. */
  readonly isComplete: boolean;
}

export class Acknowledged {
  readonly #chains = new Map<number, Acknowledgement>();
  #ends: BatchEnd[] = [];
  /** One of so many batches is remembered by its end. */
  #stride = 1;
  #batches = 0;

  /** A partition has acknowledged everything up to `sequence`. */
  acknowledge(partition: number, sequence: Sequence, nowMs: number): void {
    const known = this.#chains.get(partition)?.sequence;
    const isRepeat = known !== undefined && compareSequences(sequence, known) < 0;
    this.#chains.set(partition, { sequence: isRepeat ? known : sequence, atMs: nowMs });
  }

  /** A batch that follows `predecessor` is about to be written. */
  begin(predecessor: Position | undefined, nowMs: number): void {
    if (this.#batches % this.#stride === 0) this.#ends.push({ position: predecessor, atMs: nowMs });
    this.#batches += 1;
    if (this.#ends.length <= ENDS_MAX) return;
    this.#ends = this.#ends.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }

  /**
   * Answers from where to write again; undefined where nothing is lost, or nothing can be written again.
   *
   * A chain that was idle for the dedupe window is forgotten by the log, and would take old records twice. So the way back
   * is at most half a window long, and a chain that is gone counts as lost only if it acknowledged something since.
   *
   * @param opened the last stored sequence of each partition
   */
  wayBack(opened: readonly (Sequence | undefined)[], nowMs: number, dedupeWindowMs: number): WayBack | undefined {
    const isRecent = ({ atMs }: { readonly atMs: number }): boolean => Math.abs(nowMs - atMs) <= dedupeWindowMs / 2;
    const lost = opened.filter((stored, partition) => {
      const known = this.#chains.get(partition);
      if (known === undefined || compareSequences(known.sequence, stored) <= 0) return false;
      return stored !== undefined || isRecent(known);
    });
    const ends = this.#ends.filter(isRecent);
    const [oldest] = ends;
    if (lost.length === 0 || oldest === undefined) return undefined;
    const first = lost.reduce((least, one) => (compareSequences(one, least) < 0 ? one : least));
    const before = first === undefined ? undefined : ends.findLast(({ position }) => isBefore(position, first));
    const isComplete = before !== undefined || oldest.position === undefined;
    return { position: (before ?? oldest).position, isComplete };
  }

  /** The partitions were opened: what was acknowledged beyond their last sequences is written again. */
  restart(opened: readonly (Sequence | undefined)[], nowMs: number): void {
    this.#chains.clear();
    for (const [partition, sequence] of opened.entries())
      if (sequence !== undefined) this.#chains.set(partition, { sequence, atMs: nowMs });
  }
}

function isBefore(position: Position | undefined, [epoch, offset]: Sequence): boolean {
  return comparePositions(position, { epoch, offset } as Position) < 0;
}
