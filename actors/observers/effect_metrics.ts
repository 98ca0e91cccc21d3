/**
 * Metrics of the effects of all machines that take time, such as appends to the log and writes to a sink: how many ended in which
 * way, and how long they took. One observer serves every actor of the node; leaves the measuring to the kernel.
 */
import type { MachineEffect, MachineObserver } from "../kernel/actor.ts";
import type { Counter, Metrics } from "./metrics.ts";

/** @param stopwatchMs a monotonic clock, in ms */
export function effectMetrics(metrics: Metrics, stopwatchMs: () => number): MachineObserver {
  /** By machine, effect and outcome. One joined text would cost more to make than the counting. */
  const known = new Map<string, Map<string, Map<string, readonly [ends: Counter, seconds: Counter]>>>();
  const make = ({ machine, effect, outcome }: MachineEffect): readonly [ends: Counter, seconds: Counter] => {
    const labels = { machine, effect, outcome };
    const counters = [
      metrics.counter("headrace_effects_total", "Effects of actors that took time or failed", labels),
      metrics.counter("headrace_effect_seconds_total", "Time that these effects took", labels),
    ] as const;
    const ofMachine = known.get(machine) ?? new Map<string, Map<string, typeof counters>>();
    known.set(machine, ofMachine);
    ofMachine.set(effect, (ofMachine.get(effect) ?? new Map()).set(outcome, counters));
    return counters;
  };
  return {
    stopwatchMs,
    onEffect(ended) {
      const counters = known.get(ended.machine)?.get(ended.effect)?.get(ended.outcome) ?? make(ended);
      counters[0].add(1);
      counters[1].add(ended.tookMs / 1_000);
    },
  };
}
