/**
 * `headrace replay`: sends a range of records, rejected events or dead letters into a stream, a sink or a pipeline
 * again. Decides the ranges and the name of the replay. Into a stream this process sends (`stream_replay.ts`). Into a
 * sink or a pipeline the node delivers, and this command follows it (`node_replay.ts`).
 */
import type { Command } from "commander";
import { duration, type Place, place, wholeNumber } from "../console/arguments.ts";
import { UsageError } from "../console/exit_codes.ts";
import { addNodeOptions, type NodeClient, type NodeOptions, nodeClient } from "../console/node_client.ts";
import { remark } from "../console/output.ts";
import { cancelReplay, followReplay, type NodeReplay } from "../console/records/node_replay.ts";
import type { Range } from "../console/records/read_range.ts";
import { replayIntoStream } from "../console/records/stream_replay.ts";

const PRODUCER_ID_LENGTH_MAX = 240;
const NODE_NAME_LENGTH_MAX = 120;

interface ReplayOptions extends NodeOptions {
  readonly intoStream?: string;
  readonly intoSink?: string;
  readonly intoPipeline?: string;
  readonly cancel?: boolean;
  readonly from: string;
  readonly to: string;
  readonly partition?: readonly string[];
  readonly rejected?: boolean;
  readonly deadLetters?: string;
  readonly name?: string;
  readonly dryRun?: boolean;
  readonly showRejected: string;
  readonly giveUp: string;
  readonly json?: boolean;
}

export function addReplay(program: Command): void {
  addNodeOptions(
    program
      .command("replay")
      .description("Send a range of a stream, or what was set aside, into a stream, a sink or a pipeline again.")
      .argument("<stream>", "stream to read"),
  )
    .option("--into-stream <stream>", "stream to send to")
    .option("--into-sink <sink>", "sink (or sink@as) to deliver to, straight")
    .option("--into-pipeline <pipeline>", "pipeline to deliver through: its steps, then its sinks")
    .option("--from <place>", "first record: earliest, an offset, a time, or how long ago", "earliest")
    .option("--to <place>", "end, not included: an offset, a time, how long ago, or latest: the end seen now", "latest")
    .option("--partition <n...>", "partitions to read (default: all)")
    .option("--rejected", "read the events that validation set aside, as they were sent")
    .option("--dead-letters <sink>", "read the records that a sink (or sink@as) set aside")
    .option("--name <name>", "name of the replay (default: made of the stream, the place it begins at and the target)")
    .option("--dry-run", "count what would be sent, and send nothing")
    .option("--cancel", "end a replay into a sink or a pipeline where it is")
    .option("--show-rejected <n>", "rejected events to list", "10")
    .option("--give-up <duration>", "end when no node could be reached for so long", "30s")
    .option("--json", "print what came of it as lines of JSON")
    .addHelpText(
      "after",
      `
A replay of the same name is one producer: run it again, after a break or by mistake, and nothing is written twice within
the target's dedupe window (24 h by default). A relative time makes a new replay each time, and is told as the
time that goes on with it. To send the same records once
more on purpose, give another --name. Events go to the partition of the target's key; without a key, order within a
partition is kept.

Into a sink or a pipeline the node itself delivers (with tokens: scope admin), beside the sink's own delivery and without
moving it: a file sink writes below replay=<name> in its folder. Ctrl-C leaves the replay running; run again, the command
follows it, or continues it up to a later end, and repeats nothing. Dead letters go back the way they came with
--into-pipeline: through the steps if a step had failed, else straight to the sink that had refused them. Of several letters
of one record the newest is sent.

Examples:
  headrace replay orders --from 2026-11-23T10:00:00Z --to 2026-11-23T11:00:00Z --into-stream orders_again
  headrace replay orders --dead-letters warehouse --into-stream orders_retry --dry-run
  headrace replay orders --rejected --into-stream orders
  headrace replay orders --from 2h --into-sink warehouse
  headrace replay orders --dead-letters warehouse --into-pipeline billing`,
    )
    .action(async (stream: string, options: ReplayOptions) => {
      process.exitCode = await replay(stream, options, targetOf(options));
    });
}

type Target = { readonly intoStream: string } | { readonly sink: string } | { readonly pipeline: string };

function targetOf({ intoStream, intoSink, intoPipeline, cancel }: ReplayOptions): Target {
  const named = [
    ...(intoStream === undefined ? [] : [{ intoStream }]),
    ...(intoSink === undefined ? [] : [{ sink: intoSink }]),
    ...(intoPipeline === undefined ? [] : [{ pipeline: intoPipeline }]),
  ];
  const [target] = named;
  if (target === undefined || named.length > 1) {
    throw new UsageError(
      "Cannot replay as exactly one of --into-stream, --into-sink and --into-pipeline must be given",
    );
  }
  if (cancel === true && "intoStream" in target) {
    throw new UsageError("Cannot cancel a replay into a stream as it ends with the command that sends it");
  }
  return target;
}

