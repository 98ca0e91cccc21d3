/** Takes messages that no actor can handle any more (actor K3). Counts them, in all and by path, and samples the newest. */
import type { DeadLetterOffice, DeadLetterSample } from "../actor.ts";

/** Samples kept: enough to see which messages are lost, few enough for one page of the dashboard. */
export const SAMPLES_MAX = 100;
/** Paths that are counted apart. Beyond this the oldest path is forgotten, while the count of all messages is kept. */
export const PATHS_MAX = 1_000;

/** The message's `type` or `kind`, else its JavaScript type; never its contents. */
export function messageKindOf(message: unknown): string {
  if (typeof message !== "object" || message === null) return message === null ? "null" : typeof message;
  for (const field of ["type", "kind"] as const) {
    const word: unknown = (message as Record<string, unknown>)[field];
    if (typeof word === "string") return word;
  }
  return "object";
}

export class DeadLetters implements DeadLetterOffice {
  readonly #nowMs: () => number;
  readonly #countByPath = new Map<string, number>();
  readonly #samples: DeadLetterSample[] = [];
  #count = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#count;
  }

  countFor(path: string): number {
    return this.#countByPath.get(path) ?? 0;
  }

  /** Oldest first. */
  recent(): readonly DeadLetterSample[] {
    return [...this.#samples];
  }

  add(path: string, reason: DeadLetterSample["reason"], message: unknown): void {
    this.#count += 1;
    this.#countByPath.set(path, this.countFor(path) + 1);
    const [oldest] = this.#countByPath.size > PATHS_MAX ? this.#countByPath.keys() : [];
    if (oldest !== undefined) this.#countByPath.delete(oldest);
    if (this.#samples.length >= SAMPLES_MAX) this.#samples.shift();
    this.#samples.push({ path, reason, messageKind: messageKindOf(message), atMs: this.#nowMs() });
  }
}
