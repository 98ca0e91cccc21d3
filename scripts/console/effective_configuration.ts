/** The configuration that a command acts on: the file, then the environment, then the flags; the later wins. */
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { checkConfiguration, loadConfiguration } from "../../supervisors/configuration.ts";
import type { Configuration } from "../../supervisors/configuration_schema.ts";
import { DEMO_CONFIGURATION } from "../../supervisors/demo_configuration.ts";
import { readEnvironment } from "../../supervisors/environment.ts";
import { KNOWN_KINDS } from "../../supervisors/known_kinds.ts";
import { wholeNumber } from "./arguments.ts";
import { DEFAULT_CONFIGURATION } from "./check_file.ts";

export interface ConfigurationOptions {
  readonly config?: string;
  readonly port?: string;
  readonly host?: string;
  readonly data?: string;
}

/** Throws `ConfigurationError` with every problem of the file. */
export async function effectiveConfiguration(options: ConfigurationOptions): Promise<Configuration> {
  const file = options.config ?? (existsSync(DEFAULT_CONFIGURATION) ? DEFAULT_CONFIGURATION : undefined);
  const base = file === undefined ? await demo() : await loadConfiguration(file, KNOWN_KINDS);
  const environment = readEnvironment();
  const data = options.data ?? environment.data ?? base.node.data;
  const folder =
    file === undefined || options.data !== undefined || environment.data !== undefined ? "." : dirname(file);
  return {
    ...base,
    node: {
      ...base.node,
      host: options.host ?? base.node.host,
      port: options.port === undefined ? (environment.port ?? base.node.port) : wholeNumber("--port", options.port),
      data: resolve(folder, data),
    },
  };
}

async function demo(): Promise<Configuration> {
  const loaded = await checkConfiguration(DEMO_CONFIGURATION, ".", KNOWN_KINDS);
  if (loaded.kind === "loaded") return loaded.configuration;
  throw new Error(`the demo's configuration is not valid: ${JSON.stringify(loaded.problems)}`);
}
