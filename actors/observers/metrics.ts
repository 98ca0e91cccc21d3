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
  const counters = new CounterTable(meter);
  return {
    counter: (name, description, labels = {}) => counters.get(name, description, labels),
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

class CounterTable {
  readonly #meter: Meter;
  readonly #values = new Float64Array(COUNTERS_MAX);
  readonly #slots = new Map<string, Map<string, Slot>>();
  #used = 0;

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  get(name: string, description: string, labels: Attributes): Counter {
    const slots = this.#slots.get(name) ?? this.#create(name, description);
    const key = JSON.stringify(labels);
    let slot = slots.get(key);
    if (slot === undefined) {
      // Counters beyond the table share its last place: a wrong count is better than unbounded memory.
      slot = { at: Math.min(this.#used, COUNTERS_MAX - 1), labels };
      this.#used += 1;
      slots.set(key, slot);
    }
    const values = this.#values;
    const { at } = slot;
    return {
      add(amount) {
        values[at] = (values[at] ?? 0) + amount;
      },
    };
  }

  #create(name: string, description: string): Map<string, Slot> {
    const slots = new Map<string, Slot>();
    this.#slots.set(name, slots);
    this.#meter.createObservableCounter(name, { description }).addCallback((result) => {
      for (const { at, labels } of slots.values()) result.observe(this.#values[at] ?? 0, labels);
    });
    return slots;
  }
}
