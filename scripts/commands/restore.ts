/**
 * `headrace restore`: sends the records of a backup into a node. Each partition is one producer whose sequences are the
 * original positions, so that a restore that was cut short goes on when it is run again.
 */
import { createInterface } from "node:readline";
import type { Command } from "commander";
import type { HeadraceError } from "../../protocols/errors.ts";
import { compareSequences, type Event, type Sequence } from "../../protocols/mod.ts";
import { partitionName } from "../../protocols/position.ts";
import { fromJsonValue } from "../../protocols/values/json_values.ts";
import { duration, wholeNumber } from "../console/arguments.ts";
import { EXIT, UsageError } from "../console/exit_codes.ts";
import { openInside } from "../console/foreign_path.ts";
import { addNodeOptions, type NodeClient, type NodeOptions, nodeClient } from "../console/node_client.ts";
import { interruption, print, printJson } from "../console/output.ts";
import { type Progress, startProgress } from "../console/progress.ts";
import { type Reachability, watchReachability } from "../console/reachability.ts";
import {
  type BackupFile,
  type BackupLine,
  type Manifest,
  readManifest,
  verifyFile,
} from "../console/records/backup_format.ts";
import { listRejections, type Rejections } from "../console/records/rejections.ts";

const CLOSE_WITHIN_MS = 10_000;

interface RestoreOptions extends NodeOptions {
  readonly stream?: readonly string[];
  readonly intoFilled?: boolean;
  readonly verifyOnly?: boolean;
  readonly showRejected: string;
  readonly giveUp: string;
  readonly json?: boolean;
}

export function addRestore(program: Command): void {
  addNodeOptions(
    program
      .command("restore")
      .description("Send what a backup holds into an empty node.")
      .argument("<folder>", "folder of the backup"),
  )
    .option("--stream <name...>", "streams to restore (default: all)")
    .option("--into-filled", "restore though a partition holds records already: they stay before the restored ones")
    .option("--verify-only", "check the backup, and send nothing")
    .option("--show-rejected <n>", "rejected events to list", "10")
    .option("--give-up <duration>", "end when no node could be reached for so long", "30s")
    .option("--json", "print what came of it as lines of JSON")
    .addHelpText(
      "after",
      `
Checksums are verified before anything is sent. The node must have the streams, with as many partitions as they had.
Every record goes to its own partition, in order. Run again after a break, it goes on where it was.
Kept: events, their partition and their order. Not kept: offsets (counted anew from 0), times of append, producers and
traces (they stay readable in the backup's files). Rejected events stay in the files: they are not sent.
Sinks of the node get every restored record as a new one.

Examples:
  headrace restore /backups/monday
  headrace restore /backups/monday --stream orders --address http://127.0.0.1:8080
  headrace restore /backups/monday --verify-only`,
    )
    .action(async (folder: string, options: RestoreOptions) => {
      process.exitCode = await restore(folder, options);
    });
}

interface Run {
  readonly client: NodeClient;
  readonly folder: string;
  readonly manifest: Manifest;
  readonly isIntoFilled: boolean;
  readonly signal: AbortSignal;
  readonly watch: Reachability;
  readonly rejections: Rejections;
  readonly progress: Progress;
  readonly counts: { read: number; alreadyStored: number; inDoubt: number };
}

async function restore(folder: string, options: RestoreOptions): Promise<number> {
  const manifest = await readManifest(folder);
  const files = chooseFiles(manifest, options.stream);
  for (const file of files) await verifyFile(folder, file);
  const total = files.reduce((sum, file) => sum + file.records, 0);
  const isJson = options.json === true;
  if (options.verifyOnly === true) {
    if (isJson) await printJson({ kind: "summary", folder, id: manifest.id, isSound: true, records: total });
    else await print(`${folder}: sound, ${total} records of ${manifest.createdAt}`);
    return EXIT.ok;
  }
  const client = await nodeClient(options);
  await checkStreams(client, manifest, files);
  const ending = new AbortController();
  const interrupted = interruption();
  interrupted.addEventListener("abort", () => ending.abort());
  let failure: HeadraceError | undefined;
  const fail = (error: HeadraceError) => {
    failure ??= error;
    ending.abort();
  };
  const run: Run = {
    client,
    folder,
    manifest,
    isIntoFilled: options.intoFilled === true,
    signal: ending.signal,
    watch: watchReachability(client.address, duration("--give-up", options.giveUp), fail),
    rejections: listRejections(wholeNumber("--show-rejected", options.showRejected), isJson, fail),
    progress: await startProgress({ label: "restore", total, unit: "records", isSilent: isJson }),
    counts: { read: 0, alreadyStored: 0, inDoubt: 0 },
  };
  try {
    for (const file of files) await restoreFile(file, run);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    run.progress.stop();
    run.watch.stop();
  }
  await run.rejections.tell();
  await report(run, isJson);
  if (failure !== undefined) throw failure;
  if (interrupted.aborted) return EXIT.interrupted;
  if (run.counts.inDoubt > 0) return EXIT.leftUndone;
  return run.rejections.count > 0 ? EXIT.data : EXIT.ok;
}

