/**
 * Decides what follows the crash of a child: which children restart and when, which child stops, and when to escalate.
 * Leaves the directive to supervision.ts, and stopping, waiting and starting to supervisor.ts.
 *   S1. A crash escalates where `restartsMax` restarts began within the last `withinMs`.
 *   S2. one_for_one restarts the crashed child, one_for_all all children, rest_for_one the crashed child and later ones.
 *   S3. The delay doubles with each restart of a child in a row, from `firstMs` to `maxMs`, less up to half of it as
 *       jitter. A row ends once the child has run for `withinMs` without a crash.
 *   S4. The directive "stop" stops the crashed child alone, whatever the strategy.
 */
import { backoffMs, shortenedMs } from "../../../protocols/clock.ts";
import { InvariantError } from "../../../protocols/errors.ts";
import type { Step } from "../../../protocols/machine.ts";
import type { Directive, Supervision } from "../actor.ts";

export interface SupervisionState {
  readonly supervision: Supervision;
  /** When the restarts of the last `withinMs` began, oldest first; at most `restartsMax` of them. */
  readonly restartedAtMs: number[];
  /** By child: its restarts in a row, and when the last one began (S3). */
  readonly rows: Map<string, { restarts: number; lastMs: number }>;
}

export type SupervisionMessage =
  | {
      readonly type: "crashed";
      readonly child: string;
      readonly directive: Directive;
      /** All children in the order of their start. */
      readonly siblings: readonly string[];
      /** Drawn by the supervisor, in [0, 1). */
      readonly jitter: number;
    }
  | { readonly type: "ended"; readonly child: string };

export type SupervisionEffect =
  | { readonly type: "restart"; readonly children: readonly string[]; readonly delayMs: number }
  | { readonly type: "stop"; readonly child: string }
  | { readonly type: "escalate"; readonly child: string };

export function createSupervision(supervision: Supervision): SupervisionState {
  return { supervision, restartedAtMs: [], rows: new Map() };
}

export const stepSupervision: Step<SupervisionState, SupervisionMessage, SupervisionEffect> = (
  state,
  message,
  nowMs,
) => {
  switch (message.type) {
    case "ended":
      state.rows.delete(message.child);
      return [state, []];
    case "crashed":
      return [state, [answerCrash(state, message, nowMs)]];
  }
};

function answerCrash(
  state: SupervisionState,
  crash: Extract<SupervisionMessage, { type: "crashed" }>,
  nowMs: number,
): SupervisionEffect {
  switch (crash.directive) {
    case "stop":
      return { type: "stop", child: crash.child }; // S4
    case "escalate":
      return { type: "escalate", child: crash.child };
    case "restart":
      if (!isWithinIntensity(state, nowMs)) return { type: "escalate", child: crash.child }; // S1
      return {
        type: "restart",
        children: affected(state.supervision, crash.child, crash.siblings),
        delayMs: delayMs(state, crash.child, crash.jitter, nowMs),
      };
  }
}

function isWithinIntensity(state: SupervisionState, nowMs: number): boolean {
  const { restartsMax, withinMs } = state.supervision.intensity;
  while (state.restartedAtMs[0] !== undefined && nowMs - state.restartedAtMs[0] >= withinMs)
    state.restartedAtMs.shift();
  if (state.restartedAtMs.length >= restartsMax) return false;
  state.restartedAtMs.push(nowMs);
  return true;
}

/** S2 */
function affected(supervision: Supervision, child: string, siblings: readonly string[]): readonly string[] {
  const index = siblings.indexOf(child);
  if (index < 0) {
    throw new InvariantError(`Cannot restart a child as it must be among its siblings: current value is ${child}`);
  }
  switch (supervision.strategy) {
    case "one_for_one":
      return [child];
    case "one_for_all":
      return siblings;
    case "rest_for_one":
      return siblings.slice(index);
  }
}

/** S3 */
function delayMs(state: SupervisionState, child: string, jitter: number, nowMs: number): number {
  const { backoff, intensity } = state.supervision;
  const row = state.rows.get(child);
  const restarts = row === undefined || nowMs - row.lastMs >= intensity.withinMs ? 1 : row.restarts + 1;
  state.rows.set(child, { restarts, lastMs: nowMs });
  return shortenedMs(backoffMs(restarts - 1, backoff.firstMs, backoff.maxMs), jitter);
}
