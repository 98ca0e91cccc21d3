/** `headrace backup`: writes the records of a running node to files, through its public API alone. */
import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir } from "node:fs/promises";
import type { Command } from "commander";
import type { HeadraceError } from "../../protocols/errors.ts";
import { exactJson } from "../../protocols/values/exact_json.ts";
import { toJsonValue } from "../../protocols/values/json_values.ts";
import { duration } from "../console/arguments.ts";
import { EXIT, fileError, UsageError } from "../console/exit_codes.ts";
import { pathInside } from "../console/foreign_path.ts";
import {
  addNodeOptions,
  type NodeClient,
  type NodeOptions,
  nodeClient,
  type StreamStanding,
} from "../console/node_client.ts";
import { interruption, print, printJson, remark, sizeText } from "../console/output.ts";
import { type Progress, startProgress } from "../console/progress.ts";
import { watchReachability } from "../console/reachability.ts";
import { type BackupFile, type BackupLine, writeManifest } from "../console/records/backup_format.ts";
import { type Range, readRange, totalOf } from "../console/records/read_range.ts";

const CHANNELS = ["records", "rejected"] as const;
/** Characters that are gathered for one write to the file. */
const CHUNK_CHARACTERS = 262_144;

interface BackupOptions extends NodeOptions {
  readonly stream?: readonly string[];
  readonly giveUp: string;
  readonly json?: boolean;
}

export function addBackup(program: Command): void {
  addNodeOptions(
    program
      .command("backup")
      .description("Write what a running node holds to a folder.")
      .argument("<folder>", "empty or new folder"),
  )
    .option("--stream <name...>", "streams to back up (default: all that the token shows)")
    .option("--give-up <duration>", "end when no node could be reached for so long", "30s")
    .option("--json", "print what was written as one line of JSON")
    .addHelpText(
      "after",
      `
The node goes on taking events; each partition is copied up to the end that it had when its turn came.
Kept: every record and every rejected event that retention left, with position, time, producer and trace.
Not kept: schemas and other configuration (back up headrace.yaml), where sinks stand, dead letters of sinks, and what
producers have been promised: after a restore, a producer that resends what it had not yet heard of sends it twice.

Examples:
  headrace backup /backups/monday
  headrace backup /backups/orders --stream orders`,
    )
    .action(async (folder: string, options: BackupOptions) => {
      process.exitCode = await backup(folder, options);
    });
}

async function backup(folder: string, options: BackupOptions): Promise<number> {
  const client = await nodeClient(options);
  const streams = await chooseStreams(client, options.stream);
  await takeFolder(folder);
  const ranges = streams.flatMap(rangesOf);
  const total = await totalOf(client, ranges);
  const ending = new AbortController();
  const interrupted = interruption();
  interrupted.addEventListener("abort", () => ending.abort());
  let failure: HeadraceError | undefined;
  const watch = watchReachability(client.address, duration("--give-up", options.giveUp), (error) => {
    failure ??= error;
    ending.abort();
  });
  const progress = await startProgress({ label: "backup", total, unit: "records", isSilent: options.json === true });
  const files: BackupFile[] = [];
  try {
    for (const range of ranges) {
      const done = files.reduce((sum, file) => sum + file.records, 0);
      files.push(await copyPartition(client, folder, range, { progress, done, signal: ending.signal, watch }));
      if (ending.signal.aborted) break;
    }
  } finally {
    progress.stop();
    watch.stop();
  }
  if (failure !== undefined) throw failure;
  if (interrupted.aborted) {
    remark(`${folder} holds a part only, and no manifest: it cannot be restored from`);
    return EXIT.interrupted;
  }
  const manifest = {
    id: randomUUID(),
    createdAt: new Date().toISOString(),
    node: client.address,
    streams: Object.fromEntries(streams.map((stream) => [stream.name, describe(stream)])),
    files,
  };
  await writeManifest(folder, manifest);
  await report(folder, manifest.id, files, options.json === true);
  return EXIT.ok;
}

