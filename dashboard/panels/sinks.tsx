/** The panel of the sinks: the progress of each over all its partitions. */
import { formatCount, formatDuration, formatShort } from "../format.ts";
import type { SinkState } from "../node_api.ts";
import { Panel, TableScroll } from "./panel.tsx";

interface SinkRow {
  readonly name: string;
  readonly from: string;
  readonly state: string;
  readonly reason: string | undefined;
  readonly lagRecords: number;
  readonly deliveredRecords: number;
  readonly deadLetters: number;
  readonly delayMs: number | undefined;
}

/** States, the worst first: a sink has the state of its worst partition. */
const STATES = ["fenced", "retrying", "stopped", "opening", "delivering"];
const worse = (left: string, right: string): string => (STATES.indexOf(left) <= STATES.indexOf(right) ? left : right);

/** One row for each stream and delivery to a sink. */
export function sumSinks(sinks: readonly SinkState[]): readonly SinkRow[] {
  const rows = new Map<string, SinkRow>();
  for (const one of sinks) {
    const name = one.as === undefined ? one.sink : `${one.sink}@${one.as}`;
    const key = `${name} ${one.stream}`;
    const row = rows.get(key);
    rows.set(key, {
      name,
      from: one.stream,
      state: row === undefined ? one.state : worse(row.state, one.state),
      reason: one.reason ?? row?.reason,
      lagRecords: (row?.lagRecords ?? 0) + one.lagRecords,
      deliveredRecords: (row?.deliveredRecords ?? 0) + one.deliveredRecords,
      deadLetters: (row?.deadLetters ?? 0) + (one.deadLettersStored ?? one.deadLetters),
      delayMs: one.lastDelayMs === undefined ? row?.delayMs : Math.max(one.lastDelayMs, row?.delayMs ?? 0),
    });
  }
  return [...rows.values()];
}

export function Sinks({ sinks }: { readonly sinks: readonly SinkState[] }) {
  return (
    <Panel id="sinks" title="Sinks" note="lag: records committed and not yet delivered">
      {sinks.length === 0 ? (
        <p class="empty">No pipeline delivers to a sink.</p>
      ) : (
        <TableScroll label="Sinks, scrolls">
          <table>
            <thead>
              <tr>
                <th scope="col">Sink</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Lag
                </th>
                <th scope="col" class="number">
                  Delay
                </th>
                <th scope="col" class="number">
                  Delivered
                </th>
                <th scope="col" class="number">
                  Dead letters
                </th>
              </tr>
            </thead>
            <tbody>
              {sumSinks(sinks).map((row) => (
                <Row key={`${row.name} ${row.from}`} row={row} />
              ))}
            </tbody>
          </table>
        </TableScroll>
      )}
    </Panel>
  );
}

function Row({ row }: { readonly row: SinkRow }) {
  return (
    <tr>
      <th scope="row">
        {row.name} <span class="note">from {row.from}</span>
      </th>
      <td>
        <span class={`state state-${row.state}`}>{row.state}</span>
        {row.reason === undefined ? null : <p class="problem">{row.reason}</p>}
      </td>
      <td class="number">{formatCount(row.lagRecords)}</td>
      <td class="number">{row.delayMs === undefined ? "–" : formatDuration(row.delayMs)}</td>
      <td class="number">{formatShort(row.deliveredRecords)}</td>
      <td class="number">{formatCount(row.deadLetters)}</td>
    </tr>
  );
}
