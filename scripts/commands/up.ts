/** `headrace up`: runs a node until it is told to stop. */
import type { Command } from "commander";
import { createNodeLog, type NodeLog } from "../../actors/observers/node_log.ts";
import type { Configuration } from "../../supervisors/configuration/configuration_schema.ts";
import { readSecret } from "../../supervisors/configuration/environment.ts";
import { createPage } from "../../supervisors/http/page.ts";
import { type RunningNode, startNode } from "../../supervisors/node/node.ts";
import { DEFAULT_CONFIGURATION } from "../console/check_file.ts";
import { type ConfigurationOptions, effectiveConfiguration } from "../console/effective_configuration.ts";
import { EXIT } from "../console/exit_codes.ts";
import { outliveOutput, print, printAside, printJson } from "../console/output.ts";

/** Time for draining, in ms. After it the work left is listed, and the exit code is 75 (EX_TEMPFAIL). */
const STOP_WITHIN_MS = 9_000;
/** Time for a start to end after a signal to stop, in ms, so that the node can be stopped in order. */
const START_WITHIN_MS = 2_000;
/**
 * A second signal forces the end only after this time, in ms, as a terminal sends Ctrl-C to npm and to the node at
 * once.
 */
const FORCE_AFTER_MS = 1_000;

/** The words that run the command from here: npx finds no program in a checkout. */
const COMMAND = import.meta.url.endsWith(".ts") ? "npm run -s headrace --" : "npx headrace";

interface UpOptions extends ConfigurationOptions {
  readonly untilInputEnds?: boolean;
  readonly json?: boolean;
}

export function addUp(program: Command): void {
  program
    .command("up")
    .description("Start a node.")
    .option("-c, --config <file>", `configuration (default: ./${DEFAULT_CONFIGURATION}, or a demo where there is none)`)
    .option("-p, --port <port>", "port of HTTP and WebSocket (also HEADRACE_PORT)")
    .option("--host <address>", "address to listen on")
    .option("--data <folder>", "folder of the embedded log and of what sinks keep (also HEADRACE_DATA)")
    .option("--name <node>", "name of the node: one configuration serves many nodes")
    .option("--cluster <url>", "be a node of the cluster that shares this Redis, whatever log the configuration names")
    .option("--until-input-ends", "stop when standard input ends: for programs that start nodes")
    .option("--json", "print what was started as one line of JSON")
    .addHelpText(
      "after",
      `
Examples:
  headrace up
  headrace up --config headrace.yaml --port 8080
  headrace up --cluster redis://127.0.0.1:6379 --name node-2 --port 7071 --data /var/lib/headrace-2`,
    )
    .action(up);
}

async function up(options: UpOptions): Promise<void> {
  outliveOutput();
  const configuration = await effectiveConfiguration(options);
  const name = configuration.node.name ?? "node";
  const log = await createNodeLog(configuration.node.logLevel, name);
  const readSecurity = async () => (await effectiveConfiguration(options)).security;
  const starting = startNode({ configuration, log, readSecret, readSecurity, page: createPage() });
  const stop = stopOnSignals(starting, log);
  const node = await starting;
  reloadOnHangUp(node);
  if (options.untilInputEnds === true) process.stdin.resume().once("close", () => stop("end of input"));
  try {
    await node.ready;
  } catch (error) {
    await node.stop(STOP_WITHIN_MS);
    throw error;
  }
  await announce(node, configuration, options);
}

async function announce(node: RunningNode, configuration: Configuration, options: UpOptions): Promise<void> {
  const kept = configuration.log.type === "lmdb" ? configuration.node.data : configuration.log.type;
  const streams = Object.keys(configuration.streams);
  if (options.json === true) {
    return await printJson({ node: node.name, address: node.address, data: kept, streams });
  }
  const stream = streams.includes("events") ? "events" : (streams[0] ?? "events");
  await print([
    `Headrace is up: ${node.address}/`,
    "",
    `  send an event   curl -d '{"hello":"world"}' -H 'content-type: application/json' ${node.address}/v1/streams/${stream}/events`,
    `  follow it       ${COMMAND} tail ${stream} --address ${node.address}`,
    `  data is kept in ${kept}`,
    "",
  ]);
}

/** SIGHUP reloads a node, except in a terminal: a terminal that closes sends SIGHUP, which ends the node. */
function reloadOnHangUp(node: RunningNode): void {
  if (process.stdin.isTTY !== true) process.on("SIGHUP", () => void node.reload("SIGHUP"));
}

/** Stops the node on a signal, also cleanly while it starts. */
function stopOnSignals(starting: Promise<RunningNode>, log: NodeLog): (why: string) => void {
  let stoppingSinceMs: number | undefined;
  const stop = (signal: string) => {
    if (stoppingSinceMs !== undefined) {
      if (Date.now() - stoppingSinceMs > FORCE_AFTER_MS) process.exit(EXIT.leftUndone);
      return;
    }
    stoppingSinceMs = Date.now();
    log("info", "stopping", { signal });
    // A node that has not started holds no events, and may wait for its store for ever.
    const given = setTimeout(() => process.exit(0), START_WITHIN_MS);
    const stopping = starting.then((node) => {
      clearTimeout(given);
      return node.stop(STOP_WITHIN_MS);
    });
    stopping.then(
      (left) => {
        if (left.length > 0) printAside(["headrace: stopped with work left:", ...left.map((one) => `  ${one}`)]);
        process.exit(left.length === 0 ? 0 : EXIT.leftUndone);
      },
      () => undefined, // the failed start reports its own reason
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  return stop;
}
