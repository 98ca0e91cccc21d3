/**
 * Metrics of the effects of all machines that take time, such as appends to the log and writes to a sink: how many ended in which
 * way, and how long they took. One observer serves every actor of the node; leaves the measuring to the kernel.
 */
import type { MachineEffect, MachineObserver } from "../kernel/actor.ts";
import type { Counter, Metrics } from "./metrics.ts";

/** @param stopwatchMs a monotonic clock, in ms */
export function effectMetrics(metrics: Metrics, stopwatchMs: () => number): MachineObserver {
  const known = new Map<string, { readonly ends: Counter; readonly seconds: Counter }>();
  const make = ({ machine, effect, outcome }: MachineEffect) => {
    const labels = { machine, effect, outcome };
    return {
      ends: metrics.counter("headrace_effects_total", "Effects of actors that took time or failed", labels),
      seconds: metrics.counter("headrace_effect_seconds_total", "Time that these effects took", labels),
    };
  };
  return {
    stopwatchMs,
    onEffect(ended) {
      const key = `${ended.machine}/${ended.effect}/${ended.outcome}`;
      const counters = known.get(key) ?? make(ended);
      known.set(key, counters);
      counters.ends.add(1);
      counters.seconds.add(ended.tookMs / 1_000);
    },
  };
}
