/** Lets at most `underWayMax` requests run at a time, while at most `waitingMax` others wait for their turn. */
import { OverloadedError } from "../../../protocols/errors.ts";

export interface TurnLimits {
  readonly underWayMax: number;
  readonly waitingMax: number;
  /** The time that a request is told to wait where `waitingMax` others wait. */
  readonly retryAfterMs: number;
}

export class Turns {
  readonly #limits: TurnLimits;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** Resolves when the caller's turn has come; the caller then owes a `leave`. Throws `OverloadedError`. */
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

  /** Gives all that wait a turn at once. Each must check for itself whether the node still takes requests. */
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
