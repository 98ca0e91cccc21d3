/**
 * The connections that wait for room for a large record, and those that hold such room (records budget B4). Leaves the
 * size of the room to the budget.
 *
 *   Q1. Room goes to the connection that has waited longest.
 *   Q2. Of the connections that hold room, the one whose records were sent longest ago gives way first, but none whose
 *       records were sent within `undisturbedMs`.
 */

interface Waiting {
  /** Keeps room for a record of `leastBytes`; false where that much is not free. */
  reserve(leastBytes: number): boolean;
  giveWay(): void;
}

interface Held<Who> {
  readonly who: Who;
  readonly sentAtMs: number;
}

export class RecordsLine<Who extends Waiting> {
  /** The connections that wait, in order of coming, with the bytes that each waits for. */
  readonly #waiting = new Map<Who, number>();
  /** Room whose records were sent and have not left, in order of sending. */
  readonly #held = new Map<object, Held<Who>>();
  /** Connections that were told to give way, and are not gone yet. */
  readonly #leaving = new Set<Who>();
  #isServing = false;

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  has(who: Who): boolean {
    return this.#waiting.has(who);
  }

  /** A connection that waits already keeps its place. */
  join(who: Who, leastBytes: number): void {
    this.#waiting.set(who, leastBytes);
    this.serve();
  }

  leave(who: Who): void {
    this.#leaving.delete(who);
    if (this.#waiting.delete(who)) this.serve();
  }

  hold(room: object, who: Who, sentAtMs: number): void {
    this.#held.set(room, { who, sentAtMs });
  }

  given(room: object): void {
    this.#held.delete(room);
  }

  /** Room may have become free: gives it to the connections in line, until it does not suffice for the next (Q1). */
  serve(): void {
    if (this.#isServing) return;
    this.#isServing = true;
    for (const [who, leastBytes] of this.#waiting) {
      if (!who.reserve(leastBytes)) break;
      this.#waiting.delete(who);
    }
    this.#isServing = false;
  }

  /** Tells one connection to give way: that whose records were sent longest ago, at `sentBeforeMs` or earlier (Q2). */
  giveWay(sentBeforeMs: number): void {
    for (const { who, sentAtMs } of this.#held.values()) {
      if (sentAtMs > sentBeforeMs) return;
      if (this.#leaving.has(who)) continue;
      this.#leaving.add(who);
      who.giveWay();
      return;
    }
  }
}
