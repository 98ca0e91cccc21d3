import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { createNodeLog } from "../../actors/observers/node_log.ts";
import { checkConfiguration, loadConfiguration } from "../../supervisors/configuration.ts";
import type { Configuration } from "../../supervisors/configuration_schema.ts";
import { DEMO_CONFIGURATION } from "../../supervisors/demo_configuration.ts";
import { readEnvironment, readSecret } from "../../supervisors/environment.ts";
import { KNOWN_KINDS } from "../../supervisors/known_kinds.ts";
import { type RunningNode, startNode } from "../../supervisors/node.ts";
import { createPage } from "../../supervisors/page.ts";

const DEFAULT_FILE = "headrace.yaml";
/** What was taken is drained within this time; what is left is said, and the exit code is 75 (EX_TEMPFAIL). */
const STOP_WITHIN_MS = 9_000;
const EXIT_LEFT_UNDONE = 75;
/** A second signal forces the end only after this: a terminal sends Ctrl-C to npm and to the node at once. */
const FORCE_AFTER_MS = 1_000;

interface UpOptions {
  readonly config?: string;
  readonly port?: string;
  readonly host?: string;
  readonly data?: string;
  readonly json?: boolean;
}

export function addUp(program: Command): void {
  program
    .command("up")
    .description("Start a node.")
    .option("-c, --config <file>", `configuration (default: ./${DEFAULT_FILE}, or a demo where there is none)`)
    .option("-p, --port <port>", "port of HTTP and WebSocket (also HEADRACE_PORT)")
    .option("--host <address>", "address to listen on")
    .option("--data <folder>", "folder of the embedded log (also HEADRACE_DATA)")
    .option("--json", "print what was started as one line of JSON")
    .addHelpText("after", "\nExamples:\n  headrace up\n  headrace up --config headrace.yaml --port 8080")
    .action(up);
}

async function up(options: UpOptions): Promise<void> {
  const configuration = await configure(options);
  const name = configuration.node.name ?? "node";
  const log = await createNodeLog(configuration.node.logLevel, name);
  const node = await startNode({ configuration, log, readSecret, page: createPage() });
  stopOnSignals(node, log);
  try {
    await node.ready;
  } catch (error) {
    await node.stop(STOP_WITHIN_MS);
    throw error;
  }
  announce(node, configuration, options);
}

/** The file, then the environment, then the flags: the later wins. */
async function configure(options: UpOptions): Promise<Configuration> {
  const file = options.config ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : undefined);
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
      port: Number(options.port ?? environment.port ?? base.node.port),
      data: resolve(folder, data),
    },
  };
}

async function demo(): Promise<Configuration> {
  const loaded = await checkConfiguration(DEMO_CONFIGURATION, ".", KNOWN_KINDS);
  if (loaded.kind === "loaded") return loaded.configuration;
  throw new Error(`the demo's configuration is not valid: ${JSON.stringify(loaded.problems)}`);
}

function announce(node: RunningNode, configuration: Configuration, options: UpOptions): void {
  const kept = configuration.log.type === "lmdb" ? configuration.node.data : configuration.log.type;
  const streams = Object.keys(configuration.streams);
  if (options.json === true) {
    console.log(JSON.stringify({ node: node.name, address: node.address, data: kept, streams }));
    return;
  }
  const stream = streams.includes("events") ? "events" : (streams[0] ?? "events");
  console.log(`Headrace is up: ${node.address}/

  send an event   curl -d '{"hello":"world"}' -H 'content-type: application/json' ${node.address}/v1/streams/${stream}/events
  follow it       npx headrace tail ${streams[0] ?? stream} --address ${node.address}
  data is kept in ${kept}
`);
}

function stopOnSignals(node: RunningNode, log: Awaited<ReturnType<typeof createNodeLog>>): void {
  let stoppingSinceMs: number | undefined;
  const onSignal = (signal: NodeJS.Signals) => {
    if (stoppingSinceMs !== undefined) {
      if (Date.now() - stoppingSinceMs > FORCE_AFTER_MS) process.exit(EXIT_LEFT_UNDONE);
      return;
    }
    stoppingSinceMs = Date.now();
    log("info", "stopping", { signal });
    void node.stop(STOP_WITHIN_MS).then((left) => {
      if (left.length > 0) console.error(`headrace: stopped with work left:\n  ${left.join("\n  ")}`);
      process.exit(left.length === 0 ? 0 : EXIT_LEFT_UNDONE);
    });
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}
