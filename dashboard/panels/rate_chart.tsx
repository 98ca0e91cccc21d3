import { formatRate } from "../format.ts";
import type { NodeWatch } from "../node_watch.ts";
import { Chart, Legend, type Line } from "./chart.tsx";
import { Panel } from "./panel.tsx";

/** The most lines that can be told apart: further streams are in the table of partitions alone. */
const LINES_MAX = 6;

export function RateChart({ watch }: { readonly watch: NodeWatch }) {
  const names = watch.observation?.streams.map(({ name }) => name).slice(0, LINES_MAX) ?? [];
  const lines = names.map((label, index): Line => ({ label, color: `--series-${index + 1}`, isFilled: true }));
  const now = names.map((name) => formatRate(watch.observation?.rates.get(name) ?? 0));
  return (
    <Panel id="rate" title="Rate" note="events per second made durable, by stream">
      <Chart
        label={`Events per second. Now: ${names.map((name, index) => `${name} ${now[index]}`).join(", ")}`}
        lines={lines}
        columns={watch.rates.columns(names)}
        formatValue={formatRate}
        topMin={1}
      />
      <Legend lines={lines} values={now} />
    </Panel>
  );
}
