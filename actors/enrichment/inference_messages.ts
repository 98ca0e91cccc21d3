/** What the inference machine hears, keeps and does. */
import type { Inference } from "../../models/model.ts";
import type { Event } from "../../protocols/event.ts";
import type { ActorReference } from "../kernel/actor.ts";

/** A batch of one asker. */
export interface Ask {
  readonly inputs: readonly Event[];
  readonly replyTo: ActorReference<InferenceAnswer>;
}

export type InferenceAnswer =
  /** One for each input, in its order. */
  | { readonly kind: "inferred"; readonly inferences: readonly Inference[] }
  /** Nothing was inferred: the asker asks again, at the earliest after `retryAfterMs`. */
  | { readonly kind: "overloaded"; readonly rowsWaiting: number; readonly retryAfterMs: number }
  | { readonly kind: "unavailable"; readonly reason: string; readonly retryAfterMs: number };

export interface InferenceSettings {
  /** The most rows of one run. */
  readonly rowsMax: number;
  /** Time in ms that a row waits for others to share its run. */
  readonly lingerMs: number;
  /** The most rows that wait; beyond these an ask is put off (inference I3). */
  readonly rowsWaitingMax: number;
  /** The most asks that wait. */
  readonly asksWaitingMax: number;
}

/** An ask that is not answered yet. */
export interface WaitingAsk {
  readonly ask: Ask;
  readonly arrivedMs: number;
  /** Inputs that were taken into a run, from the first. */
  taken: number;
  /** Of the inputs in their order, as far as they are known. */
  readonly inferences: Inference[];
}

/** Inputs that run together, each with its ask. */
export interface Portion {
  readonly rows: readonly { readonly of: WaitingAsk; readonly input: Event }[];
  /** Runs that failed so far on a session of their own. */
  readonly attempts: number;
}

export interface InferenceState {
  readonly settings: InferenceSettings;
  phase: "opening" | "idle" | "running" | "waiting";
  /** The unanswered asks, in the order they came. */
  readonly asks: WaitingAsk[];
  /** Inputs of these that no run has taken. */
  rowsWaiting: number;
  /** Parts of a run that failed, the next one last. */
  readonly portions: Portion[];
  running: Portion | undefined;
  /** Openings that failed in a row. */
  failures: number;
  /** A timer is set. It was set for the first of the asks or for one before it, so it is never too late. */
  isLingering: boolean;
}

export type InferenceMessage =
  | { readonly type: "begin" }
  | { readonly type: "opened" }
  | { readonly type: "not_opened"; readonly reason: string; readonly random: number }
  | { readonly type: "asked"; readonly ask: Ask }
  | { readonly type: "linger_due" }
  | { readonly type: "ran"; readonly inferences: readonly Inference[] }
  /** `isLost`: the session hangs or has ended. */
  | { readonly type: "run_failed"; readonly reason: string; readonly isLost: boolean }
  | { readonly type: "retry_due" };

export type InferenceEffect =
  /** Gives up the session where there is one, and opens another. */
  | { readonly type: "open" }
  | { readonly type: "run"; readonly inputs: readonly Event[] }
  | { readonly type: "answer"; readonly ask: Ask; readonly answer: InferenceAnswer }
  | { readonly type: "linger"; readonly delayMs: number }
  | { readonly type: "wait"; readonly delayMs: number }
  | { readonly type: "report"; readonly report: InferenceReport };

export type InferenceReport =
  | { readonly kind: "opened" }
  | { readonly kind: "not_opened"; readonly reason: string; readonly delayMs: number }
  | { readonly kind: "ran"; readonly rows: number; readonly asks: number }
  /** `next`: the same rows run again on another session, or in halves, or the one row is set aside. */
  | {
      readonly kind: "run_failed";
      readonly rows: number;
      readonly reason: string;
      readonly next: "again" | "halves" | "set_aside";
    };
