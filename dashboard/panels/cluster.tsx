/**
 * The panel of the cluster: its nodes, the owners of partitions, moves, and the coordinator's decisions. Absent for a
 * node alone.
 */
import { useState } from "preact/hooks";
import { partitionName } from "../../protocols/position.ts";
import { formatBytes, formatCount, formatDuration, formatRate, formatTime } from "../format.ts";
import type { Handover } from "../handovers.ts";
import { type ClusterNode, type ClusterPartition, type ClusterState, type Decision, isAlone } from "../node_api.ts";
import type { Observation } from "../observation.ts";
import { Panel, TableScroll } from "./panel.tsx";

/** The number of colours for nodes. With more nodes a person chooses one to see its partitions. */
const COLOURS = 6;
const NAMED_MAX = 3;
/** The age in ms from which the panel says that its data are old. */
const OLD_MS = 2_000;

export function Cluster({ observation }: { readonly observation: Observation }) {
  const { cluster, decisions, handovers } = observation;
  const [chosen, setChosen] = useState<string>();
  if (isAlone(cluster)) return null;
  const { coordinator, ageMs } = cluster;
  const colours = new Map(cluster.nodes.map(({ name }, at) => [name, (at % COLOURS) + 1]));
  const by = coordinator === undefined ? "nobody coordinates" : `${coordinator.node} coordinates`;
  const note = ageMs > OLD_MS ? `as it was ${formatDuration(ageMs)} ago: its coordinator, or its store, is away` : by;
  return (
    <Panel id="cluster" title="Cluster" note={note}>
      <div class="cluster">
        <div>
          <Nodes
            nodes={cluster.nodes}
            colours={colours}
            chosen={chosen}
            onChoose={(name) => setChosen(name === chosen ? undefined : name)}
          />
          <Moves handovers={handovers} />
        </div>
        <div>
          <Owners cluster={cluster} colours={colours} chosen={chosen} />
          <Decisions decisions={decisions} />
        </div>
      </div>
    </Panel>
  );
}

interface NodesProps {
  readonly nodes: readonly ClusterNode[];
  readonly colours: ReadonlyMap<string, number>;
  readonly chosen: string | undefined;
  readonly onChoose: (name: string) => void;
}

function Nodes({ nodes, colours, chosen, onChoose }: NodesProps) {
  return (
    <TableScroll label="Nodes, scrolls">
      <table>
        <thead>
          <tr>
            <th scope="col">Node</th>
            <th scope="col">State</th>
            {["Partitions", "Records/s", "Bytes/s"].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {nodes.map((node) => (
            <tr key={node.name}>
              <th scope="row">
                <span class={`owner owner-${colours.get(node.name)}`} />{" "}
                <button
                  type="button"
                  class="plain choice"
                  aria-pressed={node.name === chosen}
                  title="Show what it owns"
                  onClick={() => onChoose(node.name)}
                >
                  {node.name}
                </button>{" "}
                {node.isCoordinator ? <span class="note">coordinator</span> : null}
              </th>
              <td>
                <span class={`state state-${node.state}`}>{node.state}</span>
              </td>
              <td class="number">{formatCount(node.partitions)}</td>
              <td class="number">{node.recordsPerSecond === undefined ? "–" : formatRate(node.recordsPerSecond)}</td>
              <td class="number">{node.bytesPerSecond === undefined ? "–" : formatBytes(node.bytesPerSecond)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableScroll>
  );
}

interface OwnersProps {
  readonly cluster: ClusterState;
  readonly colours: ReadonlyMap<string, number>;
  readonly chosen: string | undefined;
}

/** A square for each partition, in the colour of its owner: 900 of them still fit a screen. */
function Owners({ cluster, colours, chosen }: OwnersProps) {
  const streams = groupByStream(cluster.partitions);
  return (
    <div class="owners">
      {[...streams].map(([stream, partitions]) => (
        <div key={stream} class="owners-stream">
          <span class="note">
            {stream} {partitions.length}
          </span>
          <div class="squares" role="img" aria-label={`${stream}: ${countsOf(partitions)}`}>
            {partitions.map((one) => (
              <span key={one.partition} class={squareOf(one, colours, chosen)} title={titleOf(one)} />
            ))}
          </div>
        </div>
      ))}
    </div>
  );
}

function squareOf(
  { owner, state }: ClusterPartition,
  colours: ReadonlyMap<string, number>,
  chosen: string | undefined,
): string {
  const colour = owner === undefined ? "" : ` owner-${colours.get(owner) ?? 0}`;
  return `square square-${state}${colour}${chosen === undefined || owner === chosen ? "" : " square-other"}`;
}

const WORDS = { owned: "", claiming: ", claiming", handing_over: ", being handed over", unassigned: "" } as const;

const titleOf = ({ stream, partition, owner, state, epoch }: ClusterPartition): string =>
  `${partitionName({ stream, partition })}: ${owner ?? "nobody"}${WORDS[state]}${epoch === undefined ? "" : `, epoch ${epoch}`}`;

function groupByStream(partitions: readonly ClusterPartition[]): ReadonlyMap<string, readonly ClusterPartition[]> {
  const streams = new Map<string, ClusterPartition[]>();
  for (const one of partitions) {
    const known = streams.get(one.stream);
    if (known === undefined) streams.set(one.stream, [one]);
    else known.push(one);
  }
  return streams;
}

/** The partitions of each node as text, `node-1 4, node-2 3, nobody 1`, for people who see no colours. */
function countsOf(partitions: readonly ClusterPartition[]): string {
  const counts = new Map<string, number>();
  for (const { owner = "nobody" } of partitions) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${name} ${count}`).join(", ");
}

function Moves({ handovers }: { readonly handovers: readonly Handover[] }) {
  return (
    <div class="news moves">
      <h3>Moves</h3>
      {handovers.length === 0 ? <p class="empty">Nothing moves.</p> : null}
      <ul>
        {handovers.map(({ from, to, partitions, endedAtMs }) => (
          <li key={`${endedAtMs} ${from} ${to}`}>
            <span class="note">{endedAtMs === undefined ? "under way" : formatTime(endedAtMs)}</span> {from ?? "nobody"}{" "}
            → {to ?? "nobody"}: {partitions.slice(0, NAMED_MAX).join(", ")}
            {partitions.length > NAMED_MAX ? ` and ${formatCount(partitions.length - NAMED_MAX)} more` : ""}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Decisions({ decisions }: { readonly decisions: readonly Decision[] }) {
  return (
    <div class="news decisions">
      <h3>Decisions</h3>
      {decisions.length === 0 ? <p class="empty">Nothing was decided yet.</p> : null}
      <ul>
        {decisions.map(({ id, atMs, text }) => (
          <li key={id}>
            <span class="note">{formatTime(atMs)}</span> {text}
          </li>
        ))}
      </ul>
    </div>
  );
}
