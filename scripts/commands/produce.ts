/**
 * `headrace produce`: sends events from files or stdin into a stream, each exactly once. Decides how input becomes
 * events, and the exit code. Leaves files to `open_inputs.ts`, and order, resending and acknowledgement to the `Producer`.
 */
import { randomUUID } from "node:crypto";
import type { Command } from "commander";
import { FORMATS } from "../../actors/sources/records/record_reader.ts";
import { ENCODINGS } from "../../actors/sources/records/text_shape.ts";
import type { HeadraceError } from "../../protocols/errors.ts";
import { compareSequences, type Producer, type SendOptions, type Sequence } from "../../protocols/mod.ts";
import { duration, wholeNumber } from "../console/arguments.ts";
import { DataError, EXIT, FileError, UsageError } from "../console/exit_codes.ts";
import { addNodeOptions, type NodeClient, type NodeOptions, nodeClient } from "../console/node_client.ts";
import { interruption, print, printJson } from "../console/output.ts";
import { startProgress } from "../console/progress.ts";
import { type Reachability, watchReachability } from "../console/reachability.ts";
import { type Input, openInputs, type ReadingOptions } from "../console/records/open_inputs.ts";
import type { InputEvent } from "../console/records/read_input.ts";
import { listRejections, type Rejections } from "../console/records/rejections.ts";
import { keyRouter, storedSequences } from "../console/records/routing.ts";

const CLOSE_WITHIN_MS = 10_000;
interface ProduceOptions extends NodeOptions, ReadingOptions {
  readonly producer?: string;
  readonly resume?: boolean;
  readonly partition?: string;
  readonly schemaVersion?: string;
  readonly showRejected: string;
  readonly giveUp: string;
  readonly json?: boolean;
}

export function addProduce(program: Command): void {
  addNodeOptions(
    program
      .command("produce")
      .description("Send events from files or stdin, each exactly once.")
      .argument("<stream>", "stream to send to")
      .argument("[files...]", "files to read; - or none: stdin"),
  )
    .option("-f, --format <format>", `${FORMATS.join(", ")} (default: by the file's ending, else by its beginning)`)
    .option("--delimiter <text>", "CSV: what stands between two values; tab for a tab (default: a comma)")
    .option("--encoding <name>", `${ENCODINGS.join(", ")} (default: by the byte order mark, else utf-8)`)
    .option("--text", "CSV: keep every value as text; else numbers, true and false are read as such")
    .option("--producer <id>", "name of this producer (default: a new one each time)")
    .option("--resume", "number events by their place in the input: run again, only what is missing is sent")
    .option("--partition <n>", "partition to send to (default: by the stream's key)")
    .option("--schema-version <n>", "version of the stream's schema that the events follow (default: the newest)")
    .option("--show-rejected <n>", "rejected events to list", "10")
    .option("--give-up <duration>", "end when no node could be reached for so long", "30s")
    .option("--json", "print what came of it as lines of JSON")
    .addHelpText(
      "after",
      `
Input: NDJSON (one object a line), a JSON array, CSV with a header line (.tsv: with tabs), or plain lines (each becomes {"line": ...}), also
within gzip or Zstandard. How an input is read, and why so, is told on stderr. What is no event, or fails the stream's schema, is set aside by the node with its reason and told here (exit code 65).

Examples:
  headrace produce orders orders.ndjson
  echo '{"customer":"a","amount":3}' | headrace produce orders
  headrace produce orders export.csv --producer import-1 --resume
  tail -f access.log | headrace produce access --format lines`,
    )
    .action(async (stream: string, files: readonly string[], options: ProduceOptions) => {
      process.exitCode = await produce(stream, files, options);
    });
}

interface Counts {
  read: number;
  inDoubt: number;
  /** How many events an earlier run had stored. */
  skipped: number;
}

async function produce(stream: string, files: readonly string[], options: ProduceOptions): Promise<number> {
  const client = await nodeClient(options);
  const inputs = await openInputs(files, options);
  const route = await routing(client, stream, files, options);
  await client.get("/v1/streams");
  const interrupted = interruption();
  const counts: Counts = { read: 0, inDoubt: 0, skipped: 0 };
  const ending = new AbortController();
  let failure: HeadraceError | undefined;
  let damage: DataError | FileError | undefined;
  const fail = (error: HeadraceError) => {
    failure ??= error;
    ending.abort();
  };
  interrupted.addEventListener("abort", () => ending.abort());
  const watch = watchReachability(client.address, duration("--give-up", options.giveUp), fail);
  const isJson = options.json === true;
  const rejections = listRejections(wholeNumber("--show-rejected", options.showRejected), isJson, fail);
  const producer = client.producer(
    {
      producerId: options.producer ?? `cli-${randomUUID()}`,
      stream,
      ...(options.schemaVersion === undefined
        ? {}
        : { schemaVersion: wholeNumber("--schema-version", options.schemaVersion, 1) }),
      onRejected: rejections.onRejected,
      onInDoubt: (events, error) => {
        counts.inDoubt += events.length;
        if (error.code === "PRODUCER_FENCED") fail(error);
      },
      onWelcome: watch.onWelcome,
    },
    watch.onTrouble,
  );
  const startedAtMs = performance.now();
  try {
    await sendAll(producer, inputs, { route, counts, rejections, stream, options, signal: ending.signal, watch });
  } catch (error) {
    // Damage of the input is reported after the outcome of the events before it.
    if (error instanceof DataError || error instanceof FileError) damage = error;
    else if (!ending.signal.aborted) throw error;
  } finally {
    await producer.close({ timeoutMs: failure === undefined ? CLOSE_WITHIN_MS : 0 });
    watch.stop();
  }
  await rejections.tell();
  await report(stream, counts, rejections, performance.now() - startedAtMs, isJson);
  if (failure !== undefined) throw failure;
  if (damage !== undefined) throw damage;
  if (interrupted.aborted) return EXIT.interrupted;
  if (counts.inDoubt > 0) return EXIT.leftUndone;
  return rejections.count > 0 ? EXIT.data : EXIT.ok;
}

