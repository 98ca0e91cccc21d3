/** Starts the process of one node of a local cluster, and waits until it is up. Leaves its ports and its name to the cluster. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import { type LocalProcess, startProcess } from "./local_process.ts";

/** Time for a node to end, in ms. It drains for at most 9 s. */
export const STOP_NODE_WITHIN_MS = 15_000;
const UP_WITHIN_MS = 60_000;
/** The arguments that npm start gives. */
const NODE_ARGUMENTS = ["--max-semi-space-size=64"];

export interface NodeSettings {
  readonly name: string;
  readonly port: number;
  readonly folder: string;
  readonly configFile: string;
  readonly redisUrl: string;
}

export function startNodeProcess({ name, port, folder, configFile, redisUrl }: NodeSettings): Promise<LocalProcess> {
  const entry = fileURLToPath(
    new URL(`../../headrace${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url),
  );
  return startProcess({
    program: process.execPath,
    args: [
      ...process.execArgv,
      ...NODE_ARGUMENTS,
      ...[entry, "up", "--json", "--until-input-ends"],
      ...["--config", configFile, "--cluster", redisUrl, "--name", name],
      // One folder for all nodes, as the next owner of a partition must find the files of its sinks.
      ...["--port", String(port), "--data", join(folder, "data")],
    ],
    logFile: join(folder, `${name}.log`),
    hasInput: true,
  });
}

/** The address that the node announces. Ends a node that does not come up, and throws the reason. */
export async function addressOnceUp(name: string, started: LocalProcess): Promise<string> {
  const waiting = new AbortController();
  const announced = await Promise.race([
    started.firstJson,
    started.ended.then(() => undefined),
    delay(UP_WITHIN_MS, undefined, { signal: waiting.signal }).catch(() => undefined),
  ]);
  waiting.abort();
  if (announced !== undefined) return (announced as { readonly address: string }).address;
  const { ending } = started;
  await started.stop(STOP_NODE_WITHIN_MS);
  const how = ending === undefined ? `it was not within ${UP_WITHIN_MS} ms` : `it ended with ${ending}`;
  const message = `Cannot start ${name} as it must come up: ${how}\n${await started.tail()}`;
  if (ending === "exit code 78") throw new ConfigurationError("INVALID_CONFIGURATION", message);
  throw new UnavailableError("NOT_READY", message);
}
