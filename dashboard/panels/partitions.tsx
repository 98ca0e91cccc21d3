/** The streams, each with its partitions: their owners, epochs, offsets and sizes. */
import { useState } from "preact/hooks";
import { formatBytes, formatCount, formatRate } from "../format.ts";
import type { ClusterPartition, PartitionState, StreamState } from "../node_api.ts";
import type { Observation } from "../observation.ts";
import { Panel, TableScroll } from "./panel.tsx";

const sumOf = (stream: StreamState, read: (partition: PartitionState) => number | undefined): number =>
  stream.partitions.reduce((sum, partition) => sum + (read(partition) ?? 0), 0);

const COLUMNS = ["Rate", "Records", "Rejected", "Size", "Offsets", "Epoch"] as const;

export function Partitions({ observation }: { readonly observation: Observation }) {
  return (
    <Panel id="partitions" title="Streams and partitions">
      <TableScroll label="Streams and partitions, scrolls">
        <table>
          <thead>
            <tr>
              <th scope="col">Stream</th>
              <th scope="col">Owner</th>
              {COLUMNS.map((name) => (
                <th key={name} scope="col" class="number">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          {observation.streams.map((stream) => (
            <StreamRows key={stream.name} stream={stream} observation={observation} />
          ))}
        </table>
      </TableScroll>
    </Panel>
  );
}

interface StreamRowsProps {
  readonly stream: StreamState;
  readonly observation: Observation;
}

function StreamRows({ stream, observation }: StreamRowsProps) {
  const [isOpen, setOpen] = useState(false);
  const owners = observation.cluster.partitions.filter((one) => one.stream === stream.name);
  const names = [...new Set(owners.flatMap(({ owner }) => owner ?? []))];
  const claiming = owners.filter(({ state }) => state === "claiming" || state === "unassigned").length;
  return (
    <tbody>
      <tr>
        <th scope="row">
          <button type="button" class="plain disclosure" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
            {stream.name}
          </button>{" "}
          <span class="note">
            {stream.partitions.length}
            {stream.key === undefined ? "" : ` by ${stream.key}`}
          </span>
        </th>
        <td>{claiming > 0 ? <span class="state state-opening">claiming {claiming}</span> : names.join(", ")}</td>
        <td class="number">{formatRate(observation.rates.get(stream.name) ?? 0)}/s</td>
        <td class="number">{formatCount(sumOf(stream, (one) => (one.endOffset ?? 0) - (one.firstOffset ?? 0)))}</td>
        <td class="number">{formatCount(sumOf(stream, ({ rejected }) => rejected))}</td>
        <td class="number">{formatBytes(sumOf(stream, ({ sizeBytes }) => sizeBytes))}</td>
        <td class="number" />
        <td class="number" />
      </tr>
      {isOpen
        ? stream.partitions.map((partition) => (
            <PartitionRow
              key={partition.partition}
              partition={partition}
              placed={owners.find((one) => one.partition === partition.partition)}
            />
          ))
        : null}
    </tbody>
  );
}

interface PartitionRowProps {
  readonly partition: PartitionState;
  readonly placed: ClusterPartition | undefined;
}

/** One partition. Its length is known where the node itself owns it. */
function PartitionRow({ partition, placed }: PartitionRowProps) {
  const { state, firstOffset, endOffset, sizeBytes, rejected } = partition;
  const isOwned = state === "owned";
  const isPlaced = placed?.state === "owned" || placed?.state === "handing_over";
  const epoch = partition.epoch ?? placed?.epoch;
  return (
    <tr class="partition">
      <th scope="row">{partition.partition}</th>
      <td>{isPlaced ? placed.owner : <span class="state state-opening">{placed?.state ?? state}</span>}</td>
      <td />
      <td class="number">{isOwned ? formatCount((endOffset ?? 0) - (firstOffset ?? 0)) : "–"}</td>
      <td class="number">{isOwned ? formatCount(rejected ?? 0) : "–"}</td>
      <td class="number">{isOwned ? formatBytes(sizeBytes ?? 0) : "–"}</td>
      <td class="number">{isOwned ? `${firstOffset}–${endOffset}` : "–"}</td>
      <td class="number">{epoch ?? "–"}</td>
    </tr>
  );
}