async function replay(stream: string, options: ReplayOptions, target: Target): Promise<number> {
  const client = await nodeClient(options);
  const ranges = await rangesOf(client, stream, options);
  tellRelative(options, ranges[0]);
  const isJson = options.json === true;
  const giveUpMs = duration("--give-up", options.giveUp);
  if ("intoStream" in target) {
    const { intoStream } = target;
    const name = options.name ?? nameOf(ranges[0], intoStream);
    const rejectedShownMax = wholeNumber("--show-rejected", options.showRejected);
    const isDryRun = options.dryRun === true;
    const asked = { name, stream, intoStream, isDryRun, isJson, giveUpMs, rejectedShownMax };
    return await replayIntoStream(client, ranges, asked);
  }
  const request = requestOf(stream, ranges, options, target);
  if (options.cancel === true) return await cancelReplay(client, request.name, isJson);
  return await followReplay(client, request, { isJson, giveUpMs });
}

/** Tells the absolute time of a relative place, as that place differs at each run and so names another replay. */
function tellRelative({ from: text, name, dryRun, cancel, json }: ReplayOptions, range: Range | undefined): void {
  if (range === undefined || typeof range.from !== "object" || !("timeMs" in range.from)) return;
  if (/^\d{4}-/.test(text) || dryRun === true || json === true) return;
  const at = placeText(range.from);
  if (cancel === true && name === undefined) {
    throw new UsageError(
      `Cannot cancel a replay from ${text} as its name must be known: give --name, or --from the time that the replay told when it began`,
    );
  }
  remark(
    `--from ${text} is ${at} now, and another time at each run: with --from ${at} the command goes on with this replay`,
  );
}

function requestOf(
  stream: string,
  ranges: readonly Range[],
  options: ReplayOptions,
  target: Exclude<Target, { intoStream: string }>,
): NodeReplay {
  const [first] = ranges;
  if (first === undefined) throw new UsageError("Cannot replay as --partition must name one at least");
  const { channel, from, to } = first;
  const into = "sink" in target ? `sink-${target.sink}` : `pipeline-${target.pipeline}`;
  const name =
    options.name ??
    nameOf(first, into)
      .replaceAll("@", ":") // no name of a sink holds a colon
      .replaceAll(/[^A-Za-z0-9_.:-]+/g, "-")
      .slice(0, NODE_NAME_LENGTH_MAX);
  const places = { from: onNode(from), to: onNode(to) };
  const partitions = options.partition === undefined ? {} : { partitions: ranges.map(({ partition }) => partition) };
  return { name, stream, channel, ...places, ...partitions, ...target, isDryRun: options.dryRun === true };
}

/** A place in the form of the node's API, which takes whole milliseconds. */
const onNode = (at: Place): Place =>
  typeof at === "object" && "timeMs" in at ? { timeMs: Math.max(0, Math.floor(at.timeMs)) } : at;

async function rangesOf(client: NodeClient, stream: string, options: ReplayOptions): Promise<readonly Range[]> {
  if (options.rejected === true && options.deadLetters !== undefined) {
    throw new UsageError("Cannot replay both --rejected and --dead-letters at once");
  }
  const nowMs = Date.now();
  const from = place("--from", options.from, nowMs);
  const to = place("--to", options.to, nowMs);
  if (from === "latest" || to === "earliest") throw new UsageError("Cannot replay as --from must lie before --to");
  const { partitions } = await client.stream(stream);
  const wanted = options.partition?.map((text) => wholeNumber("--partition", text));
  const beyond = wanted?.find((partition) => partition >= partitions.length);
  if (beyond !== undefined) {
    throw new UsageError(`Cannot read partition ${beyond} as ${stream} has ${partitions.length}, numbered from 0`);
  }
  const letters = options.deadLetters === undefined ? "records" : `dead_letters/${options.deadLetters}`;
  const channel = options.rejected === true ? "rejected" : letters;
  return (wanted ?? partitions.map(({ partition }) => partition)).map((partition) => {
    return { stream, partition, channel, from, to };
  });
}

const placeText = (at: Place): string => {
  if (typeof at === "string") return at;
  return "offset" in at ? String(at.offset) : new Date(at.timeMs).toISOString();
};

/**
 * Names the replay by its beginning, not its end, so that a longer replay from the same place goes on after a shorter
 * one.
 */
function nameOf(range: Range | undefined, into: string): string {
  if (range === undefined) return `replay/${into}`;
  return `replay/${range.stream}/${range.channel}/${placeText(range.from)}/${into}`.slice(0, PRODUCER_ID_LENGTH_MAX);
}
