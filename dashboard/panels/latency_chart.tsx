import { formatDuration } from "../format.ts";
import type { NodeWatch } from "../node_watch.ts";
import { Chart, Legend, type Line } from "./chart.tsx";
import { Panel } from "./panel.tsx";

const LINES: readonly Line[] = [
  { label: "p50", color: "--series-1" },
  { label: "p99", color: "--series-3" },
];

export function LatencyChart({ watch }: { readonly watch: NodeWatch }) {
  const latency = watch.observation?.ackLatency;
  const now = latency === undefined ? ["–", "–"] : [formatDuration(latency.p50Ms), formatDuration(latency.p99Ms)];
  return (
    <Panel id="latency" title="Ack latency" note="from arrival at its partition to durable">
      <Chart
        label={`Ack latency. Now: p50 ${now[0]}, p99 ${now[1]}`}
        lines={LINES}
        columns={watch.latencies.columns(["p50", "p99"])}
        formatValue={formatDuration}
        topMin={2}
      />
      <Legend lines={LINES} values={now} />
    </Panel>
  );
}