async function chooseStreams(client: NodeClient, wanted: readonly string[] | undefined) {
  if (wanted !== undefined) return await Promise.all(wanted.map((name) => client.stream(name)));
  const { streams } = await client.get<{ readonly streams: readonly StreamStanding[] }>("/v1/streams");
  return streams;
}

async function takeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if ((await readdir(folder)).length === 0) return;
  } catch (error) {
    throw fileError("write", folder, error);
  }
  throw new UsageError(`Cannot back up to ${folder} as it must be empty: it holds files`);
}

const rangesOf = ({ name, partitions }: StreamStanding): Range[] =>
  partitions.flatMap(({ partition }) =>
    CHANNELS.map((channel): Range => ({ stream: name, partition, channel, from: "earliest", to: "latest" })),
  );

const describe = ({ partitions, key, schemaVersions }: StreamStanding) => ({
  partitions: partitions.length,
  schemaVersions,
  ...(key === undefined ? {} : { key }),
});

interface Copying {
  readonly progress: Progress;
  /** How many records were copied before this partition. */
  readonly done: number;
  readonly signal: AbortSignal;
  readonly watch: { readonly onTrouble: (error: Error) => void; stop(): void };
}

async function copyPartition(
  client: NodeClient,
  folder: string,
  range: Range,
  { progress, done, signal, watch }: Copying,
): Promise<BackupFile> {
  const { stream, partition, channel } = range;
  const path = `${stream}-${partition}.${channel}.ndjson`;
  const file = await HashedFile.create(pathInside(folder, path));
  let records = 0;
  let first: number | undefined;
  let end = 0;
  try {
    for await (const record of readRange(client, range, { signal, onTrouble: watch.onTrouble })) {
      watch.stop(); // The node answers, so an outage is over.
      const line: BackupLine = { ...record, event: toJsonValue(record.event) };
      await file.write(`${exactJson(line)}\n`);
      first ??= record.offset;
      end = record.offset + 1;
      records += 1;
      if (records % 256 === 0) progress.update(done + records, done + records);
    }
  } finally {
    await file.close();
  }
  const offsets = { firstOffset: first ?? 0, endOffset: end };
  return { path, stream, partition, channel, ...offsets, records, sizeBytes: file.sizeBytes, sha256: file.sha256 };
}

/** A file that is hashed as it is written, and flushed before it is closed. */
class HashedFile {
  readonly #file: FileHandle;
  readonly #hash = createHash("sha256");
  #held = "";
  sizeBytes = 0;
  sha256 = "";

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async create(path: string): Promise<HashedFile> {
    try {
      return new HashedFile(await open(path, "wx", 0o600));
    } catch (error) {
      throw fileError("write", path, error);
    }
  }

  async write(text: string): Promise<void> {
    this.#held += text;
    if (this.#held.length >= CHUNK_CHARACTERS) await this.#flush();
  }

  async close(): Promise<void> {
    await this.#flush();
    await this.#file.sync();
    await this.#file.close();
    this.sha256 = this.#hash.digest("hex");
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#held);
    this.#held = "";
    this.#hash.update(bytes);
    this.sizeBytes += bytes.length;
    await this.#file.write(bytes);
  }
}

async function report(folder: string, id: string, files: readonly BackupFile[], isJson: boolean): Promise<void> {
  const sum = (channel: string): number =>
    files.filter((file) => file.channel === channel).reduce((total, file) => total + file.records, 0);
  const sizeBytes = files.reduce((total, file) => total + file.sizeBytes, 0);
  const counts = { records: sum("records"), rejected: sum("rejected") };
  if (isJson) await printJson({ kind: "summary", folder, id, ...counts, sizeBytes });
  else await print(`${folder}: ${counts.records} records, ${counts.rejected} rejected, ${sizeText(sizeBytes)}`);
}
