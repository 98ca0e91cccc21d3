/**
 * The effects of one life of a source, each of which passes through here. A life dies, as by SIGKILL, before or after the
 * n-th effect of a kind: nothing of a dead life is heard again. A frozen life goes on when it is thawed.
 */

/** Reading a batch, sending a frame of events, hearing its acknowledgement, storing in the log, acknowledging outside. */
export const EFFECTS = ["open", "read", "send", "acked", "store", "acknowledge"] as const;
export type Effect = (typeof EFFECTS)[number];

export interface CrashPoint {
  readonly effect: Effect;
  readonly when: "before" | "after";
  /** Counts effects of this kind, from 1. */
  readonly nth: number;
}

export class CrashPoints {
  readonly #at: CrashPoint | undefined;
  readonly #counts = new Map<Effect, number>();
  readonly #held: (() => void)[] = [];
  #isDown = false;
  #onDown: () => void = () => {};
  /** Resolves once the life has died, or is frozen. */
  readonly down: Promise<void> = new Promise((resolve) => (this.#onDown = resolve));

  constructor(at?: CrashPoint) {
    this.#at = at;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  count(effect: Effect): number {
    return this.#counts.get(effect) ?? 0;
  }

  /** Performs an effect that takes time. It waits for as long as the life is down. */
  async pass<Value>(effect: Effect, perform: () => Promise<Value>): Promise<Value> {
    const ends = this.#begins(effect);
    if (ends === "before") this.#goDown();
    await this.#up();
    const value = await perform();
    if (ends === "after") this.#goDown();
    await this.#up();
    return value;
  }

  /** Performs an effect that takes no time, now or once the life is thawed. */
  run(effect: Effect | undefined, perform: () => void): void {
    const ends = effect === undefined ? undefined : this.#begins(effect);
    if (ends === "before") this.#goDown();
    if (this.#isDown) this.#held.push(perform);
    else perform();
    if (ends === "after") this.#goDown();
  }

  /** A frozen life goes on where it stood. */
  thaw(): void {
    this.#isDown = false;
    for (const go of this.#held.splice(0)) go();
  }

  #begins(effect: Effect): CrashPoint["when"] | undefined {
    const nth = this.count(effect) + 1;
    this.#counts.set(effect, nth);
    return this.#at?.effect === effect && this.#at.nth === nth ? this.#at.when : undefined;
  }

  #goDown(): void {
    this.#isDown = true;
    this.#onDown();
  }

  #up(): Promise<void> {
    return this.#isDown ? new Promise((resolve) => this.#held.push(resolve)) : Promise.resolve();
  }
}
