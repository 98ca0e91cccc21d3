import { test } from "uvu";
import * as assert from "uvu/assert";
import { effectMetrics } from "../../../actors/observers/effect_metrics.ts";
import { createMetrics } from "../../../actors/observers/metrics.ts";

test("effects are counted by machine, effect and outcome, and their time is summed", async () => {
  const metrics = await createMetrics();
  const observer = effectMetrics(metrics, () => 0);
  const append = { machine: "partition", path: "streams/orders/partition-1", effect: "append" } as const;
  observer.onEffect({ ...append, outcome: "done", tookMs: 250 });
  observer.onEffect({ ...append, path: "streams/orders/partition-2", outcome: "done", tookMs: 1_250 });
  observer.onEffect({ ...append, outcome: "failed", tookMs: 500 });
  observer.onEffect({ machine: "delivery", path: "x", effect: "read", outcome: "late", tookMs: 30_000 });
  const lines = (await metrics.exposition()).split("\n").filter((line) => line.startsWith("headrace_effect"));
  const samples = lines.map((line) => line.replace(/,?otel_\w+="[^"]*"/g, ""));
  assert.equal(samples.sort(), [
    'headrace_effect_seconds_total{machine="delivery",effect="read",outcome="late"} 30',
    'headrace_effect_seconds_total{machine="partition",effect="append",outcome="done"} 1.5',
    'headrace_effect_seconds_total{machine="partition",effect="append",outcome="failed"} 0.5',
    'headrace_effects_total{machine="delivery",effect="read",outcome="late"} 1',
    'headrace_effects_total{machine="partition",effect="append",outcome="done"} 2',
    'headrace_effects_total{machine="partition",effect="append",outcome="failed"} 1',
  ]);
  await metrics.close();
});

test.run();
