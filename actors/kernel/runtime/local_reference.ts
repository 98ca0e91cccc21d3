/** The address of an actor on this node. Hands every call to the actor's cell, and can be watched. */
import type { ActorReference, Termination } from "../actor.ts";
import type { TerminationSource } from "../termination_source.ts";

/** What an address needs from the cell behind it. */
export type Receiver = ActorReference<unknown> & TerminationSource;

export class LocalReference<Message> implements ActorReference<Message>, TerminationSource {
  readonly path: string;
  readonly #receiver: Receiver;

  constructor(receiver: Receiver) {
    this.path = receiver.path;
    this.#receiver = receiver;
  }

  tell(message: Message): void {
    this.#receiver.tell(message);
  }

  send(message: Message, weightBytes: number): Promise<boolean> {
    return this.#receiver.send(message, weightBytes);
  }

  trySend(message: Message, weightBytes: number): boolean {
    return this.#receiver.trySend(message, weightBytes);
  }

  onTerminated(listener: (termination: Termination) => void): () => void {
    return this.#receiver.onTerminated(listener);
  }
}
