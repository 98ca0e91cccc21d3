/** Lines over time, drawn by uPlot in the page's colours, as wide as its panel. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { formatTime } from "../format.ts";
import type { Columns } from "../time_series.ts";

export interface Line {
  readonly label: string;
  /** Name of a colour of style.css: `--series-1`. */
  readonly color: string;
  readonly isFilled?: boolean;
}

interface ChartProps {
  readonly label: string;
  readonly lines: readonly Line[];
  readonly columns: Columns;
  readonly formatValue: (value: number) => string;
  /** The least value at the top of the axis. */
  readonly topMin: number;
}

const HEIGHT_PX = 180;
/** The least time of the axis, so that a young page does not stretch a few seconds over the whole width. */
const SPAN_MIN_SECONDS = 30;

/** Makes the chart anew when the page's colours change. */
const darkness = () => matchMedia("(prefers-color-scheme: dark)");

export function Chart({ label, lines, columns, formatValue, topMin }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const latest = useRef(columns);
  latest.current = columns;
  const key = lines.map((line) => line.label).join("\n");
  useEffect(() => {
    const host = place.current;
    if (host === null) return;
    const make = () => {
      chart.current?.destroy();
      const options = optionsOf(host.clientWidth, lines, formatValue, topMin);
      chart.current = new uPlot(options, latest.current as uPlot.AlignedData, host);
    };
    make();
    const resizing = new ResizeObserver(() => chart.current?.setSize({ width: host.clientWidth, height: HEIGHT_PX }));
    resizing.observe(host);
    const scheme = darkness();
    scheme.addEventListener("change", make);
    return () => {
      scheme.removeEventListener("change", make);
      resizing.disconnect();
      chart.current?.destroy();
      chart.current = undefined;
    };
  }, [key]);
  useEffect(() => {
    if (chart.current?.series.length === columns.length) chart.current.setData(columns as uPlot.AlignedData);
  }, [columns]);
  return <div class="chart" ref={place} role="img" aria-label={label} />;
}

function optionsOf(
  width: number,
  lines: readonly Line[],
  formatValue: (value: number) => string,
  topMin: number,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color("--muted"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return {
    width,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    padding: [10, 8, 0, 0],
    scales: {
      x: { time: true, range: (_chart, min, max) => [Math.min(min, max - SPAN_MIN_SECONDS), max] },
      y: { range: (_chart, _min, max) => [0, Math.max(topMin, max * 1.15)] },
    },
    axes: [
      { ...axis, size: 26, space: 90, values: (_chart, times) => times.map((time) => formatTime(time * 1_000)) },
      { ...axis, size: 58, space: 34, values: (_chart, values) => values.map(formatValue) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: color(line.color),
        width: 1.75,
        points: { show: false },
        ...(line.isFilled === true ? { fill: `${color(line.color)}22` } : {}),
      })),
    ],
  };
}

interface LegendProps {
  readonly lines: readonly Line[];
  readonly values: readonly string[];
}

/** The names of the lines and their latest values, as text. */
export function Legend({ lines, values }: LegendProps) {
  return (
    <ul class="legend">
      {lines.map((line, index) => (
        <li key={line.label}>
          <span class={`swatch ${line.color.slice(2)}`} />
          {line.label} <strong>{values[index]}</strong>
        </li>
      ))}
    </ul>
  );
}
