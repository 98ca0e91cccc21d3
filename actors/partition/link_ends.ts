/** A partition on another node, at this end: a reference for its owner's messages, and a watch on the owner. */
import type { ActorReference, Termination } from "../kernel/actor.ts";
import { type TerminationSource, terminationSourceOf } from "../kernel/termination_source.ts";

/** A reference without an actor: `tell` takes each message at once. A link makes one reference of it and watches it (transport T4). */
export class LocalReference<Message> implements ActorReference<Message>, TerminationSource {
  readonly path: string;
  readonly tell: (message: Message) => void;
  readonly #listeners = new Set<(termination: Termination) => void>();

  constructor(path: string, tell: (message: Message) => void) {
    this.path = path;
    this.tell = tell;
  }

  async send(message: Message): Promise<boolean> {
    return this.trySend(message);
  }

  trySend(message: Message): boolean {
    this.tell(message);
    return true;
  }

  onTerminated(listener: (termination: Termination) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  end(): void {
    for (const listener of this.#listeners) listener({ kind: "stopped" });
    this.#listeners.clear();
  }
}

/** Watches an actor. Returns a function that ends the watch; undefined where the actor had ended, and `onEnded` was called. */
export function watch<Message>(actor: ActorReference<Message>, onEnded: () => void): (() => void) | undefined {
  let hasEnded = false;
  const endWatch = terminationSourceOf(actor as ActorReference<never>).onTerminated(() => {
    hasEnded = true;
    onEnded();
  });
  return hasEnded ? undefined : endWatch;
}
