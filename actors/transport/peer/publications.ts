/** The actors that a node publishes to others by name. Watchers of a name are told when its actor ends or is replaced. */
import type { ActorReference, Termination } from "../../kernel/actor.ts";
import type { TerminationSource } from "../../kernel/termination_source.ts";

interface Publication {
  readonly actor: ActorReference<unknown>;
  readonly listeners: Set<(termination: Termination) => void>;
  endWatch: (() => void) | undefined;
}

export class Publications {
  readonly #byName = new Map<string, Publication>();

  actorOf(name: string): ActorReference<unknown> | undefined {
    return this.#byName.get(name)?.actor;
  }

  publish(name: string, actor: ActorReference<never>): { stop(): void } {
    const former = this.#byName.get(name);
    if (former !== undefined) this.#end(name, former, { kind: "stopped" });
    const known = actor as ActorReference<unknown>;
    const publication: Publication = { actor: known, listeners: new Set(), endWatch: undefined };
    this.#byName.set(name, publication);
    const { onTerminated } = actor as Partial<TerminationSource>;
    const onEnd = (termination: Termination) => this.#end(name, publication, termination);
    if (typeof onTerminated === "function") publication.endWatch = onTerminated.call(actor, onEnd);
    return { stop: () => this.#end(name, publication, { kind: "stopped" }) };
  }

  /** Calls `listener` once the name's present actor has ended or is replaced; at once where the name has no actor. */
  onTerminated(name: string, listener: (termination: Termination) => void): () => void {
    const publication = this.#byName.get(name);
    if (publication === undefined) {
      listener({ kind: "stopped" });
      return () => undefined;
    }
    const own = (termination: Termination) => listener(termination); // one listener may watch twice
    publication.listeners.add(own);
    return () => publication.listeners.delete(own);
  }

  #end(name: string, publication: Publication, termination: Termination): void {
    if (this.#byName.get(name) !== publication) return;
    this.#byName.delete(name);
    publication.endWatch?.();
    for (const listener of [...publication.listeners]) listener(termination);
    publication.listeners.clear();
  }
}
