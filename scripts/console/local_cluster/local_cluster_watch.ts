/** Shows a local cluster until its end: on a terminal a table redrawn in place, elsewhere its changes as lines. */
import { setTimeout as delay } from "node:timers/promises";
import { type ClusterSight, changesBetween, clusterLines } from "../cluster/cluster_text.ts";
import { watchKeys } from "../keys.ts";
import { print } from "../output.ts";
import { isTerminal, openScreen } from "../screen.ts";
import type { LocalCluster } from "./local_cluster.ts";
import { LocalClusterSight } from "./local_cluster_sight.ts";

const LOOK_EVERY_MS = 1_000;
const CTRL_C = "\u0003";

/** @param listen gets a function to call after each change, which is then shown at once */
export async function watchLocalCluster(
  cluster: LocalCluster,
  ending: AbortController,
  listen: (notify: () => void) => void,
): Promise<void> {
  const sight = new LocalClusterSight(() => cluster.nodes());
  const isDrawn = isTerminal();
  const show = isDrawn ? drawing(cluster) : telling(cluster);
  let said = "";
  let wake = () => {};
  listen(() => wake());
  ending.signal.addEventListener("abort", () => wake(), { once: true });
  const keys = watchKeys({
    a: () => {
      said = "starting a node ...";
      void cluster.addNode().then(
        ({ name }) => (said = `${name} is up`),
        (error: Error) => (said = error.message.split("\n")[0] ?? ""),
      );
    },
    q: () => ending.abort(),
    [CTRL_C]: () => ending.abort(),
  });
  try {
    while (!ending.signal.aborted) {
      show.update(await sight.look(), said);
      if (ending.signal.aborted) break;
      const woken = new AbortController();
      wake = () => woken.abort();
      await delay(LOOK_EVERY_MS, undefined, { signal: woken.signal }).catch(() => undefined);
    }
  } finally {
    keys.stop();
    show.close();
  }
}

interface Show {
  update(sight: ClusterSight, said: string): void;
  close(): void;
}

const redisText = ({ redis }: LocalCluster): string =>
  redis.ending === undefined ? `Redis on 127.0.0.1:${redis.port}` : `Redis has ended (${redis.ending})`;

function drawing(cluster: LocalCluster): Show {
  const screen = openScreen();
  return {
    update: (sight, said) =>
      screen.draw([
        `Headrace cluster, ${redisText(cluster)}, everything in ${cluster.folder}`,
        "",
        ...clusterLines(sight, "lag"),
        "",
        `a: add a node   q: end${said === "" ? "" : `   ${said}`}`,
      ]),
    close: () => screen.close(),
  };
}

function telling(cluster: LocalCluster): Show {
  let before: ClusterSight | undefined;
  let redis = redisText(cluster);
  void print(redis);
  return {
    update(sight) {
      const changes = changesBetween(before, sight);
      if (changes.length > 0) void print(changes);
      before = sight;
      if (redisText(cluster) === redis) return;
      redis = redisText(cluster);
      void print(redis);
    },
    close() {},
  };
}
