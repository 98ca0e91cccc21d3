/** What a reference offers so that others can watch it: the kernel's own do, and so do those to actors on other nodes. */
import { InvariantError } from "../../protocols/errors.ts";
import type { ActorReference, Termination } from "./actor.ts";

export interface TerminationSource {
  /** Calls `listener` once, at once if the actor is gone already. Returns what ends the watch. */
  onTerminated(listener: (termination: Termination) => void): () => void;
}

/** The given reference as one that can be watched. Throws `InvariantError` for one that can not. */
export function terminationSourceOf(reference: ActorReference<never>): TerminationSource {
  const source = reference as ActorReference<never> & Partial<TerminationSource>;
  if (typeof source.onTerminated === "function") return source as TerminationSource;
  throw new InvariantError(
    `Cannot watch an actor as its reference must tell of its end: current value is ${reference.path}`,
  );
}
