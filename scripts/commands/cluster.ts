/** `headrace cluster`: shows nodes, owners and decisions, and gives the coordinator commands. */
import type { Command } from "commander";
import type { Decision, Trigger } from "../../supervisors/cluster/cluster.ts";
import type { Explanation } from "../../supervisors/cluster/overview.ts";
import { duration, oneOf, wholeNumber } from "../console/arguments.ts";
import { drain } from "../console/cluster/cluster_drain.ts";
import { tellStatus, watchStatus } from "../console/cluster/cluster_status.ts";
import { counted } from "../console/cluster/cluster_text.ts";
import { UsageError } from "../console/exit_codes.ts";
import { commandLocalCluster, type LocalOptions } from "../console/local_cluster/local_cluster_commands.ts";
import { LOCAL_CLUSTER_FOLDER } from "../console/local_cluster/local_cluster_state.ts";
import { addNodeOptions, type NodeOptions, nodeClient } from "../console/node_client.ts";
import { print, printJson } from "../console/output.ts";

const KILL_SIGNALS = ["SIGKILL", "SIGTERM", "SIGSTOP", "SIGCONT"] as const;

interface JsonOptions {
  readonly json?: boolean;
}

export function addCluster(program: Command): void {
  const cluster = program
    .command("cluster")
    .description("Tell who is in the cluster and owns what, and steer it.")
    .addHelpText(
      "after",
      `
Any node answers for the whole cluster. Commands need a token with the scope admin, where tokens are configured.

Examples:
  headrace cluster status --watch
  headrace cluster status --address http://127.0.0.1:7071 --json
  headrace cluster drain node-2 && echo "node-2 may be stopped"
  headrace cluster drain node-2 --no-wait
  headrace cluster explain orders/3
  headrace cluster decisions --limit 5
  headrace cluster kill-node node-2 --yes --signal SIGSTOP`,
    );
  addStatus(cluster);
  addDrains(cluster);
  addRebalance(cluster);
  addReasons(cluster);
  addLocal(cluster);
}

const JSON_OPTION = ["--json", "print lines of JSON"] as const;
const GIVE_UP = ["--give-up <duration>", "end when no node could be reached for so long", "30s"] as const;

function addStatus(cluster: Command): void {
  addNodeOptions(cluster.command("status", { isDefault: true }).description("Nodes, what they own, and what moves."))
    .option("-w, --watch", "go on, and show changes as they happen, until Ctrl-C")
    .option(...GIVE_UP)
    .option(...JSON_OPTION)
    .action(async (options: NodeOptions & JsonOptions & { readonly watch?: boolean; readonly giveUp: string }) => {
      const giveUpMs = duration("--give-up", options.giveUp);
      const client = await nodeClient(options);
      const isJson = options.json === true;
      process.exitCode =
        options.watch === true ? await watchStatus(client, { isJson, giveUpMs }) : await tellStatus(client, isJson);
    });
}

type DrainCommandOptions = NodeOptions & JsonOptions & { readonly wait: boolean; readonly giveUp: string };

function addDrains(cluster: Command): void {
  addNodeOptions(
    cluster
      .command("drain")
      .description("Move everything away from a node, and wait until it owns nothing.")
      .argument("<node>", "name of the node"),
  )
    .option("--no-wait", "only tell the coordinator")
    .option(...GIVE_UP)
    .option(...JSON_OPTION)
    .action(async (node: string, options: DrainCommandOptions) => {
      const giveUpMs = duration("--give-up", options.giveUp);
      const { json, wait: isAwaited } = options;
      process.exitCode = await drain(await nodeClient(options), node, { isJson: json === true, isAwaited, giveUpMs });
    });
  addNodeOptions(
    cluster.command("undrain").description("Give a node partitions again.").argument("<node>", "name of the node"),
  )
    .option(...JSON_OPTION)
    .action(async (node: string, options: NodeOptions & JsonOptions) => {
      await (await nodeClient(options)).post(`/v1/cluster/nodes/${encodeURIComponent(node)}/undrain`, undefined);
      if (options.json === true) await printJson({ kind: "summary", node, state: "ready" });
      else await print(`${node} may have partitions again`);
    });
}

function addRebalance(cluster: Command): void {
  addNodeOptions(cluster.command("rebalance").description("Even out the load now."))
    .option(...JSON_OPTION)
    .action(async (options: NodeOptions & JsonOptions) => {
      const command = await (await nodeClient(options)).post<object>("/v1/cluster/rebalance", undefined);
      if (options.json === true) await printJson(command);
      else await print("the coordinator looks at the load now: headrace cluster decisions tells what it decided");
    });
}

