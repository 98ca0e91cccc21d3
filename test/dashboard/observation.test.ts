import { test } from "uvu";
import * as assert from "uvu/assert";
import { formatBriefly, formatBytes, formatDuration, formatReading } from "../../dashboard/format.ts";
import { quantileOf, readHistogram, since } from "../../dashboard/histogram.ts";
import type { NodeAnswers } from "../../dashboard/node_api.ts";
import { Observer } from "../../dashboard/observation.ts";
import { TimeSeries } from "../../dashboard/time_series.ts";

const EXPOSITION = `# TYPE headrace_ack_seconds histogram
headrace_ack_seconds_count{stream="a"} 100
headrace_ack_seconds_bucket{stream="a",otel="x",le="0.001"} 0
headrace_ack_seconds_bucket{stream="a",otel="x",le="0.002"} 90
headrace_ack_seconds_bucket{stream="a",otel="x",le="0.01"} 100
headrace_ack_seconds_bucket{stream="a",otel="x",le="+Inf"} 100
headrace_ack_seconds_bucket{stream="b",otel="x",le="0.001"} 0
headrace_ack_seconds_bucket{stream="b",otel="x",le="0.002"} 90
headrace_ack_seconds_bucket{stream="b",otel="x",le="0.01"} 100
headrace_ack_seconds_bucket{stream="b",otel="x",le="+Inf"} 100
other_bucket{le="0.001"} 7
`;

test("a quantile of all series is interpolated within its bucket", () => {
  const buckets = readHistogram(EXPOSITION, "headrace_ack_seconds");
  assert.equal([...buckets.values()], [0, 180, 200, 200]);
  assert.is(quantileOf(buckets, 0.45), 0.0015);
  assert.is(quantileOf(buckets, 0.95), 0.006);
  assert.is(quantileOf(new Map(), 0.5), undefined);
});

test("a quantile above the last finite bound is told as that bound", () => {
  const beyond = new Map([
    [1, 0],
    [Number.POSITIVE_INFINITY, 5],
  ]);
  assert.is(quantileOf(beyond, 0.5), 1);
});

test("latencies count from the last look on, and a restarted node counts from 0", () => {
  const before = new Map([
    [1, 10],
    [2, 20],
  ]);
  const later = new Map([
    [1, 10],
    [2, 25],
  ]);
  assert.equal([...since(before, later).values()], [0, 5]);
  const restarted = new Map([
    [1, 3],
    [2, 4],
  ]);
  assert.equal(since(before, restarted), restarted);
});

const answers = (endOffset: number, metrics = "", takenOver?: number): NodeAnswers => ({
  streams: [
    {
      name: "orders",
      schemaVersions: [],
      partitions: [
        { partition: 0, state: "owned", firstOffset: 0, endOffset },
        takenOver === undefined
          ? { partition: 1, state: "claiming" }
          : { partition: 1, state: "owned", firstOffset: 0, endOffset: takenOver },
      ],
    },
  ],
  sinks: [],
  cluster: { node: "a", tableVersion: 0, ageMs: 0, nodes: [], partitions: [], moves: [] },
  decisions: [],
  metrics,
});

test("a rate is what the offsets gained over the last five seconds", () => {
  const observer = new Observer();
  assert.is(observer.observe(answers(1_000), 0).rates.get("orders"), undefined);
  assert.is(observer.observe(answers(3_000), 2_000).rates.get("orders"), 1_000);
  assert.is(observer.observe(answers(4_000), 6_000).rates.get("orders"), 250);
});

test("a log that lost its tail shows no negative rate", () => {
  const observer = new Observer();
  observer.observe(answers(1_000), 0);
  assert.is(observer.observe(answers(10), 1_000).rates.get("orders"), 0);
});

test("a partition that the node took over counts from then on, not by its whole length", () => {
  const observer = new Observer();
  observer.observe(answers(1_000), 0);
  assert.is(observer.observe(answers(1_100, "", 50_000), 1_000).rates.get("orders"), 100);
  assert.is(observer.observe(answers(1_100, "", 50_200), 2_000).rates.get("orders"), 50);
});

test("ack latency is in milliseconds, and undefined without appends", () => {
  const observer = new Observer();
  assert.is(observer.observe(answers(0), 0).ackLatency, undefined);
  const latency = observer.observe(answers(0, EXPOSITION), 1_000).ackLatency;
  assert.ok(latency !== undefined && latency.p50Ms > 1 && latency.p50Ms < 2 && latency.p99Ms > 2);
});

test("a history keeps its window and shows a gap where a series had no value yet", () => {
  const history = new TimeSeries(2_000);
  history.add(0, new Map([["a", 1]]));
  history.add(1_000, new Map([["a", 2]]));
  history.add(
    3_000,
    new Map([
      ["a", 3],
      ["b", 9],
    ]),
  );
  assert.equal(history.columns(["a", "b"]), [
    [1, 3],
    [2, 3],
    [null, 9],
  ]);
});

test("numbers are written as people read them", () => {
  assert.is(formatBytes(1_536), "1.5 KiB");
  assert.is(formatBytes(900), "900 B");
  assert.is(formatDuration(0.25), "0.25 ms");
  assert.is(formatDuration(1_500), "1.5 s");
  assert.is(formatReading(0.42, "ratio"), "42 %");
  assert.is(formatBriefly("2026-11-23T10:00:00.125Z"), "10:00:00.125");
  assert.is(formatBriefly(0.123456), "0.1235");
  assert.is(formatBriefly({ id: 5n }), '{"id":"5"}');
});

test.run();
