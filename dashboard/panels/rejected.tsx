/** The panel of events that validation set aside, from all streams, each with its reason. */
import { useEffect, useState } from "preact/hooks";
import { decodeEvents, EVENT_LIMITS, type Event } from "../../protocols/mod.ts";
import { useChanges } from "../changes.ts";
import { formatEvent, formatTime } from "../format.ts";
import type { LiveConnection } from "../live_connection.ts";
import type { StreamState } from "../node_api.ts";
import { RecordList } from "../record_list.ts";
import type { TailRecord } from "../tail.ts";
import { Panel } from "./panel.tsx";

const SHOWN_MAX = 30;
/** The first byte of a MessagePack array of one element. */
const ARRAY_OF_ONE = 0x91;

interface RejectedProps {
  readonly live: LiveConnection;
  readonly streams: readonly StreamState[];
}

export function Rejected({ live, streams }: RejectedProps) {
  const [list, setList] = useState<RecordList>();
  const names = streams.map(({ name }) => name).join("\n");
  useEffect(() => {
    const started = new RecordList(SHOWN_MAX);
    for (const { name, partitions } of streams) {
      const starts = partitions.map(({ partition }) => ({ partition, from: "earliest" as const }));
      started.follow(live.consumer, { stream: name, channel: "rejected", starts });
    }
    setList(started);
    return () => started.stop();
  }, [live, names]);
  return (
    <Panel id="rejected" title="Rejected events" note="the latest, each with its reason">
      {list === undefined ? null : <Letters list={list} />}
    </Panel>
  );
}

function Letters({ list }: { readonly list: RecordList }) {
  useChanges(list.changes);
  if (list.problem !== undefined) return <p class="problem">{list.problem}</p>;
  if (list.records.length === 0) return <p class="empty">None. An event that fails its schema is set aside here.</p>;
  const newestFirst = list.records.toSorted((left, right) => right.appendedAtMs - left.appendedAtMs);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling list must be reachable by keyboard
    <ul class="letters" tabIndex={0} aria-label="Rejected events">
      {newestFirst.map((record) => (
        <Letter key={`${record.stream}/${record.partition}/${record.position.offset}`} record={record} />
      ))}
    </ul>
  );
}

function Letter({ record }: { readonly record: TailRecord }) {
  const { code, path, reason, original } = record.event;
  return (
    <li>
      <div class="letter-head">
        <span class="code">{String(code)}</span>
        <span class="note">
          {record.stream}/{record.partition} at {formatTime(record.appendedAtMs)}
        </span>
      </div>
      <p class="reason">
        {path === "" ? null : <code>{String(path)}</code>} {String(reason)}
      </p>
      {original instanceof Uint8Array ? <code class="original">{readOriginal(original)}</code> : null}
    </li>
  );
}

/** The rejected input as text, or as bytes where it cannot be read. */
function readOriginal(original: Uint8Array): string {
  const batch = new Uint8Array(original.length + 1);
  batch[0] = ARRAY_OF_ONE;
  batch.set(original, 1);
  return formatEvent(decoded(batch) ?? { bytes: original });
}

function decoded(batch: Uint8Array): Event | undefined {
  try {
    return decodeEvents(batch, EVENT_LIMITS).events[0];
  } catch (error) {
    console.debug("an original cannot be decoded", error);
    return undefined;
  }
}
