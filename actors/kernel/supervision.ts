/**
 * The answer to a crash, by the class of its error, where the supervision has no `decide` of its own:
 *
 *   RejectedError       restart    the message in hand is a dead letter already (K4), and the next one may be valid
 *   UnavailableError    restart    the backoff is the retry
 *   OverloadedError     restart    the backoff is the retry
 *   FencedError         stop       a newer owner has taken over, and a restart would contest its ownership
 *   ConfigurationError  escalate   a person must change the configuration, so the error must reach the top
 *   InvariantError      restart    a fresh state, read from the log, is the best answer to a bug of Headrace
 *   any other error     restart    as for a bug of Headrace
 */
import { ConfigurationError, FencedError } from "../../protocols/errors.ts";
import type { Directive, Supervision } from "./actor.ts";

/** Outlasts the restart of a store: ten restarts in a row wait 21 to 43 s in all before the crash escalates. */
export const DEFAULT_SUPERVISION: Supervision = {
  strategy: "one_for_one",
  intensity: { restartsMax: 10, withinMs: 60_000 },
  backoff: { firstMs: 100, maxMs: 10_000 },
};

/** The directive for an error by its class, as in the table above. */
export function directiveByClass(error: unknown): Directive {
  if (error instanceof FencedError) return "stop";
  if (error instanceof ConfigurationError) return "escalate";
  return "restart";
}

/** The directive for `error`, and the error to report. Where `decide` throws, the crash escalates with both errors. */
export function decide(supervision: Supervision, error: unknown): { directive: Directive; error: unknown } {
  if (supervision.decide === undefined) return { directive: directiveByClass(error), error };
  try {
    return { directive: supervision.decide(error), error };
  } catch (failure) {
    const message = "Cannot decide about a crash as the supervision's own decide must not throw: it did";
    return { directive: "escalate", error: new AggregateError([error, failure], message) };
  }
}
