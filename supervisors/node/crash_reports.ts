/** The real world of a node's actors: each crash is logged and counted, so none repeats unseen; effects are timed. */
import { realWorld, type TimedWorld } from "../../actors/kernel/world.ts";
import { effectMetrics } from "../../actors/observers/effect_metrics.ts";
import type { Metrics } from "../../actors/observers/metrics.ts";
import type { NodeLog } from "../../actors/observers/node_log.ts";
import { HeadraceError } from "../../protocols/errors.ts";

/** The real world, whose crashes and effects are reported. */
export function reportingWorld(log: NodeLog, metrics: Metrics): TimedWorld {
  const crash = (message: string) => (path: string, error: unknown) => {
    const [station = path] = path.split("/");
    metrics.counter("headrace_actor_crashes_total", "Crashes of actors", { station }).add(1);
    log("error", message, { actor: path, ...reasonOf(error) });
  };
  return {
    ...realWorld(),
    observer: effectMetrics(metrics, () => performance.now()),
    onCrash: crash("an actor crashed"),
    onUnhandled: (path, error) => log("error", "an actor failed for good", { actor: path, ...reasonOf(error) }),
  };
}

/** A fault of the program is logged with its stack; a failure outside the program needs only its reason. */
function reasonOf(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof Error)) return { reason: String(error) };
  const isOutside = error instanceof HeadraceError && error.code !== "INVARIANT_VIOLATED";
  return {
    reason: error.message,
    ...(error instanceof HeadraceError ? { code: error.code } : {}),
    ...(isOutside ? {} : { stack: error.stack }),
  };
}
