/**
 * Metrics of the effects of all machines that take time, such as appends to the log and writes to a sink: how many ended in which
 * way, and how long they took. One observer serves every actor of the node; leaves the measuring to the kernel.
 */
import type { MachineObserver } from "../kernel/actor.ts";
import type { Counter, Metrics } from "./metrics.ts";

/** @param stopwatchMs a monotonic clock, in ms */
export function effectMetrics(metrics: Metrics, stopwatchMs: () => number): MachineObserver {
  const known = new Map<string, readonly [ends: Counter, seconds: Counter]>();
  return {
    stopwatchMs,
    onEffect({ machine, effect, outcome, tookMs }) {
      const key = `${machine}/${effect}/${outcome}`;
      let counters = known.get(key);
      if (counters === undefined) {
        const labels = { machine, effect, outcome };
        counters = [
          metrics.counter("headrace_effects_total", "Effects of actors that took time or failed", labels),
          metrics.counter("headrace_effect_seconds_total", "Time that these effects took", labels),
        ];
        known.set(key, counters);
      }
      counters[0].add(1);
      counters[1].add(tookMs / 1_000);
    },
  };
}
