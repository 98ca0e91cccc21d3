/**
 * The watermark of one input of a pipeline: the event time before which nothing more is expected (Akidau et al., "The
 * Dataflow Model", 2015). It follows from the records that were read and from recorded ticks, and never goes back.
 *
 *   W1. The watermark is the greatest event time seen, less `outOfOrderMs`.
 *   W2. A record from further in the future than `skewMs` behind its append moves nothing: one wrong clock would make
 *       every other record late.
 *   W3. An idle input advances by ticks of its owner's clock. The tick is stored with what it caused.
 */

/** How a pipeline takes the event times of its input. Milliseconds. */
export interface TimeSettings {
  /** How much earlier than the latest one an event time may be, and still be expected. */
  readonly outOfOrderMs: number;
  /** How far an event time may lie after the time at which its record was appended. */
  readonly skewMs: number;
  /** An input without records for this long advances by a tick. */
  readonly idleAfterMs: number;
}

export const TIME_DEFAULTS: TimeSettings = { outOfOrderMs: 0, skewMs: 60_000, idleAfterMs: 5_000 };

export class InputWatermark {
  readonly #settings: TimeSettings;
  #ms: number;

  /** @param storedMs the watermark that was stored with the progress */
  constructor(settings: TimeSettings, storedMs: number = Number.NEGATIVE_INFINITY) {
    this.#settings = settings;
    this.#ms = storedMs;
  }

  get ms(): number {
    return this.#ms;
  }

  /** The greatest event time seen, or the last tick. */
  get latestMs(): number {
    return this.#ms + this.#settings.outOfOrderMs;
  }

  /** Takes the event time of a record. False for a record from the future (W2). */
  see(timeMs: number, appendedAtMs: number): boolean {
    const { outOfOrderMs, skewMs } = this.#settings;
    if (timeMs > appendedAtMs + skewMs) return false;
    this.#ms = Math.max(this.#ms, timeMs - outOfOrderMs); // W1
    return true;
  }

  /** W3. */
  tick(nowMs: number): void {
    this.#ms = Math.max(this.#ms, nowMs - this.#settings.outOfOrderMs);
  }
}
