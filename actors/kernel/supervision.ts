/**
 * What to do with a crash where nobody said otherwise, by the class of the error:
 *
 *   RejectedError       restart    the message in hand is set aside already (K4), the next one may be fine
 *   UnavailableError    restart    the backoff is the retry
 *   OverloadedError     restart    as above
 *   FencedError         stop       somebody newer owns it: to come back would be to fight
 *   ConfigurationError  escalate   a person must change something, so it must be seen at the top
 *   InvariantError      restart    a fresh state from the log is our best answer to our own bug
 *   anything else       restart    as for our own bug
 */
import { ConfigurationError, FencedError } from "../../protocols/errors.ts";
import type { Directive, Supervision } from "./actor.ts";

/** Rides out a restart of a store (about half a minute of backoff) before it gives up. */
export const DEFAULT_SUPERVISION: Supervision = {
  strategy: "one_for_one",
  intensity: { restartsMax: 10, withinMs: 60_000 },
  backoff: { firstMs: 100, maxMs: 10_000 },
};

export function directiveByClass(error: unknown): Directive {
  if (error instanceof FencedError) return "stop";
  if (error instanceof ConfigurationError) return "escalate";
  return "restart";
}

/** The directive for `error`, and the error to go on with: a throw inside `decide` escalates with both. */
export function decide(supervision: Supervision, error: unknown): { directive: Directive; error: unknown } {
  if (supervision.decide === undefined) return { directive: directiveByClass(error), error };
  try {
    return { directive: supervision.decide(error), error };
  } catch (failure) {
    const message = "Cannot decide about a crash as the supervision's own decide threw";
    return { directive: "escalate", error: new AggregateError([error, failure], message) };
  }
}
