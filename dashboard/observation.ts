/**
 * From looks at the node to the numbers of the page: rates are differences of offsets, latencies differences of
 * buckets.
 */
import { type Handover, Handovers } from "./handovers.ts";
import { type Buckets, quantileOf, readHistogram, since } from "./histogram.ts";
import type { ClusterState, Decision, NodeAnswers, SinkState, StreamState } from "./node_api.ts";

/** Milliseconds over which rates are taken: longer than the interval of a source, short enough to follow. */
export const RATE_WINDOW_MS = 5_000;
/** Milliseconds over which latencies are taken: they need more samples than rates. */
export const LATENCY_WINDOW_MS = 30_000;
const ACK_HISTOGRAM = "headrace_ack_seconds";

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Observation {
  readonly atMs: number;
  readonly streams: readonly StreamState[];
  readonly sinks: readonly SinkState[];
  readonly cluster: ClusterState;
  readonly decisions: readonly Decision[];
  /** Moves under way, then moves that ended, the newest first. */
  readonly handovers: readonly Handover[];
  /** Events a second by stream; empty at the first look, which has no earlier one to compare with. */
  readonly rates: ReadonlyMap<string, number>;
  readonly ackLatency: Latency | undefined;
}

interface Look {
  readonly atMs: number;
  /** By stream, of each of its partitions that the node owns. */
  readonly ends: ReadonlyMap<string, ReadonlyMap<number, number>>;
  readonly acks: Buckets;
}

/** Keeps as many looks as its windows need. */
export class Observer {
  readonly #handovers = new Handovers();
  #looks: Look[] = [];

  observe({ streams, sinks, cluster, decisions, metrics }: NodeAnswers, atMs: number): Observation {
    const look: Look = { atMs, ends: endsOf(streams), acks: readHistogram(metrics, ACK_HISTOGRAM) };
    this.#looks = [...this.#looks.filter((old) => atMs - old.atMs <= LATENCY_WINDOW_MS), look];
    return {
      atMs,
      streams,
      sinks,
      cluster,
      decisions,
      handovers: this.#handovers.observe(cluster, atMs),
      rates: ratesBetween(this.#oldestWithin(RATE_WINDOW_MS, atMs), look),
      ackLatency: latencyBetween(this.#oldestWithin(LATENCY_WINDOW_MS, atMs), look),
    };
  }

  #oldestWithin(windowMs: number, atMs: number): Look | undefined {
    return this.#looks.find((look) => atMs - look.atMs <= windowMs);
  }
}

const endsOf = (streams: readonly StreamState[]): Look["ends"] =>
  new Map(
    streams.map(({ name, partitions }) => {
      const known = partitions.flatMap(({ partition, endOffset }): [number, number][] =>
        endOffset === undefined ? [] : [[partition, endOffset]],
      );
      return [name, new Map(known)];
    }),
  );

/** The rate over the partitions that the node owned at both looks. */
function ratesBetween(before: Look | undefined, now: Look): ReadonlyMap<string, number> {
  if (before === undefined || before.atMs >= now.atMs) return new Map();
  return new Map(
    [...now.ends].map(([name, ends]) => {
      const old = before.ends.get(name);
      let gained = 0;
      for (const [partition, end] of ends) gained += end - (old?.get(partition) ?? end);
      return [name, Math.max(0, (gained * 1_000) / (now.atMs - before.atMs))];
    }),
  );
}

/** The first look has no earlier one to compare with: it shows all counts since the start of the node. */
function latencyBetween(before: Look | undefined, now: Look): Latency | undefined {
  const recent = before === undefined || before === now ? now.acks : since(before.acks, now.acks);
  const p50 = quantileOf(recent, 0.5);
  const p99 = quantileOf(recent, 0.99);
  return p50 === undefined || p99 === undefined ? undefined : { p50Ms: p50 * 1_000, p99Ms: p99 * 1_000 };
}
