/** `headrace cluster status`: shows the cluster once, or its changes. */
import { setTimeout as delay } from "node:timers/promises";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import { EXIT } from "../exit_codes.ts";
import type { NodeClient } from "../node_client.ts";
import { interruption, print, printJson } from "../output.ts";
import { watchReachability } from "../reachability.ts";
import { isTerminal, openScreen } from "../screen.ts";
import { type ClusterSight, changesBetween, clusterLines, sightOf } from "./cluster_text.ts";

const LOOK_EVERY_MS = 1_000;
/** Age in ms from which an overview is shown as old. */
const OLD_MS = 2_000;

export const readOverview = (client: NodeClient): Promise<ClusterOverview> => client.get("/v1/cluster");

export async function tellStatus(client: NodeClient, isJson: boolean): Promise<number> {
  const overview = await readOverview(client);
  if (isJson) await printJson(overview);
  else for (const line of statusLines(overview)) await print(line);
  return EXIT.ok;
}

export function statusLines(overview: ClusterOverview): readonly string[] {
  const { ageMs, node } = overview;
  const old = `as ${node} knew it ${(ageMs / 1_000).toFixed(1)} s ago: its coordinator, or its store, is away`;
  return [...clusterLines(sightOf(overview), "zone"), ...(ageMs > OLD_MS ? [old] : [])];
}

/** Shows the cluster until Ctrl-C, its ordinary end. Waits for a node that is out of reach. */
export async function watchStatus(
  client: NodeClient,
  { isJson, giveUpMs }: { readonly isJson: boolean; readonly giveUpMs: number },
): Promise<number> {
  const interrupted = interruption();
  const ending = new AbortController();
  interrupted.addEventListener("abort", () => ending.abort());
  let failure: Error | undefined;
  const watch = watchReachability(client.address, giveUpMs, (error) => {
    failure = error;
    ending.abort();
  });
  const show = isJson ? lines() : isTerminal() ? drawing() : changes();
  while (!ending.signal.aborted) {
    try {
      await show.update(await readOverview(client));
      watch.onWelcome();
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      watch.onTrouble(error);
    }
    await delay(LOOK_EVERY_MS, undefined, { signal: ending.signal }).catch(() => undefined);
  }
  watch.stop();
  show.close();
  if (failure !== undefined) throw failure;
  return EXIT.ok;
}

interface Show {
  update(overview: ClusterOverview): Promise<void>;
  close(): void;
}

function drawing(): Show {
  const screen = openScreen();
  return {
    update: async (overview) => screen.draw(statusLines(overview)),
    close: () => screen.close(),
  };
}

function changes(): Show {
  let before: ClusterSight | undefined;
  return {
    async update(overview) {
      const sight = sightOf(overview);
      for (const line of changesBetween(before, sight)) await print(line);
      before = sight;
    },
    close() {},
  };
}

/** A line of JSON whenever anything but its age has changed. */
function lines(): Show {
  let said = "";
  return {
    async update(overview) {
      const { ageMs: _, ...rest } = overview;
      const text = JSON.stringify(rest);
      if (text === said) return;
      said = text;
      await printJson(overview);
    },
    close() {},
  };
}
