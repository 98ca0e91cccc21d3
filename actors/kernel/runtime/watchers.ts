/** The watchers of one actor: each is told of the actor's end, at once where the actor has ended already. */
import type { Termination } from "../actor.ts";

type Listener = (termination: Termination) => void;

export class Watchers {
  readonly #listeners = new Set<Listener>();
  #termination: Termination | undefined;

  /** Returns a function that ends the watch. */
  add(listener: Listener): () => void {
    if (this.#termination !== undefined) {
      listener(this.#termination);
      return () => undefined;
    }
    const own: Listener = (termination) => listener(termination); // one listener may watch twice
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  tell(termination: Termination): void {
    this.#termination = termination;
    for (const listener of [...this.#listeners]) listener(termination);
    this.#listeners.clear();
  }
}