function chooseFiles(manifest: Manifest, wanted: readonly string[] | undefined): readonly BackupFile[] {
  const known = Object.keys(manifest.streams);
  const unknown = wanted?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`Cannot restore ${unknown} as the backup must hold it: it holds [${known.join(", ")}]`);
  }
  return manifest.files.filter(({ stream, channel }) => channel === "records" && (wanted ?? known).includes(stream));
}

async function checkStreams(client: NodeClient, manifest: Manifest, files: readonly BackupFile[]): Promise<void> {
  for (const name of new Set(files.map(({ stream }) => stream))) {
    const { partitions } = await client.stream(name);
    const had = manifest.streams[name]?.partitions;
    if (partitions.length === had) continue;
    throw new UsageError(
      `Cannot restore ${name} as it must have ${had} partitions, as it had: current value is ${partitions.length}`,
    );
  }
}

async function restoreFile(file: BackupFile, run: Run): Promise<void> {
  const { client, manifest, counts, rejections, signal, watch, progress } = run;
  const { stream, partition } = file;
  const { partitions } = await client.stream(stream);
  const producer = client.producer(
    {
      producerId: `restore/${manifest.id}/${partitionName({ stream, partition })}`.slice(0, 256),
      stream,
      onRejected: rejections.onRejected,
      onInDoubt: (events) => {
        counts.inDoubt += events.length;
      },
      onWelcome: watch.onWelcome,
    },
    watch.onTrouble,
  );
  const stop = () => void producer.close({ timeoutMs: CLOSE_WITHIN_MS });
  signal.addEventListener("abort", stop, { once: true });
  try {
    const { lastSequence: stored } = await producer.open(stream, partition);
    const { endOffset = 0 } = partitions[partition] ?? {};
    if (endOffset > 0 && stored === undefined && !run.isIntoFilled) {
      throw new UsageError(
        `Cannot restore ${partitionName({ stream, partition })} as it must be empty: it holds ${endOffset} records of others (--into-filled restores all the same)`,
      );
    }
    for await (const { epoch, offset, event: json } of linesOf(run.folder, file.path)) {
      counts.read += 1;
      if (counts.read % 256 === 0) progress.update(counts.read, counts.read);
      const sequence: Sequence = [epoch, offset, 0];
      if (compareSequences(sequence, stored) <= 0) {
        counts.alreadyStored += 1;
        continue;
      }
      const event = fromJsonValue(json) as Event;
      rejections.remember(event, {
        text: `${partitionName({ stream, partition })}@${offset}`,
        fields: { stream, partition, offset },
      });
      await producer.send(event, { partition, sequence, signal });
    }
    await producer.flush({ signal });
  } finally {
    signal.removeEventListener("abort", stop);
    await producer.close({ timeoutMs: CLOSE_WITHIN_MS });
  }
}

async function* linesOf(folder: string, name: string): AsyncIterable<BackupLine> {
  const input = (await openInside(folder, name)).createReadStream();
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    yield JSON.parse(line) as BackupLine;
  }
}

async function report({ manifest, folder, counts, rejections }: Run, isJson: boolean): Promise<void> {
  const { read, alreadyStored, inDoubt } = counts;
  const accepted = read - alreadyStored - inDoubt - rejections.count - rejections.refused;
  if (isJson) {
    const result = { accepted, rejected: rejections.count, inDoubt, alreadyStored };
    return await printJson({ kind: "summary", folder, id: manifest.id, ...result });
  }
  await print(
    `${folder}: ${accepted} accepted, ${rejections.count} rejected, ${inDoubt} in doubt, ${alreadyStored} were there already`,
  );
}
