/** The panel that sends one event, as any producer does, and shows its outcome. */
import { useEffect, useRef, useState } from "preact/hooks";
import { type Confirmation, jsonEvent } from "../../protocols/mod.ts";
import { partitionName } from "../../protocols/position.ts";
import type { LiveConnection } from "../live_connection.ts";
import { readNewestEvent, type StreamState } from "../node_api.ts";
import { Panel } from "./panel.tsx";

const FIRST_EVENT = '{\n  "hello": "world"\n}';

interface SendEventProps {
  readonly live: LiveConnection;
  readonly streams: readonly StreamState[];
}

interface Outcome {
  readonly isGood: boolean;
  readonly text: string;
}

export function SendEvent({ live, streams }: SendEventProps) {
  // A stream without a schema takes any event that a newcomer types.
  const first = streams.find(({ schemaVersions }) => schemaVersions.length === 0) ?? streams[0];
  const [chosen, choose] = useState<string>();
  const stream = streams.find(({ name }) => name === chosen) ?? first;
  const [text, setText] = useState(FIRST_EVENT);
  const [outcome, setOutcome] = useState<Outcome>();
  /** The draft of the stream that is chosen now is still to be filled in: nobody has typed since. */
  const waiting = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (stream === undefined || chosen === undefined) return;
    void newestOr(stream, live.token).then((draft) => {
      if (waiting.current === chosen) setText(draft);
    });
  }, [chosen]);
  const choosing = (name: string) => {
    waiting.current = name;
    choose(name);
  };
  const type = (typed: string) => {
    waiting.current = undefined;
    setText(typed);
  };
  if (stream === undefined) return null;
  const submit = async (event: Event) => {
    event.preventDefault();
    setOutcome({ isGood: true, text: "Sending …" });
    setOutcome(await send(live, stream.name, text));
  };
  return (
    <Panel id="send" title="Send an event" note="over WebSocket, exactly once">
      <form onSubmit={submit}>
        <label>
          stream{" "}
          <select id="send-stream" value={stream.name} onChange={(event) => choosing(event.currentTarget.value)}>
            {streams.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <button type="submit">Send</button>
        <label class="wide">
          <span class="hidden">event, as JSON</span>
          <textarea
            id="send-event"
            rows={4}
            spellcheck={false}
            value={text}
            onInput={(event) => type(event.currentTarget.value)}
          />
        </label>
        <output id="send-outcome" class={outcome === undefined || outcome.isGood ? "wide good" : "wide problem"}>
          {outcome?.text ?? ""}
        </output>
      </form>
    </Panel>
  );
}

const newestOr = (stream: StreamState, token: string | undefined): Promise<string> =>
  readNewestEvent(stream, token).then(
    (newest) => newest ?? FIRST_EVENT,
    () => FIRST_EVENT, // the draft is only a help
  );

async function send(live: LiveConnection, stream: string, text: string): Promise<Outcome> {
  try {
    return describe(await live.producer.sendAndConfirm(jsonEvent(text), { stream }));
  } catch (error) {
    return { isGood: false, text: error instanceof Error ? error.message : String(error) };
  }
}

function describe(confirmation: Confirmation): Outcome {
  switch (confirmation.kind) {
    case "stored":
      return { isGood: true, text: `Stored durably in ${partitionName(confirmation)}.` };
    case "rejected":
      return { isGood: false, text: `${confirmation.code} ${confirmation.path}: ${confirmation.reason}` };
  }
}
