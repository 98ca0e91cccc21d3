/**
 * Timers of a step: keyed state, ordered by time, then key, then tag. They are stored, moved and restored with the state
 * of the step, and fire once the watermark has reached their time.
 */
import type { KeyedState } from "../keyed_state.ts";
import { endedText, timeText } from "./ordered_text.ts";

export interface Timer {
  /** Event time, in ms since 1970. */
  readonly timeMs: number;
  readonly key: string;
  /** Tells timers of one key and time apart. */
  readonly tag: string;
}

export class Timers {
  readonly #state: KeyedState;
  /** No timer is due before this time; undefined where it must be looked up. */
  #nextMs: number | undefined;

  constructor(state: KeyedState) {
    this.#state = state;
  }

  set(timer: Timer): void {
    this.#state.put(nameOf(timer), [timer.timeMs, timer.key, timer.tag]);
    if (this.#nextMs !== undefined) this.#nextMs = Math.min(this.#nextMs, timer.timeMs);
  }

  /** Sets the timer of something that `keep` keeps until then. Where one of the two is refused, neither is there. */
  setFor(timer: Timer, keep: () => void): void {
    this.set(timer);
    try {
      keep();
    } catch (error) {
      this.remove(timer);
      throw error;
    }
  }

  remove(timer: Timer): void {
    this.#state.remove(nameOf(timer));
    this.#nextMs = undefined;
  }

  get areNone(): boolean {
    return this.#state.size === 0;
  }

  /** The state was restored, or set back: the next timer is looked up again. */
  restored(): void {
    this.#nextMs = undefined;
  }

  /** Takes out the timers that are due, in their order, also those that are set meanwhile. */
  *takeDue(watermarkMs: number): Iterable<Timer> {
    while (this.#next() <= watermarkMs) {
      const first = this.#first();
      if (first === undefined) return;
      this.#state.remove(nameOf(first));
      this.#nextMs = undefined;
      yield first;
    }
  }

  #next(): number {
    this.#nextMs ??= this.#first()?.timeMs ?? Number.POSITIVE_INFINITY;
    return this.#nextMs;
  }

  #first(): Timer | undefined {
    for (const [, value] of this.#state.scan()) {
      const [timeMs, key, tag] = value as readonly [number, string, string];
      return { timeMs, key, tag };
    }
    return undefined;
  }
}

const nameOf = ({ timeMs, key, tag }: Timer): string => timeText(timeMs) + endedText(key) + tag;
