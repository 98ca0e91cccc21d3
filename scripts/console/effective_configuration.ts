/** The configuration of a command. Flags win over the environment, and the environment wins over the file. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { databaseProblem } from "../../actors/log/redis/redis_connection.ts";
import { loadDriver } from "../../deps.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import {
  checkConfiguration,
  loadConfiguration,
  readConfiguration,
} from "../../supervisors/configuration/configuration.ts";
import type { Configuration } from "../../supervisors/configuration/configuration_schema.ts";
import { DEMO_CONFIGURATION } from "../../supervisors/configuration/demo_configuration.ts";
import { readEnvironment } from "../../supervisors/configuration/environment.ts";
import { KNOWN_KINDS } from "../../supervisors/configuration/known_kinds.ts";
import { portNumber, withoutUser } from "./arguments.ts";
import { DEFAULT_CONFIGURATION } from "./check_file.ts";
import { UsageError } from "./exit_codes.ts";

export interface ConfigurationOptions {
  readonly config?: string;
  readonly port?: string;
  readonly host?: string;
  readonly data?: string;
  readonly name?: string;
  /** Address of the Redis that the nodes of a cluster share, whatever log the file names. */
  readonly cluster?: string;
}

const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/;

/** Throws `ConfigurationError` with every problem of the file. */
export async function effectiveConfiguration(options: ConfigurationOptions): Promise<Configuration> {
  const file = options.config ?? (existsSync(DEFAULT_CONFIGURATION) ? DEFAULT_CONFIGURATION : undefined);
  const base = await baseOf(file, options.cluster);
  const environment = readEnvironment();
  const data = options.data ?? environment.data ?? base.node.data;
  const folder =
    file === undefined || options.data !== undefined || environment.data !== undefined ? "." : dirname(file);
  return {
    ...base,
    node: {
      ...base.node,
      ...(options.name === undefined ? {} : { name: nodeName(options.name) }),
      host: options.host ?? base.node.host,
      port: options.port === undefined ? (environment.port ?? base.node.port) : portNumber("--port", options.port),
      data: resolve(folder, data),
    },
  };
}

async function baseOf(file: string | undefined, cluster: string | undefined): Promise<Configuration> {
  if (file !== undefined && cluster === undefined) return await loadConfiguration(file, KNOWN_KINDS);
  const text = file === undefined ? DEMO_CONFIGURATION : await readConfiguration(file);
  const folder = file === undefined ? "." : dirname(resolve(file));
  const effective = cluster === undefined ? text : await inCluster(text, redisUrl(cluster));
  const loaded = await checkConfiguration(effective, folder, KNOWN_KINDS);
  if (loaded.kind === "loaded") return loaded.configuration;
  const reasons = loaded.problems.map(({ path, reason }) => `${file ?? "the demo"}: ${path}: ${reason}`);
  throw new ConfigurationError("INVALID_CONFIGURATION", reasons.join("\n"));
}

/** Puts the Redis of a cluster into the text of a configuration, before it is checked. */
async function inCluster(text: string, url: string): Promise<string> {
  const { isMap, parseDocument } = await loadDriver("yaml");
  const document = parseDocument(text);
  if (document.errors.length > 0) return text; // The check reports the errors with their lines.
  if (!isMap(document.get("log"))) document.set("log", document.createNode({}));
  document.setIn(["log", "type"], "redis");
  for (const elsewhere of ["urls", "sentinel"]) document.deleteIn(["log", elsewhere]);
  document.setIn(["log", "url"], url);
  if (!isMap(document.get("cluster"))) document.set("cluster", document.createNode({}));
  return String(document);
}

function redisUrl(text: string): string {
  if (URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol)) {
    const reason = databaseProblem(text);
    if (reason === undefined) return text;
    throw new UsageError(`Cannot use --cluster as ${reason}`);
  }
  throw new UsageError(
    `Cannot use ${withoutUser(text)} as the Redis of a cluster as it must begin with redis:// or rediss://`,
  );
}

function nodeName(text: string): string {
  if (NODE_NAME.test(text)) return text;
  throw new UsageError(
    `Cannot use --name ${text} as it must begin with a letter or digit and have letters, digits, _, . and - only, 100 at most`,
  );
}
