/**
 * One operation of a delivery, with its deadline and the signal that tells it to end. Each step of the operation begins
 * the deadline anew. The delivery machine decides what follows an overdue operation (D12).
 */
import type { SinkCall } from "../sink.ts";

export class DeliveryOperation implements SinkCall {
  readonly #controller = new AbortController();
  readonly #timeoutMs: number;
  readonly #onOverdue: (overdueMs: number) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasEnded = false;

  /** @param timeoutMs deadline of each step; `onOverdue` is called after each `timeoutMs` that passes without a step */
  constructor(timeoutMs: number, onOverdue: (overdueMs: number) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onOverdue = onOverdue;
    this.#wait(timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  progressed(): void {
    if (!this.#hasEnded) this.#wait(this.#timeoutMs);
  }

  giveUp(): void {
    this.#controller.abort(new Error(`no answer within ${this.#timeoutMs} ms`));
  }

  ended(): void {
    this.#hasEnded = true;
    clearTimeout(this.#timer);
  }

  #wait(overdueMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#wait(overdueMs + this.#timeoutMs);
      this.#onOverdue(overdueMs);
    }, this.#timeoutMs);
  }
}

/** Rejects once `signal` aborts. Only for calls that are fenced from their successors: no one awaits their end. */
export async function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return promise;
  let onAbort: () => void = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
