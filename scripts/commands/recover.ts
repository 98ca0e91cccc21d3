/**
 * `headrace recover`: for a node whose store is not the one that it knew (E22). A node never accepts an emptied store
 * by itself: a person who knows about the loss must accept it here.
 */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { HeadraceError } from "../../protocols/errors.ts";
import type { Configuration } from "../../supervisors/configuration/configuration_schema.ts";
import { clusterIdFile, openLog } from "../../supervisors/node/open_log.ts";
import { type ConfigurationOptions, effectiveConfiguration } from "../console/effective_configuration.ts";
import { EXIT } from "../console/exit_codes.ts";
import { print, printJson } from "../console/output.ts";

interface RecoverOptions extends ConfigurationOptions {
  readonly acceptLoss?: boolean;
  readonly json?: boolean;
}

const CONSEQUENCES = `
What was acknowledged and is not in the store any more is lost. First look whether it can be had back: another Redis at
log.url, an append-only file that was moved, a replica that was not promoted; for the embedded log a volume that is not mounted,
or a data.mdb that was moved; a backup (headrace restore).
If it cannot: headrace recover --accept-loss takes the store as it is. Then
- nodes with this data folder start, and those that wait go on by themselves within seconds;
- producers resend what they still hold; what they do not hold any more they declare lost, and it is counted;
- sinks that are past the end of the log are told so, and go on with what comes;
- file sinks touch nothing that was published before, and wait until their folder is moved away, or another is named.`;

export function addRecover(program: Command): void {
  program
    .command("recover")
    .description("Tell whether the store was lost, and accept it.")
    .option("-c, --config <file>", "configuration of the node")
    .option("--data <folder>", "data folder of the node (also HEADRACE_DATA)")
    .option("--accept-loss", "take the store as it is, though what it held is gone")
    .option("--json", "print what was found as one line of JSON")
    .addHelpText(
      "after",
      `
A node remembers the id of the store that its cluster uses, and the folder of an embedded log the id of its log. A store without
it, or with another, is STORE_LOST: nothing is accepted until the right store is back, or the loss is.
${CONSEQUENCES}

Examples:
  headrace recover --config headrace.yaml
  headrace recover --config headrace.yaml --accept-loss`,
    )
    .action(async (options: RecoverOptions) => {
      process.exitCode = await recover(options);
    });
}

async function recover(options: RecoverOptions): Promise<number> {
  const configuration = await effectiveConfiguration(options);
  const isJson = options.json === true;
  const { data } = configuration.node;
  const idFile = clusterIdFile(configuration);
  if (idFile === undefined) {
    const detail = "a log of type memory ends with its node: there is no store to lose, and nothing to recover";
    return await tell({ state: "sound", detail }, isJson, EXIT.ok);
  }
  if (!existsSync(idFile)) {
    // Opening the store here would register this folder as one of its nodes.
    const detail = `no node with the data folder ${data} has used a store yet (--data names another)`;
    return await tell({ state: "unknown", detail }, isJson, EXIT.usage);
  }
  const loss = await lossOf(configuration);
  if (loss === undefined) return await tell({ state: "sound", detail: "the store is the one known" }, isJson, EXIT.ok);
  if (options.acceptLoss !== true) {
    const detail = isJson ? loss : `${loss}\n${CONSEQUENCES}`;
    return await tell({ state: "lost", detail }, isJson, EXIT.unavailable);
  }
  const log = await openLog(configuration, { acceptLoss: true });
  await log.close();
  return await tell(
    { state: "accepted", detail: "the loss is accepted: the store is taken as it is" },
    isJson,
    EXIT.ok,
  );
}

/** Why the store is not the one that the node knew; undefined if it is that one. */
async function lossOf(configuration: Configuration): Promise<string | undefined> {
  try {
    const log = await openLog(configuration);
    await log.close();
    return undefined;
  } catch (error) {
    if (error instanceof HeadraceError && error.code === "STORE_LOST") return error.message;
    throw error;
  }
}

async function tell(
  finding: { readonly state: string; readonly detail: string },
  isJson: boolean,
  code: number,
): Promise<number> {
  if (isJson) await printJson(finding);
  else await print(`${finding.state}: ${finding.detail}`);
  return code;
}
