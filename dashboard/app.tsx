/** The page: asks for a token where the node wants one, otherwise shows the panels. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { useChanges } from "./changes.ts";
import { LiveConnection } from "./live_connection.ts";
import { NodeWatch } from "./node_watch.ts";
import { Cluster } from "./panels/cluster.tsx";
import { Figures } from "./panels/figures.tsx";
import { Header } from "./panels/header.tsx";
import { LatencyChart } from "./panels/latency_chart.tsx";
import { Machine } from "./panels/machine.tsx";
import { Partitions } from "./panels/partitions.tsx";
import { RateChart } from "./panels/rate_chart.tsx";
import { Records } from "./panels/records.tsx";
import { Rejected } from "./panels/rejected.tsx";
import { SendEvent } from "./panels/send_event.tsx";
import { Sinks } from "./panels/sinks.tsx";
import { TokenForm } from "./panels/token_form.tsx";
import { forgetToken, storedToken, storeToken } from "./session_token.ts";

export function App() {
  const [token, setToken] = useState(storedToken);
  const watch = useMemo(() => new NodeWatch(token), [token]);
  useEffect(() => () => watch.stop(), [watch]);
  useChanges(watch.changes);
  if (watch.isTokenWanted) {
    const enter = (entered: string) => {
      storeToken(entered);
      setToken(entered);
    };
    return <TokenForm wasRefused={token !== undefined} onEnter={enter} />;
  }
  const forget = () => {
    forgetToken();
    setToken(undefined);
  };
  return <Console key={token ?? ""} watch={watch} token={token} onForgetToken={forget} />;
}

interface ConsoleProps {
  readonly watch: NodeWatch;
  readonly token: string | undefined;
  readonly onForgetToken: () => void;
}

function Console({ watch, token, onForgetToken }: ConsoleProps) {
  const live = useMemo(() => new LiveConnection(location.href, token), [token]);
  useEffect(() => () => live.close(), [live]);
  useChanges(watch.changes);
  const { observation } = watch;
  const streams = observation?.streams ?? [];
  return (
    <>
      <Header watch={watch} live={live} onForgetToken={token === undefined ? undefined : onForgetToken} />
      <main>
        {observation === undefined ? (
          <p class="waiting">Waiting for the node …</p>
        ) : (
          <>
            <Figures observation={observation} />
            <RateChart watch={watch} />
            <LatencyChart watch={watch} />
            <Cluster observation={observation} />
            <Machine live={live} streams={streams} />
            <Records live={live} streams={streams} />
            <div class="side">
              <SendEvent live={live} streams={streams} />
              <Rejected live={live} streams={streams} />
            </div>
            <Sinks sinks={observation.sinks} />
            <Partitions observation={observation} />
          </>
        )}
      </main>
    </>
  );
}
