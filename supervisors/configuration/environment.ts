/** The only file that reads the environment: variables that override the configuration, and secrets that it names. */
import { readFile } from "node:fs/promises";
import { ConfigurationError } from "../../protocols/errors.ts";

export interface EnvironmentSettings {
  readonly port: number | undefined;
  readonly data: string | undefined;
  readonly logLevel: string | undefined;
  /** The address at which commands reach a node. */
  readonly address: string | undefined;
  /** The token that commands show to the node. */
  readonly token: string | undefined;
}

/**
 * Reads `HEADRACE_PORT`, `HEADRACE_DATA`, `HEADRACE_LOG_LEVEL`, `HEADRACE_ADDRESS` and `HEADRACE_TOKEN`. Throws
 * `ConfigurationError` for an invalid port.
 */
export function readEnvironment(): EnvironmentSettings {
  const { HEADRACE_PORT: port, HEADRACE_DATA: data, HEADRACE_LOG_LEVEL: logLevel } = process.env;
  const { HEADRACE_ADDRESS: address, HEADRACE_TOKEN: token } = process.env;
  return { port: port === undefined ? undefined : portNumber(port), data, logLevel, address, token };
}

function portNumber(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot use HEADRACE_PORT as it must be a port from 0 to 65535: current value is ${text}`,
  );
}

/** The value of a variable that a text of the configuration names. */
export const environmentVariable = (name: string): string | undefined => process.env[name];

/** The place of a secret: one of both. */
interface SecretPlace {
  readonly file?: string | undefined;
  readonly variable?: string | undefined;
}

/** Reads a secret from a file or from the environment; never from the configuration's own text. */
export type ReadSecret = (place: SecretPlace) => Promise<string>;

/** A secret from a file (its trailing newline removed) or from an environment variable. Never logged. */
export async function readSecret({ file, variable = "" }: SecretPlace): Promise<string> {
  const name = file ?? `$${variable}`;
  const value = file === undefined ? process.env[variable] : await readFile(file, "utf8").catch(() => undefined);
  const secret = value?.replace(/\r?\n$/, "");
  if (secret !== undefined && secret.length > 0) return secret;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot read a secret as ${name} must hold one: it is missing or empty`,
  );
}
