/**
 * The node's metrics. Counters are numbers in a typed array, so that an addition on the hot path costs nanoseconds.
 * OpenTelemetry's observable instruments read them when `/metrics` is requested. Histograms are recorded once a batch.
 */
import type { Attributes, Histogram, Meter } from "@opentelemetry/api";
import { loadDriver } from "../../deps.ts";

export interface Counter {
  add(amount: number): void;
}

/** A node's metrics, made by name and labels, and served as Prometheus text. */
export interface Metrics {
  /** The counter with this name and these labels. Names end in the unit. */
  counter(name: string, description: string, labels?: Attributes): Counter;
  /** Values that are read when metrics are requested, each with its labels. */
  gauge(name: string, description: string, read: () => Iterable<readonly [value: number, labels: Attributes]>): void;
  /** A distribution, with the upper bounds of its buckets. */
  histogram(name: string, description: string, bounds: readonly number[]): Pick<Histogram, "record">;
  /** The Prometheus text format. */
  exposition(): Promise<string>;
  close(): Promise<void>;
}

/** Counters of a node. Labels name streams, partitions and sinks of the configuration, never values of a client's input. */
const COUNTERS_MAX = 8_192;

/** The metrics of one node, without any counter yet. */
export async function createMetrics(): Promise<Metrics> {
  const [{ MeterProvider }, { PrometheusExporter, PrometheusSerializer }] = await Promise.all([
    loadDriver("otel-metrics"),
    loadDriver("otel-prometheus"),
  ]);
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({ readers: [exporter] });
  const serializer = new PrometheusSerializer("", false);
  const meter = provider.getMeter("headrace");
  return {
    counter: counterTable(meter),
    gauge(name, description, read) {
      meter.createObservableGauge(name, { description }).addCallback((result) => {
        for (const [value, labels] of read()) result.observe(value, labels);
      });
    },
    histogram: (name, description, bounds) =>
      meter.createHistogram(name, { description, advice: { explicitBucketBoundaries: [...bounds] } }),
    async exposition() {
      const { resourceMetrics } = await exporter.collect();
      return serializer.serialize(resourceMetrics);
    },
    close: () => provider.shutdown(),
  };
}

interface Slot {
  readonly at: number;
  readonly labels: Attributes;
}

function counterTable(meter: Meter): Metrics["counter"] {
  const values = new Float64Array(COUNTERS_MAX);
  const slotsByName = new Map<string, Map<string, Slot>>();
  let used = 0;
  const create = (name: string, description: string): Map<string, Slot> => {
    const slots = new Map<string, Slot>();
    slotsByName.set(name, slots);
    meter.createObservableCounter(name, { description }).addCallback((result) => {
      for (const { at, labels } of slots.values()) result.observe(values[at] ?? 0, labels);
    });
    return slots;
  };
  return (name, description, labels = {}) => {
    const slots = slotsByName.get(name) ?? create(name, description);
    const key = JSON.stringify(labels);
    // Counters beyond the table share its last place: a wrong count is better than unbounded memory.
    const slot = slots.get(key) ?? { at: Math.min(used++, COUNTERS_MAX - 1), labels };
    slots.set(key, slot);
    const { at } = slot;
    return {
      add(amount) {
        values[at] = (values[at] ?? 0) + amount;
      },
    };
  };
}
