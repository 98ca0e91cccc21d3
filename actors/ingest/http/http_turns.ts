/** Lets so many requests on at a time, and so many more wait for their turn. */
import { OverloadedError } from "../../../protocols/errors.ts";

export interface TurnLimits {
  readonly underWayMax: number;
  readonly waitingMax: number;
  /** Told to those who can not even wait. */
  readonly retryAfterMs: number;
}

export class Turns {
  readonly #limits: TurnLimits;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** Resolves when it is the caller's turn, who then owes a `leave`. Throws `OverloadedError`. */
  async enter(): Promise<void> {
    const { underWayMax, waitingMax, retryAfterMs } = this.#limits;
    if (this.#underWay < underWayMax) {
      this.#underWay += 1;
      return;
    }
    if (this.#waiting.length >= waitingMax) {
      throw new OverloadedError(
        "OUT_OF_CREDIT",
        `Cannot append as requests with a key that wait must stay below ${waitingMax}: current value is ${this.#waiting.length}`,
        retryAfterMs,
      );
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Gives everybody who waits a turn at once: they have to look whether there is still something to do. */
  dismiss(): void {
    for (const next of this.#waiting.splice(0)) {
      this.#underWay += 1;
      next();
    }
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#underWay -= 1;
    else next();
  }
}
