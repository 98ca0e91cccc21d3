/**
 * The deadlines of calls that all have the same time: the first made is the first that is due, so one timer is enough. A
 * timer for each call is what the store's client would otherwise spend much of a busy node's garbage on.
 */
import { UnavailableError } from "../../../protocols/errors.ts";

interface Waiting {
  readonly what: string;
  readonly dueAtMs: number;
  readonly reject: (error: UnavailableError) => void;
}

export class CallDeadlines {
  readonly #timeoutMs: number;
  /** In the order of their deadlines. */
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Settles as `call` does, or rejects with `TIMEOUT` at its deadline; what the call does later is unknown and unheard. */
  within<Value>(call: Promise<Value>, what: string): Promise<Value> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { what, dueAtMs: performance.now() + this.#timeoutMs, reject };
      this.#waiting.add(waiting);
      if (this.#timer === undefined) this.#look(this.#timeoutMs);
      call.then(
        (value) => {
          this.#waiting.delete(waiting);
          resolve(value);
        },
        (error) => {
          this.#waiting.delete(waiting);
          reject(error);
        },
      );
    });
  }

  #look(afterMs: number): void {
    this.#timer = setTimeout(() => this.#rejectDue(), afterMs);
    this.#timer.unref(); // while a call is under way, its connection keeps the process
  }

  #rejectDue(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const waiting of this.#waiting) {
      // A timer may be early by a fraction of a millisecond.
      if (waiting.dueAtMs > now + 1) {
        this.#look(waiting.dueAtMs - now);
        return;
      }
      this.#waiting.delete(waiting);
      const must = `Cannot go on as Redis must ${waiting.what} within ${this.#timeoutMs} ms`;
      waiting.reject(new UnavailableError("TIMEOUT", must));
    }
  }
}
