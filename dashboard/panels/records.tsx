/** The panel of the latest records of one stream. */
import { Fragment } from "preact";
import { useEffect, useState } from "preact/hooks";
import { eventJson } from "../../protocols/mod.ts";
import { useChanges } from "../changes.ts";
import { formatBriefly, formatCount, formatTime } from "../format.ts";
import type { LiveConnection } from "../live_connection.ts";
import type { StreamState } from "../node_api.ts";
import { RecordList } from "../record_list.ts";
import type { TailRecord } from "../tail.ts";
import { Panel, TableScroll } from "./panel.tsx";

const SHOWN_MAX = 60;
/** The number of records of each partition that are shown from before the page was opened. */
const EARLIER = 8;

interface RecordsProps {
  readonly live: LiveConnection;
  readonly streams: readonly StreamState[];
}

export function Records({ live, streams }: RecordsProps) {
  const [chosen, choose] = useState<string>();
  const [isPaused, setPaused] = useState(false);
  const name = streams.find((one) => one.name === chosen)?.name ?? streams[0]?.name;
  const controls = (
    <>
      <label>
        stream{" "}
        <select id="records-stream" value={name} onChange={(event) => choose(event.currentTarget.value)}>
          {streams.map((one) => (
            <option key={one.name}>{one.name}</option>
          ))}
        </select>
      </label>
      <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
        {isPaused ? "Resume" : "Pause"}
      </button>
    </>
  );
  return (
    <Panel id="records" title="Latest records" controls={controls}>
      {name === undefined ? (
        <p class="empty">No streams are configured.</p>
      ) : (
        <Following key={name} live={live} streams={streams} name={name} isPaused={isPaused} />
      )}
    </Panel>
  );
}

interface FollowingProps extends RecordsProps {
  readonly name: string;
  readonly isPaused: boolean;
}

function Following({ live, streams, name, isPaused }: FollowingProps) {
  const [list] = useState(() => new RecordList(SHOWN_MAX));
  useEffect(() => {
    const starts = (streams.find((one) => one.name === name)?.partitions ?? []).map(
      ({ partition, firstOffset = 0, endOffset = 0 }) => ({
        partition,
        from: { offset: Math.max(firstOffset, endOffset - EARLIER) },
      }),
    );
    list.follow(live.consumer, { stream: name, channel: "records", starts });
    return () => list.stop();
  }, [live, name, list]);
  useChanges(list.changes);
  const [frozen, freeze] = useState<readonly TailRecord[]>();
  useEffect(() => freeze(isPaused ? list.records : undefined), [isPaused, list]);
  const shown = frozen ?? list.records;
  if (list.problem !== undefined) return <p class="problem">{list.problem}</p>;
  if (shown.length === 0) return <p class="empty">Nothing yet. What arrives in {name} appears here.</p>;
  return (
    <>
      <TableScroll label="Latest records, scrolls">
        <table class="records">
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col" title="partition / offset">
                Position
              </th>
              <th scope="col">Event</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((record) => (
              <RecordRow
                key={`${record.partition}/${record.position.epoch}/${record.position.offset}`}
                record={record}
              />
            ))}
          </tbody>
        </table>
      </TableScroll>
      {list.skipped === 0 ? null : (
        <p class="note">A sample: {formatCount(list.skipped)} records came faster than a page can show.</p>
      )}
    </>
  );
}

function RecordRow({ record }: { readonly record: TailRecord }) {
  const { partition, position, event, appendedAtMs, producerId, schemaVersion } = record;
  return (
    <tr>
      <td>{formatTime(appendedAtMs)}</td>
      <td class="mono">
        {partition}/{position.offset}
      </td>
      <td>
        <details>
          <summary class="mono">
            {Object.entries(event).map(([key, value]) => (
              <Fragment key={key}>
                <span class="field">
                  <span class="key">{key}</span> {formatBriefly(value)}
                </span>{" "}
              </Fragment>
            ))}
          </summary>
          <pre>{eventJson(event)}</pre>
          <p class="note">
            epoch {position.epoch}, schema version {schemaVersion}
            {producerId === undefined ? "" : `, producer ${producerId}`}
          </p>
        </details>
      </td>
    </tr>
  );
}
