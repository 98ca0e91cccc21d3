/** A clock that moves when the test says so. */
import type { Clock } from "../../../protocols/clock.ts";

export class ManualClock implements Clock {
  private now = 1_000_000;
  private readonly timers = new Set<{ readonly atMs: number; readonly onTime: () => void }>();

  nowMs(): number {
    return this.now;
  }

  random(): number {
    return 0.5;
  }

  setTimer(delayMs: number, onTime: () => void): { cancel(): void } {
    const timer = { atMs: this.now + delayMs, onTime };
    this.timers.add(timer);
    return { cancel: () => this.timers.delete(timer) };
  }

  /** Moves the clock, and fires the due timers in order; promises settle after each timer. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.now + byMs;
    await settle();
    for (;;) {
      const due = [...this.timers]
        .filter(({ atMs }) => atMs <= untilMs)
        .sort((left, right) => left.atMs - right.atMs)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.now = Math.max(this.now, due.atMs);
      due.onTime();
      await settle();
    }
    this.now = untilMs;
  }
}

/** Lets every promise that can settle do so. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
