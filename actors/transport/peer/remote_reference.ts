/**
 * The address of an actor on another node. A reference that came in a message is bound to the link that it came by, and ends
 * with that link. A reference by name uses whichever link is up. Without a link a message is a dead letter (transport T3).
 */
import type { ActorReference, DeadLetterSample, Termination } from "../../kernel/actor.ts";
import type { TerminationSource } from "../../kernel/termination_source.ts";
import type { PeerTarget } from "./peer_frames.ts";

export type OnDeadLetter = (path: string, reason: DeadLetterSample["reason"], message: unknown) => void;

export interface Route {
  tell(to: PeerTarget, message: unknown): void;
  send(to: PeerTarget, message: unknown, weightBytes: number): Promise<boolean>;
  trySend(to: PeerTarget, message: unknown, weightBytes: number): boolean;
  onTerminated(to: PeerTarget, listener: (termination: Termination) => void): () => void;
}

export class RemoteReference<Message> implements ActorReference<Message>, TerminationSource {
  /** `<node>:<path or name of the actor there>`. */
  readonly path: string;
  readonly #to: PeerTarget;
  readonly #route: () => Route;

  constructor(path: string, to: PeerTarget, route: () => Route) {
    this.path = path;
    this.#to = to;
    this.#route = route;
  }

  tell(message: Message): void {
    this.#route().tell(this.#to, message);
  }

  send(message: Message, weightBytes: number): Promise<boolean> {
    return this.#route().send(this.#to, message, weightBytes);
  }

  trySend(message: Message, weightBytes: number): boolean {
    return this.#route().trySend(this.#to, message, weightBytes);
  }

  onTerminated(listener: (termination: Termination) => void): () => void {
    return this.#route().onTerminated(this.#to, listener);
  }

  /** The peer's own name or number of this actor; undefined where the actor is not one of the peer behind `route`. */
  targetOn(route: Route): PeerTarget | undefined {
    return this.#route() === route ? this.#to : undefined;
  }
}
