/** Begins a replay that the node itself delivers, and follows it until it is done. */
import { setTimeout as delay } from "node:timers/promises";
import { type HeadraceError, UnavailableError } from "../../../protocols/errors.ts";
import type { ReplayDescription } from "../../../supervisors/replay/replays.ts";
import type { Place } from "../arguments.ts";
import { EXIT } from "../exit_codes.ts";
import type { NodeClient } from "../node_client.ts";
import { interruption, print, printJson, remark } from "../output.ts";
import { type Progress, startProgress } from "../progress.ts";
import { type Reachability, watchReachability } from "../reachability.ts";

const LOOK_EVERY_MS = 200;

/** The body of `POST /v1/replays`. */
export interface NodeReplay {
  readonly name: string;
  readonly stream: string;
  readonly channel: string;
  readonly from: Place;
  readonly to: Place;
  readonly partitions?: readonly number[];
  readonly sink?: string;
  readonly pipeline?: string;
  readonly isDryRun: boolean;
}

const pathOf = (name: string): string => `/v1/replays/${encodeURIComponent(name)}`;

export async function followReplay(
  client: NodeClient,
  request: NodeReplay,
  { isJson, giveUpMs }: { readonly isJson: boolean; readonly giveUpMs: number },
): Promise<number> {
  const begun = await client.post<ReplayDescription>("/v1/replays", request);
  if (request.isDryRun) {
    await tell(begun, isJson, true);
    return EXIT.ok;
  }
  const interrupted = interruption();
  const ending = new AbortController();
  interrupted.addEventListener("abort", () => ending.abort());
  let failure: HeadraceError | undefined;
  const watch = watchReachability(client.address, giveUpMs, (error) => {
    failure = error;
    ending.abort();
  });
  const progress = await startProgress({ label: "replay", total: begun.records, unit: "records", isSilent: isJson });
  try {
    const ended = await untilEnded(client, begun, { progress, watch, isJson }, ending.signal);
    if (ended !== undefined) {
      progress.stop();
      await tell(ended, isJson, false);
      return exitOf(ended);
    }
  } finally {
    progress.stop();
    watch.stop();
  }
  if (failure !== undefined) throw failure;
  remark(
    `the replay ${begun.name} goes on in the node: run the command again to follow it, or with --cancel to end it`,
  );
  return EXIT.interrupted;
}

export async function cancelReplay(client: NodeClient, name: string, isJson: boolean): Promise<number> {
  await tell(await client.remove<ReplayDescription>(pathOf(name)), isJson, false);
  return EXIT.ok;
}

interface Following {
  readonly progress: Progress;
  readonly watch: Reachability;
  readonly isJson: boolean;
}

/** Waits for the end of the replay. Undefined if `signal` aborts first. */
async function untilEnded(
  client: NodeClient,
  begun: ReplayDescription,
  { progress, watch, isJson }: Following,
  signal: AbortSignal,
): Promise<ReplayDescription | undefined> {
  let at = begun;
  let said: string | undefined;
  while (at.state === "running") {
    progress.update(at.doneRecords, at.doneRecords);
    const [waiting] = at.waiting;
    if (waiting !== undefined && waiting.reason !== said && !isJson) {
      remark(`sink ${waiting.sink}, partition ${waiting.partition}: ${waiting.reason}`);
      said = waiting.reason;
    }
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return undefined;
    try {
      at = await client.get<ReplayDescription>(pathOf(begun.name));
      watch.onWelcome();
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      watch.onTrouble(error);
    }
  }
  return at;
}

function exitOf({ state, deadLetters, skippedLetters }: ReplayDescription): number {
  if (state === "cancelled") return EXIT.leftUndone;
  return deadLetters + skippedLetters > 0 ? EXIT.data : EXIT.ok;
}

async function tell(replay: ReplayDescription, isJson: boolean, isDryRun: boolean): Promise<void> {
  if (isJson) return await printJson({ kind: "summary", ...replay, isDryRun });
  const { name, stream, sink, pipeline, state, records, doneRecords, deliveredRecords, deadLetters, skippedLetters } =
    replay;
  const into = sink === undefined ? `pipeline ${pipeline}` : `sink ${sink}`;
  if (isDryRun) return await print(`${stream}: ${records} records would be replayed into ${into}`);
  const skipped = skippedLetters === 0 ? "" : `, ${skippedLetters} letters that cannot be sent again`;
  await print(
    `${stream} into ${into}, as ${name}: ${state}, ${doneRecords} of ${records} records: ${deliveredRecords} delivered, ${deadLetters} set aside${skipped}`,
  );
}
