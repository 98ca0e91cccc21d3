/** Announces changes to be drawn at most as often as an eye can follow, however fast records arrive. */
import { useEffect, useReducer } from "preact/hooks";

const DRAW_EVERY_MS = 100;

export class Changes {
  readonly #listeners = new Set<() => void>();
  #isDue = false;

  announce(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setTimeout(() => {
      this.#isDue = false;
      for (const listener of this.#listeners) listener();
    }, DRAW_EVERY_MS);
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** Draws a component again after each change. */
export function useChanges(changes: Changes): void {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => changes.listen(() => draw(undefined)), [changes]);
}
