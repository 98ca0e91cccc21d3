/** A node's metrics apart from its streams' own: times to the acknowledgement and to sinks, lags, connections. */
import type { Metrics } from "../../actors/observers/metrics.ts";
import type { ConnectionGate } from "../security/admission/connection_gate.ts";
import type { DeliveryBoard, DeliveryStanding } from "./delivery_board.ts";

type Histogram = ReturnType<Metrics["histogram"]>;

/** Histogram bounds in seconds: from a commit in memory to a store that hangs; dense around a disk's flush. */
const ACK_SECONDS_BOUNDS = [
  0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

const DELIVERY_SECONDS_BOUNDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3_600,
];

export const ackSeconds = (metrics: Metrics): Histogram =>
  metrics.histogram(
    "headrace_ack_seconds",
    "From arrival at its partition to durable, of the oldest batch of each group commit",
    ACK_SECONDS_BOUNDS,
  );

export const deliverySeconds = (metrics: Metrics): Histogram =>
  metrics.histogram(
    "headrace_delivery_seconds",
    "From append to commit in the sink, of the oldest record of each batch",
    DELIVERY_SECONDS_BOUNDS,
  );

/** Deliveries of one stream to one sink differ in `as`, which a delivery without it has no label for. */
const labelsOf = ({ sink, as, stream, partition }: DeliveryStanding) => ({
  sink,
  ...(as === undefined ? {} : { as }),
  stream,
  partition,
});

/** Registers gauges that are computed at each scrape. */
export function observeDeliveries(metrics: Metrics, board: DeliveryBoard): void {
  metrics.gauge("headrace_sink_lag_records", "Records committed and not yet delivered", function* () {
    for (const standing of board.standings()) yield [standing.lagRecords, labelsOf(standing)];
  });
  metrics.gauge("headrace_sink_delay_seconds", "From append to commit in the sink, of the last batch", function* () {
    for (const standing of board.standings()) {
      if (standing.lastDelayMs !== undefined) yield [standing.lastDelayMs / 1_000, labelsOf(standing)];
    }
  });
}

const PHASES = ["silent", "idle", "asking", "greeting", "welcomed"] as const;

export function observeConnections(metrics: Metrics, gate: ConnectionGate): void {
  metrics.gauge("headrace_connections", "Connections of the port, by phase", function* () {
    for (const phase of PHASES) yield [gate.countIn(phase), { phase }];
  });
  metrics.gauge("headrace_connections_shed", "Connections ended or refused for want of places, since the start", () => [
    [gate.shed, {}],
  ]);
}
