/** The state of a store as its log tells it, and the attempts to bring the store back while it is unavailable. */
import type { StoreState } from "../log.ts";

/** The time between attempts, and an attempt. */
export interface Recovery {
  readonly everyMs: number;
  attempt(): void;
}

export class StoreHealth {
  state: StoreState;
  readonly #recovery: Recovery | undefined;
  readonly #listeners = new Set<(state: StoreState) => void>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(state: StoreState, recovery?: Recovery) {
    this.state = state;
    this.#recovery = recovery;
  }

  onChange(listener: (state: StoreState) => void): void {
    this.#listeners.add(listener);
  }

  /** Tells a change of the kind or code. A new reason alone is only kept. */
  change(state: StoreState): void {
    const isChange = codeOf(this.state) !== codeOf(state);
    this.state = state;
    if (state.kind === "ready") this.#endAttempts();
    else if (this.#recovery !== undefined && this.#timer === undefined && !this.#isClosed) {
      this.#timer = setInterval(() => this.#recovery?.attempt(), this.#recovery.everyMs);
      this.#timer.unref();
    }
    if (isChange) for (const listener of this.#listeners) listener(state);
  }

  #endAttempts(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#endAttempts();
  }
}

const codeOf = (state: StoreState): string => (state.kind === "ready" ? "" : state.code);