function addReasons(cluster: Command): void {
  addNodeOptions(
    cluster
      .command("explain")
      .description("Tell why a partition is where it is.")
      .argument("<stream/partition>", "the partition"),
  )
    .option(...JSON_OPTION)
    .action(explain);
  addNodeOptions(cluster.command("decisions").description("What the coordinator decided, newest first."))
    .option("--limit <n>", "most decisions to list", "20")
    .option(...JSON_OPTION)
    .action(async (options: NodeOptions & JsonOptions & { readonly limit: string }) => {
      const limit = wholeNumber("--limit", options.limit, 1);
      const client = await nodeClient(options);
      const { decisions } = await client.get<{ readonly decisions: readonly Decision[] }>(
        `/v1/cluster/decisions?limit=${limit}`,
      );
      if (options.json === true) for (const decision of decisions) await printJson(decision);
      else for (const decision of decisions) await print(decisionText(decision));
      if (decisions.length === 0 && options.json !== true) await print("nothing was decided yet");
    });
}

async function explain(name: string, options: NodeOptions & JsonOptions): Promise<void> {
  const at = name.lastIndexOf("/");
  if (at <= 0) throw new UsageError(`Cannot explain ${name} as it must be a stream and a partition: orders/3`);
  const partition = wholeNumber("partition", name.slice(at + 1));
  const client = await nodeClient(options);
  const path = `/v1/cluster/partitions/${encodeURIComponent(name.slice(0, at))}/${partition}`;
  const explanation = await client.get<Explanation>(path);
  if (options.json === true) return await printJson(explanation);
  const { owner, state, epoch } = explanation.partition;
  const since = epoch === undefined ? "" : `, epoch ${epoch}`;
  await print(`${name}: ${owner ?? "nobody"} (${state}${since})`);
  await print(`  ${explanation.reason}`);
  if (explanation.decision !== undefined) await print(`  decision ${decisionText(explanation.decision)}`);
}

function decisionText({ id, leaderEpoch, atMs, triggers, text, moves }: Decision): string {
  const why = triggers.map(triggerText).join(", ");
  const count = `${counted(moves, "move")}`;
  return `${id}  ${new Date(atMs).toISOString()}  term ${leaderEpoch}  ${count}  ${text}${why === "" ? "" : `  [${why}]`}`;
}

function triggerText(trigger: Trigger): string {
  switch (trigger.kind) {
    case "started":
      return "the coordinator started";
    case "asked":
      return "somebody asked";
    case "skewed":
      return `skew ${trigger.skew.toFixed(2)}`;
    default:
      return `${trigger.node} ${trigger.kind}`;
  }
}

const FOLDER = ["--folder <folder>", "folder of npm run cluster", LOCAL_CLUSTER_FOLDER] as const;
const ADDRESS = ["-a, --address <url>", "address of a node, where several clusters run"] as const;

function addLocal(cluster: Command): void {
  cluster
    .command("add-node")
    .description("Start a further node of the cluster that npm run cluster runs here, or one that is gone.")
    .argument("[name]", "node-1, node-2 ... (default: the next one)")
    .option(...FOLDER)
    .option(...ADDRESS)
    .option(...JSON_OPTION)
    .action(async (name: string | undefined, options: LocalOptions & JsonOptions) => {
      const node = await commandLocalCluster(options, { kind: "add", ...(name === undefined ? {} : { name }) });
      if (options.json === true) await printJson(node);
      else await print(`${node?.name} is up: ${node?.address}/`);
    });
  cluster
    .command("kill-node")
    .description("Kill a node of the cluster that npm run cluster runs here, to see what happens.")
    .argument("<name>", "name of the node")
    .option("--yes", "do it: nothing is drained or said before")
    .option("--signal <signal>", `one of ${KILL_SIGNALS.join(", ")}`, "SIGKILL")
    .option(...FOLDER)
    .option(...ADDRESS)
    .option(...JSON_OPTION)
    .action(async (name: string, options: LocalOptions & JsonOptions & KillOptions) => {
      if (options.yes !== true) {
        throw new UsageError(
          `Cannot kill ${name} as --yes must say that it is meant (headrace cluster drain moves first)`,
        );
      }
      const signal = oneOf("--signal", options.signal, KILL_SIGNALS);
      const node = await commandLocalCluster(options, { kind: "kill", name, signal });
      if (options.json === true) await printJson(node);
      else await print(`${name} is ${node?.state}`);
    });
}

interface KillOptions {
  readonly yes?: boolean;
  readonly signal: string;
}
