/**
 * Runs a cluster on this machine, for trials: a private Redis and nodes, with a live table of nodes and partitions.
 *
 *   npm run cluster -- [--nodes 3] [--port 7070] [--config headrace.yaml] [--folder .headrace/cluster]
 *
 * Ctrl-C ends the nodes, then Redis. The stored data stays in the folder. From another terminal: headrace cluster
 * --help
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { loadDriver } from "../deps.ts";
import { clusterDemoConfiguration } from "../supervisors/configuration/demo_configuration.ts";
import { wholeNumber } from "./console/arguments.ts";
import { EXIT, exitCodeOf, UsageError } from "./console/exit_codes.ts";
import { type LocalCluster, startLocalCluster } from "./console/local_cluster/local_cluster.ts";
import { LOCAL_CLUSTER_FOLDER } from "./console/local_cluster/local_cluster_state.ts";
import { watchLocalCluster } from "./console/local_cluster/local_cluster_watch.ts";
import { complain, outliveOutput, outliveReader, print, remark } from "./console/output.ts";

/** Most nodes: each has mailboxes, connections to all others, and at worst half a gigabyte of memory. */
const NODES_MAX = 16;
const PORT_MAX = 65_535;
const DEMO_FILE = "demo.yaml";

interface Options {
  readonly nodes: string;
  readonly port: string;
  readonly config?: string;
  readonly folder: string;
}

const { Command } = await loadDriver("commander");
const program = new Command("npm run cluster --")
  .description("Start a cluster on this machine: a private Redis and nodes, with a live table.")
  .option("-n, --nodes <n>", `nodes to start, ${NODES_MAX} at most`, "3")
  .option("-p, --port <port>", "port of the first node, the others follow; 0 for any that are free", "7070")
  .option("-c, --config <file>", "configuration of every node (default: a demo): its log and its cluster are this one")
  .option("--folder <folder>", "where Redis and the nodes keep everything", LOCAL_CLUSTER_FOLDER)
  .addHelpText(
    "after",
    "\nFrom another terminal:\n  npm run headrace -- cluster add-node\n  npm run headrace -- cluster kill-node node-2 --yes",
  )
  .showHelpAfterError("(see --help)")
  .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage))
  .action(async (options: Options) => {
    process.exitCode = await run(options);
  });
outliveReader();
outliveOutput();
try {
  await program.parseAsync();
} catch (error) {
  complain(error);
  process.exitCode = exitCodeOf(error);
}

async function run(options: Options): Promise<number> {
  const nodes = wholeNumber("--nodes", options.nodes, 1);
  if (nodes > NODES_MAX) throw new UsageError(`Cannot start ${nodes} nodes as ${NODES_MAX} are the most`);
  const firstPort = wholeNumber("--port", options.port);
  if (firstPort + nodes - 1 > PORT_MAX)
    throw new UsageError(`Cannot use --port ${firstPort} as ${PORT_MAX} is the last`);
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.abort());
  const { folder } = options;
  const configFile = options.config ?? (await writeDemo(folder));
  await print(`starting Redis and ${nodes} nodes in ${folder} ...`);
  let changed = () => {};
  let cluster: LocalCluster;
  try {
    cluster = await startLocalCluster({
      ...{ folder, nodes, firstPort, configFile, signal: ending.signal },
      onChange: () => changed(),
    });
  } catch (error) {
    if (ending.signal.aborted) return EXIT.ok;
    throw error;
  }
  let left: readonly string[] = [];
  try {
    await watchLocalCluster(cluster, ending, (notify) => {
      changed = notify;
    });
  } finally {
    await print("ending the nodes, then Redis ...");
    left = await cluster.stop();
  }
  if (left.length === 0) return EXIT.ok;
  remark(`did not end in time, and was killed: ${left.join(", ")}`);
  return EXIT.leftUndone;
}

async function writeDemo(folder: string): Promise<string> {
  const file = join(folder, DEMO_FILE);
  await mkdir(folder, { recursive: true });
  await writeFile(file, clusterDemoConfiguration(resolve(folder, "archive")));
  return file;
}
