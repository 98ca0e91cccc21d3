/** `headrace cluster drain`: asks the coordinator, and follows until the node owns no partition. */
import { setTimeout as delay } from "node:timers/promises";
import { type HeadraceError, UnavailableError } from "../../../protocols/errors.ts";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import { EXIT } from "../exit_codes.ts";
import type { NodeClient } from "../node_client.ts";
import { interruption, print, printJson, remark } from "../output.ts";
import { startProgress } from "../progress.ts";
import { watchReachability } from "../reachability.ts";
import { readOverview } from "./cluster_status.ts";
import { counted } from "./cluster_text.ts";

const LOOK_EVERY_MS = 200;

export interface DrainOptions {
  readonly isJson: boolean;
  readonly isAwaited: boolean;
  readonly giveUpMs: number;
}

/** How many partitions the node owns, by the partitions' owners. */
const ownedBy = ({ partitions }: ClusterOverview, node: string): number =>
  partitions.filter(({ owner }) => owner === node).length;

/** The state of a drain. A node that has left owns nothing; for a node that is ready again the drain was called off. */
export function judgeDrain(
  overview: ClusterOverview,
  node: string,
  wasDraining: boolean,
): "under way" | "done" | "called off" {
  const state = overview.nodes.find(({ name }) => name === node)?.state;
  if (state === "ready") return wasDraining ? "called off" : "under way";
  return ownedBy(overview, node) === 0 ? "done" : "under way";
}

export async function drain(client: NodeClient, node: string, options: DrainOptions): Promise<number> {
  const { isJson } = options;
  // Signals are caught before the command is given, so that an interruption is reported correctly.
  const interrupted = interruption();
  const before = ownedBy(await readOverview(client), node);
  await client.post(`/v1/cluster/nodes/${encodeURIComponent(node)}/drain`, undefined);
  if (!options.isAwaited) {
    if (isJson) await printJson({ kind: "summary", node, state: "draining", partitions: before });
    else await print(`${node} is told to drain: ${counted(before, "partition")} to move`);
    return EXIT.ok;
  }
  const { outcome, left } = await follow(client, node, { before, interrupted, ...options });
  const moved = Math.max(0, before - left);
  if (isJson) await printJson({ kind: "summary", node, state: outcome, partitions: left, moved });
  switch (outcome) {
    case "done":
      if (!isJson) await print(`${node} owns nothing any more: ${counted(moved, "partition")} moved away`);
      return EXIT.ok;
    case "called off":
      remark(`the drain was called off: ${node} still owns ${counted(left, "partition")}`);
      return EXIT.leftUndone;
    case "interrupted":
      remark(`the drain goes on: ${node} still owns ${counted(left, "partition")} (headrace cluster undrain ends it)`);
      return EXIT.interrupted;
  }
}

interface Following extends DrainOptions {
  readonly before: number;
  readonly interrupted: AbortSignal;
}

interface Followed {
  readonly outcome: "done" | "called off" | "interrupted";
  readonly left: number;
}

async function follow(
  client: NodeClient,
  node: string,
  { before, interrupted, isJson, giveUpMs }: Following,
): Promise<Followed> {
  const ending = new AbortController();
  if (interrupted.aborted) ending.abort();
  interrupted.addEventListener("abort", () => ending.abort());
  let failure: HeadraceError | undefined;
  const watch = watchReachability(client.address, giveUpMs, (error) => {
    failure = error;
    ending.abort();
  });
  const progress = await startProgress({ label: "drain", total: before, unit: "partitions", isSilent: isJson });
  let left = before;
  let wasDraining = false;
  try {
    while (!ending.signal.aborted) {
      try {
        const overview = await readOverview(client);
        watch.onWelcome();
        left = ownedBy(overview, node);
        progress.update(before - left, before - left);
        const standing = judgeDrain(overview, node, wasDraining);
        if (standing !== "under way") return { outcome: standing, left };
        wasDraining ||= overview.nodes.some(({ name, state }) => name === node && state === "draining");
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error;
        watch.onTrouble(error);
      }
      await delay(LOOK_EVERY_MS, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  } finally {
    progress.stop();
    watch.stop();
  }
  if (failure !== undefined) throw failure;
  return { outcome: "interrupted", left };
}
