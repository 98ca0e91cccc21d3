/** The metrics of the node's machine, where the node reads them: the first data that a newcomer sees. */
import { useEffect, useState } from "preact/hooks";
import { useChanges } from "../changes.ts";
import { formatReading } from "../format.ts";
import type { LiveConnection } from "../live_connection.ts";
import { MACHINE_STREAM, MachineMetrics, type Metric } from "../machine_metrics.ts";
import type { StreamState } from "../node_api.ts";
import { Panel } from "./panel.tsx";
import { Sparkline } from "./sparkline.tsx";

/** The metrics in their order on the page. A metric that the machine lacks is left out. */
const SHOWN: readonly (readonly [metric: string, title: string])[] = [
  ["cpu.utilization", "Processor"],
  ["memory.utilization", "Memory"],
  ["load.1m", "Load, 1 min"],
  ["disk.utilization", "Disk full"],
  ["disk.read", "Disk read"],
  ["disk.written", "Disk written"],
  ["network.received", "Network in"],
  ["network.sent", "Network out"],
  ["process.memory", "Node's memory"],
];

interface MachineProps {
  readonly live: LiveConnection;
  readonly streams: readonly StreamState[];
}

export function Machine({ live, streams }: MachineProps) {
  const partitions = streams.find(({ name }) => name === MACHINE_STREAM)?.partitions.length;
  const [machine, setMachine] = useState<MachineMetrics>();
  useEffect(() => {
    if (partitions === undefined) return;
    const started = new MachineMetrics(live.consumer, partitions);
    setMachine(started);
    return () => started.stop();
  }, [live, partitions]);
  return machine === undefined ? null : <Readings machine={machine} />;
}

function Readings({ machine }: { readonly machine: MachineMetrics }) {
  useChanges(machine.changes);
  const shown = SHOWN.flatMap(([name, title]) => {
    const metric = machine.metrics.get(name);
    return metric === undefined ? [] : [{ title, metric }];
  });
  return (
    <Panel id="machine" title="This machine" note={`${machine.host || "reading"}, from the stream ${MACHINE_STREAM}`}>
      <ul class="tiles">
        {shown.map(({ title, metric }) => (
          <Tile key={title} title={title} metric={metric} />
        ))}
        <Cores machine={machine} />
      </ul>
    </Panel>
  );
}

function Tile({ title, metric }: { readonly title: string; readonly metric: Metric }) {
  return (
    <li class="tile">
      <span class="tile-name">{title}</span>
      <strong>{formatReading(metric.values.at(-1) ?? 0, metric.unit)}</strong>
      <Sparkline values={metric.values} topMin={metric.unit === "ratio" ? 1 : 0} />
    </li>
  );
}

const coreNumber = (name: string): number => Number(name.slice("cpu.core.".length));

function Cores({ machine }: { readonly machine: MachineMetrics }) {
  const cores = [...machine.metrics]
    .filter(([name]) => name.startsWith("cpu.core."))
    .sort(([left], [right]) => coreNumber(left) - coreNumber(right));
  if (cores.length === 0) return null;
  return (
    <li class="tile">
      <span class="tile-name">{cores.length} cores</span>
      <span class="cores">
        {cores.map(([name, { values }]) => (
          <meter key={name} aria-label={`core ${coreNumber(name)}`} min={0} max={1} value={values.at(-1) ?? 0} />
        ))}
      </span>
    </li>
  );
}
