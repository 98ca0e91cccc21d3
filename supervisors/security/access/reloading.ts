/** Reads credentials again on request and when a file changes. Unusable ones are logged once; the old stay in force. */
import { stat } from "node:fs/promises";
import type { Timer } from "../../../actors/kernel/actor.ts";
import type { NodeLog } from "../../../actors/observers/node_log.ts";
import { reasonOf } from "../../../protocols/errors.ts";
import type { SecurityConfiguration } from "../../configuration/configuration_schema.ts";

/** Time between two looks at the files, in ms. */
export const FILES_LOOKED_AT_EVERY_MS = 2_000;

export interface ReloadingOptions {
  /** The files that the current security section names. */
  readonly files: () => readonly string[];
  /** Reads all files again, and answers how many grants ended. Throws if the files cannot be used. */
  readonly read: () => Promise<number>;
  readonly log: NodeLog;
  /** Called with every outcome. */
  readonly onReloaded: (outcome: ReloadOutcome) => void;
  setTimer(delayMs: number, callback: () => void): Timer;
}

export type ReloadOutcome =
  | { readonly kind: "reloaded"; readonly why: string; readonly grantsEnded: number }
  | { readonly kind: "refused"; readonly why: string; readonly reason: string };

export interface Reloading {
  /** Reads the credentials now. @param why the reason, for the log */
  now(why: string): Promise<ReloadOutcome>;
  stop(): void;
}

export async function startReloading(options: ReloadingOptions): Promise<Reloading> {
  let seen = await signatureOf(options.files());
  let isOver = false;
  let timer: Timer | undefined;
  // One at a time: an older read never replaces a newer one.
  let last: Promise<unknown> = Promise.resolve();
  const reload = (why: string): Promise<ReloadOutcome> => {
    const next = last.then(() => readAgain(options, why));
    last = next;
    return next;
  };
  const look = async (): Promise<void> => {
    const signature = await signatureOf(options.files());
    if (signature !== seen) {
      seen = signature;
      await reload("a file has changed");
    }
    lookLater();
  };
  const lookLater = () => {
    if (isOver) return;
    timer = options.setTimer(FILES_LOOKED_AT_EVERY_MS, () => void look());
  };
  lookLater();
  return {
    async now(why) {
      const outcome = await reload(why);
      seen = await signatureOf(options.files());
      return outcome;
    },
    stop() {
      isOver = true;
      timer?.cancel();
    },
  };
}

async function readAgain({ read, log, onReloaded }: ReloadingOptions, why: string): Promise<ReloadOutcome> {
  const outcome = await read().then(
    (grantsEnded): ReloadOutcome => ({ kind: "reloaded", why, grantsEnded }),
    (error): ReloadOutcome => ({ kind: "refused", why, reason: reasonOf(error) }),
  );
  if (outcome.kind === "reloaded") log("info", "read tokens, keys and certificates again", { ...outcome });
  else log("error", "kept the tokens, keys and certificates that were read before", { ...outcome });
  onReloaded(outcome);
  return outcome;
}

/** The files that a reload reads. Their changes are seen through links and renames too. */
export function filesOf({ tokens, jwt, tls }: SecurityConfiguration): readonly string[] {
  const files = [
    ...tokens.map(({ valueFile }) => valueFile),
    ...[jwt?.secretFile, jwt?.publicKeyFile],
    ...[tls?.certificateFile, tls?.keyFile, tls?.clientCaFile],
  ];
  return files.filter((file) => file !== undefined);
}

async function signatureOf(files: readonly string[]): Promise<string> {
  const parts = files.map(async (file) => {
    const found = await stat(file, { bigint: true }).catch(() => undefined); // a missing file is a state like any other
    return found === undefined ? "none" : `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
  });
  return (await Promise.all(parts)).join("\n");
}
