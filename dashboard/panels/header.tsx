import { useChanges } from "../changes.ts";
import { connectionWords } from "../connection_words.ts";
import type { LiveConnection } from "../live_connection.ts";
import type { NodeWatch } from "../node_watch.ts";

interface HeaderProps {
  readonly watch: NodeWatch;
  readonly live: LiveConnection;
  readonly onForgetToken: (() => void) | undefined;
}

export function Header({ watch, live, onForgetToken }: HeaderProps) {
  useChanges(live.changes);
  const { observation, problem } = watch;
  const { tone, word, detail } = connectionWords(live.told, problem);
  const cluster = observation?.cluster;
  const node = cluster?.nodes.find(({ name }) => name === cluster.node);
  return (
    <header class="top">
      <h1>
        <img src="/icon.svg" alt="" width="26" height="26" />
        Headrace
      </h1>
      {node === undefined ? null : (
        <span class="node">
          {cluster?.nodes.length === 1 ? node.name : `${node.name} of ${cluster?.nodes.length} nodes`}
          {node.state === "ready" ? null : <span class={`state state-${node.state}`}>{node.state}</span>}
        </span>
      )}
      <output class={`state state-${tone}`}>{word}</output>
      {detail === undefined ? null : <span class="note connection-detail">{detail}</span>}
      <nav aria-label="Raw data">
        <a href="/v1/streams">streams</a>
        <a href="/v1/sinks">sinks</a>
        <a href="/metrics">metrics</a>
        {onForgetToken === undefined ? null : (
          <button type="button" class="plain" onClick={onForgetToken}>
            forget token
          </button>
        )}
      </nav>
    </header>
  );
}
