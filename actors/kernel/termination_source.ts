/** What a reference offers so that it can be watched. References of the kernel and those to actors on other nodes offer it. */
import { InvariantError } from "../../protocols/errors.ts";
import type { ActorReference, Termination } from "./actor.ts";

export interface TerminationSource {
  /** Calls `listener` once the actor has ended, at once if it has already. Returns a function that ends the watch. */
  onTerminated(listener: (termination: Termination) => void): () => void;
}

/** The reference as a source of its termination. Throws `InvariantError` for a reference that cannot be watched. */
export function terminationSourceOf(reference: ActorReference<never>): TerminationSource {
  const source = reference as ActorReference<never> & Partial<TerminationSource>;
  if (typeof source.onTerminated === "function") return source as TerminationSource;
  throw new InvariantError(
    `Cannot watch an actor as its reference must tell of its end: current value is ${reference.path}`,
  );
}
