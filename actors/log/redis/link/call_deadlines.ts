/** Deadlines of calls with one timeout: the oldest is due first, so one timer is enough, and spares much garbage. */
import { UnavailableError } from "../../../../protocols/errors.ts";

interface Waiting {
  readonly what: string;
  readonly dueAtMs: number;
  readonly reject: (error: UnavailableError) => void;
}

export class CallDeadlines {
  readonly #timeoutMs: number;
  /** The calls under way, in the order of their deadlines. */
  readonly #waiting = new Set<Waiting>();
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Settles as `call` does, or rejects with `TIMEOUT` at the deadline: then the call's outcome is unknown, and ignored. */
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
    this.#timer.unref(); // the connection of a call under way keeps the process alive, not this timer
  }

  #rejectDue(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const waiting of this.#waiting) {
      // A timer may fire early by a fraction of a millisecond.
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
