/** The few numbers that show whether the node works. */
import { formatBytes, formatCount, formatDuration, formatRate, formatShort } from "../format.ts";
import type { Observation } from "../observation.ts";

interface FigureProps {
  readonly name: string;
  readonly value: string;
  readonly unit?: string;
  readonly detail: string;
  readonly tone?: "good" | "warn" | "bad";
}

function Figure({ name, value, unit, detail, tone }: FigureProps) {
  return (
    <div class={tone === undefined ? "figure" : `figure tone-${tone}`}>
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong>
        {unit === undefined ? null : <span class="unit">{unit}</span>}
        <span class="detail">{detail}</span>
      </dd>
    </div>
  );
}

const sum = (values: Iterable<number>): number => {
  let total = 0;
  for (const value of values) total += value;
  return total;
};

export function Figures({ observation }: { readonly observation: Observation }) {
  const { rates, ackLatency, sinks, streams } = observation;
  const partitions = streams.flatMap((stream) => stream.partitions);
  // A node knows the owners of all partitions, but the length of its own alone.
  const everywhere = observation.cluster.partitions;
  const owned = everywhere.filter(({ state }) => state === "owned" || state === "handing_over").length;
  const lag = sum(sinks.map(({ lagRecords }) => lagRecords));
  const failing = sinks.filter(({ state }) => state === "retrying" || state === "fenced").length;
  const delays = sinks.flatMap(({ lastDelayMs }) => (lastDelayMs === undefined ? [] : [lastDelayMs]));
  const rejected = sum(partitions.map((partition) => partition.rejected ?? 0));
  const records = sum(partitions.map(({ firstOffset = 0, endOffset = 0 }) => endOffset - firstOffset));
  return (
    <dl class="figures" id="figures">
      <Figure name="Rate" value={formatRate(sum(rates.values()))} unit="events/s" detail="made durable, over 5 s" />
      <Figure
        name="Ack latency"
        value={ackLatency === undefined ? "–" : formatDuration(ackLatency.p50Ms)}
        unit="p50"
        detail={ackLatency === undefined ? "no append yet" : `p99 ${formatDuration(ackLatency.p99Ms)}, over 30 s`}
      />
      <Figure
        name="Sink lag"
        value={formatShort(lag)}
        unit="records"
        detail={
          failing > 0
            ? `${failing} not delivering`
            : delays.length === 0
              ? "nothing delivered yet"
              : `slowest ${formatDuration(Math.max(...delays))} behind`
        }
        {...(failing > 0 ? { tone: "bad" as const } : {})}
      />
      <Figure
        name="Rejected"
        value={formatShort(rejected)}
        unit={rejected === 1 ? "event" : "events"}
        detail="set aside with a reason"
        {...(rejected > 0 ? { tone: "warn" as const } : {})}
      />
      <Figure
        name="Stored"
        value={formatBytes(sum(partitions.map(({ sizeBytes = 0 }) => sizeBytes)))}
        detail={`${formatShort(records)} records`}
      />
      <Figure
        name="Partitions"
        value={`${formatCount(owned)}/${formatCount(everywhere.length)}`}
        unit="owned"
        detail={`${streams.length} ${streams.length === 1 ? "stream" : "streams"}`}
        {...(owned < everywhere.length ? { tone: "warn" as const } : {})}
      />
    </dl>
  );
}