/** The partition and sequence of the n-th event, for runs that must repeat them. */
type Route = (producer: Producer) => Promise<(event: InputEvent["event"], index: number) => SendOptions | "stored">;

async function routing(
  client: NodeClient,
  stream: string,
  files: readonly string[],
  options: ProduceOptions,
): Promise<Route> {
  const partition = options.partition === undefined ? undefined : wholeNumber("--partition", options.partition);
  const fixed: SendOptions = partition === undefined ? {} : { partition };
  if (options.resume !== true) return async () => () => fixed;
  if (options.producer === undefined || files.length === 0 || files.includes("-")) {
    throw new UsageError("Cannot resume as it needs --producer <id> and the files of the run before");
  }
  const target = await client.stream(stream);
  const partitionOf = keyRouter(target);
  return async (producer) => {
    const stored = await storedSequences(producer, target);
    return (event, index) => {
      const to = partition ?? partitionOf(event) ?? index % target.partitions.length;
      const sequence: Sequence = [0, index, 0];
      return compareSequences(sequence, stored[to]) <= 0 ? "stored" : { partition: to, sequence };
    };
  };
}

// Sending -------------------------------------------------------------------------------------------------------------

interface Sending {
  readonly route: Route;
  readonly counts: Counts;
  readonly rejections: Rejections;
  readonly stream: string;
  readonly options: ProduceOptions;
  readonly signal: AbortSignal;
  readonly watch: Reachability;
}

async function sendAll(producer: Producer, inputs: readonly Input[], sending: Sending): Promise<void> {
  const { counts, rejections, signal } = sending;
  const sizes = inputs.map((input) => input.sizeBytes);
  const total = sizes.reduce<number | undefined>(
    (sum, size) => (sum === undefined || size === undefined ? undefined : sum + size),
    0,
  );
  const progress = await startProgress({
    label: sending.stream,
    total,
    unit: "events",
    isSilent: sending.options.json === true,
  });
  try {
    await untilAborted(sending.watch.whenReached, signal);
    const optionsOf = await sending.route(producer);
    let readBytes = 0;
    for (const input of inputs) {
      const events = input.open((count) => {
        readBytes += count;
      });
      for await (const { event, line } of untilAbortedEach(events, signal)) {
        const options = optionsOf(event, counts.read);
        counts.read += 1;
        if (options === "stored") counts.skipped += 1;
        else {
          const { name: file } = input;
          rejections.remember(event, { text: `${file}:${line}`, fields: { file, line } });
          await producer.send(event, { ...options, signal });
        }
        if (counts.read % 256 === 0) progress.update(readBytes, counts.read);
      }
    }
    await producer.flush({ signal });
  } finally {
    progress.stop();
    for (const input of inputs) input.close();
  }
}

function untilAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Yields values until `signal` aborts, as the input may never end by itself. */
async function* untilAbortedEach<Value>(values: AsyncIterable<Value>, signal: AbortSignal): AsyncIterable<Value> {
  const iterator = values[Symbol.asyncIterator]();
  for (;;) {
    const next = await untilAborted(iterator.next(), signal);
    if (next.done === true) return;
    yield next.value;
  }
}

// Telling -------------------------------------------------------------------------------------------------------------

async function report(
  stream: string,
  counts: Counts,
  rejections: Rejections,
  tookMs: number,
  isJson: boolean,
): Promise<void> {
  const { read, inDoubt, skipped } = counts;
  const { count: rejected, refused } = rejections;
  const accepted = read - rejected - inDoubt - refused - skipped;
  const eventsPerSecond = Math.round((accepted * 1_000) / Math.max(1, tookMs));
  if (isJson) {
    const took = { tookMs: Math.round(tookMs), eventsPerSecond };
    await printJson({ kind: "summary", stream, accepted, rejected, inDoubt, alreadyStored: skipped, ...took });
    return;
  }
  const before = skipped === 0 ? "" : `, ${skipped} were there already`;
  await print(
    `${stream}: ${accepted} accepted, ${rejected} rejected, ${inDoubt} in doubt${before} (${(tookMs / 1_000).toFixed(1)} s, ${eventsPerSecond}/s)`,
  );
}
