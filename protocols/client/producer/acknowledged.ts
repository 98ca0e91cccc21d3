/**
 * What a stream has acknowledged to one life of a producer that can send again. Once the stream has lost a part of that with
 * its tail, this tells from where to send again (E6). Pure.
 */
import { compareSequences, type Sequence } from "../../sequence.ts";

/** Batches whose beginnings are remembered, at most. Beyond them every second one is forgotten. */
export const BEGINNINGS_MAX = 256;

interface Acknowledgement {
  readonly sequence: Sequence;
  readonly atMs: number;
}

interface Beginning<Place> {
  /** Reading on from here repeats the batch and all after it. */
  readonly place: Place;
  readonly first: Sequence;
  readonly atMs: number;
}

/** From where to send again. */
export interface WayBack<Place> {
  readonly place: Place;
  /** False where older events may be lost as well: sending these again could repeat others. */
  readonly isComplete: boolean;
}

/** The last sequence of each partition that a stream holds. */
export type OpenedChains = readonly (Sequence | undefined)[];

/** @typeParam Place where the producer's application reads on, such as an offset */
export class Acknowledged<Place> {
  /** As they were when the life began. */
  readonly #opened = new Map<number, Sequence>();
  readonly #chains = new Map<number, Acknowledgement>();
  #beginnings: Beginning<Place>[] = [];
  /** First sequences of the batches that are not settled. */
  #unsettled: Sequence[] = [];
  /** One of so many batches is remembered. */
  #stride = 1;
  #batches = 0;

  /** A partition has acknowledged everything up to `sequence`. */
  acknowledge(partition: number, sequence: Sequence, nowMs: number): void {
    const known = this.#chains.get(partition)?.sequence;
    const isRepeat = known !== undefined && compareSequences(sequence, known) < 0;
    this.#chains.set(partition, { sequence: isRepeat ? known : sequence, atMs: nowMs });
  }

  /** A batch is about to be sent, whose first sequence is `first`. Reading on from `place` repeats it. */
  begin(place: Place, first: Sequence, nowMs: number): void {
    this.#unsettled = [...this.#unsettled.filter((other) => compareSequences(other, first) < 0), first];
    if (this.#batches % this.#stride === 0) this.#beginnings.push({ place, first, atMs: nowMs });
    this.#batches += 1;
    if (this.#beginnings.length <= BEGINNINGS_MAX) return;
    this.#beginnings = this.#beginnings.filter((_, index) => index % 2 === 0);
    this.#stride *= 2;
  }

  /** The oldest batch that was begun is acknowledged, and the application will not send it again by itself. */
  settle(): void {
    this.#unsettled.shift();
  }

  /**
   * Answers from where to send again; undefined where nothing is lost, or nothing can be sent again.
   *
   * A chain that was idle for the dedupe window is forgotten by the log, and would take old events twice. So the way back
   * is at most half a window long, and a chain that is gone counts as lost only if it acknowledged something since.
   */
  wayBack(opened: OpenedChains, nowMs: number, dedupeWindowMs: number): WayBack<Place> | undefined {
    const isRecent = ({ atMs }: { readonly atMs: number }): boolean => Math.abs(nowMs - atMs) <= dedupeWindowMs / 2;
    const recent = this.#beginnings.filter(isRecent);
    const [oldest] = recent;
    const lost = [...opened.keys()].filter((partition) => {
      const known = this.#chains.get(partition);
      if (known === undefined || compareSequences(known.sequence, opened[partition]) <= 0) return false;
      return opened[partition] !== undefined || isRecent(known);
    });
    if (lost.length === 0 || oldest === undefined) return undefined;
    // Partitions run ahead of each other: a batch before the loss may still be open.
    const held = [...lost.map((partition) => opened[partition]), ...this.#unsettled.slice(0, 1)];
    const least = held.reduce((low, one) => (compareSequences(one, low) < 0 ? one : low));
    const before = recent.findLast(({ first }) => compareSequences(first, least) <= 0);
    const isOfThisLife = (partition: number) => compareSequences(this.#opened.get(partition), opened[partition]) <= 0;
    const isWhole = oldest === this.#beginnings[0] && lost.every(isOfThisLife);
    return { place: (before ?? oldest).place, isComplete: before !== undefined || isWhole };
  }

  /** The chains were opened: what was acknowledged beyond them is sent again. */
  restart(opened: OpenedChains, nowMs: number): void {
    const isFirst = this.#batches === 0;
    this.#chains.clear();
    for (const [partition, sequence] of opened.entries()) {
      if (sequence === undefined) continue;
      this.#chains.set(partition, { sequence, atMs: nowMs });
      if (isFirst) this.#opened.set(partition, sequence);
    }
  }
}
