/**
 * The sends and reads of a run as operations with a beginning and an end, in the order in which they happened: what checkers
 * outside of this repository read (`../export_history.ts`).
 */
export interface Operation {
  /** Of the run, in ms. */
  readonly atMs: number;
  /** `sender p0`, `the subscriber`. */
  readonly process: string;
  readonly kind: "send" | "poll";
  /** `ok`: it took effect; `failed`: it did not; `unknown`: nobody can tell. */
  readonly phase: "begun" | "ok" | "failed" | "unknown";
  readonly partition: number;
  /** Of the event that is sent; of the events that a poll brought, in order. */
  readonly ids: readonly string[];
  /** Where a poll found its events. */
  readonly offsets?: readonly number[];
}

export class Recording {
  readonly operations: Operation[] = [];
  readonly #elapsedMs: () => number;

  constructor(elapsedMs: () => number) {
    this.#elapsedMs = elapsedMs;
  }

  add(operation: Omit<Operation, "atMs">): void {
    this.operations.push({ ...operation, atMs: this.#elapsedMs() });
  }
}
