/**
 * Replays ranges into a stream. This process is a producer whose sequences are the positions that it reads, so that a
 * second run writes nothing twice (E3, E16). Leaves ranges and names to `commands/replay.ts`.
 */
import type { HeadraceError } from "../../../protocols/errors.ts";
import { compareSequences, type Event, type Producer, type Sequence } from "../../../protocols/mod.ts";
import { EXIT } from "../exit_codes.ts";
import type { NodeClient, StreamStanding } from "../node_client.ts";
import { interruption, print, printJson } from "../output.ts";
import { type Progress, startProgress } from "../progress.ts";
import { type Reachability, watchReachability } from "../reachability.ts";
import { type Range, type RangeRecord, readRange, totalOf } from "./read_range.ts";
import { listRejections, type Rejections } from "./rejections.ts";
import { eventReader } from "./replay_events.ts";
import { keyRouter, storedSequences } from "./routing.ts";

const CLOSE_WITHIN_MS = 10_000;

export interface StreamReplay {
  /** The producer's name, without the partition. */
  readonly name: string;
  readonly stream: string;
  readonly intoStream: string;
  readonly isDryRun: boolean;
  readonly isJson: boolean;
  readonly giveUpMs: number;
  readonly rejectedShownMax: number;
}

/** The state of one run. */
interface Run {
  readonly client: NodeClient;
  readonly replay: StreamReplay;
  readonly target: StreamStanding;
  readonly signal: AbortSignal;
  readonly watch: Reachability;
  readonly readWatch: Reachability;
  readonly rejections: Rejections;
  readonly progress: Progress;
  readonly counts: { read: number; unreadable: number; alreadyStored: number; inDoubt: number; repeated: number };
}

/** Sends the ranges, and tells what came of it. Answers the exit code. */
export async function replayIntoStream(
  client: NodeClient,
  ranges: readonly Range[],
  replay: StreamReplay,
): Promise<number> {
  const { isJson, giveUpMs } = replay;
  const interrupted = interruption();
  const ending = new AbortController();
  interrupted.addEventListener("abort", () => ending.abort());
  let failure: HeadraceError | undefined;
  const fail = (error: HeadraceError) => {
    failure ??= error;
    ending.abort();
  };
  const total = await totalOf(client, ranges);
  const run: Run = {
    client,
    replay,
    target: await client.stream(replay.intoStream),
    signal: ending.signal,
    watch: watchReachability(client.address, giveUpMs, fail),
    readWatch: watchReachability(client.address, giveUpMs, fail),
    rejections: listRejections(replay.rejectedShownMax, isJson, fail),
    progress: await startProgress({ label: "replay", total, unit: "events", isSilent: isJson }),
    counts: { read: 0, unreadable: 0, alreadyStored: 0, inDoubt: 0, repeated: 0 },
  };
  try {
    for (const range of ranges) await replayPartition(range, run);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    run.progress.stop();
    run.watch.stop();
    run.readWatch.stop();
  }
  await run.rejections.tell();
  await report(run);
  if (failure !== undefined) throw failure;
  if (interrupted.aborted) return EXIT.interrupted;
  if (run.counts.inDoubt > 0) return EXIT.leftUndone;
  return run.rejections.count + run.counts.unreadable > 0 ? EXIT.data : EXIT.ok;
}

async function replayPartition(range: Range, run: Run): Promise<void> {
  const { counts, signal, readWatch, progress } = run;
  const sender = run.replay.isDryRun ? undefined : await openSender(range, run);
  try {
    const hooks = { signal, onTrouble: readWatch.onTrouble };
    const eventOf = await eventReader(run.client, range, run.target.name, hooks);
    for await (const record of readRange(run.client, range, hooks)) {
      readWatch.stop(); // The node answers, so an outage is over.
      counts.read += 1;
      progress.update(counts.read, counts.read);
      const event = eventOf(record);
      if (event === "unreadable") counts.unreadable += 1;
      else if (event === "repeated") counts.repeated += 1;
      else await sender?.send(event, record);
    }
    signal.throwIfAborted();
    await sender?.producer.flush({ signal });
  } finally {
    await sender?.producer.close({ timeoutMs: CLOSE_WITHIN_MS });
  }
}

interface Sender {
  readonly producer: Producer;
  send(event: Event, record: RangeRecord): Promise<void>;
}

/** Opens a producer for each source partition, as positions ascend within one partition only. */
async function openSender(range: Range, run: Run): Promise<Sender> {
  const { target, counts, rejections, signal, watch } = run;
  const producer = run.client.producer(
    {
      producerId: `${run.replay.name}/${range.partition}`,
      stream: target.name,
      onRejected: rejections.onRejected,
      onInDoubt: (events) => {
        counts.inDoubt += events.length;
      },
      onWelcome: watch.onWelcome,
    },
    watch.onTrouble,
  );
  signal.addEventListener("abort", () => void producer.close({ timeoutMs: CLOSE_WITHIN_MS }), { once: true });
  const stored = await storedSequences(producer, target);
  const partitionOf = keyRouter(target);
  const send: Sender["send"] = async (event, { epoch, offset }) => {
    const partition = partitionOf(event) ?? range.partition % target.partitions.length;
    const sequence: Sequence = [epoch, offset, 0];
    if (compareSequences(sequence, stored[partition]) <= 0) {
      counts.alreadyStored += 1;
      return;
    }
    const { stream, partition: from } = range;
    rejections.remember(event, { text: `${stream}/${from}@${offset}`, fields: { stream, partition: from, offset } });
    await producer.send(event, { partition, sequence, signal });
  };
  return { producer, send };
}

async function report({
  counts,
  rejections,
  replay: { stream, intoStream, name, isDryRun, isJson },
}: Run): Promise<void> {
  const { read, unreadable, alreadyStored, inDoubt, repeated } = counts;
  const unsent = unreadable + repeated + alreadyStored + inDoubt;
  const sent = isDryRun ? 0 : read - unsent - rejections.count - rejections.refused;
  if (isJson) {
    const result = { read, accepted: sent, rejected: rejections.count, unreadable, repeated, alreadyStored, inDoubt };
    await printJson({ kind: "summary", stream, intoStream, name, isDryRun, ...result });
    return;
  }
  const again = repeated === 0 ? "" : `, ${repeated} repeats of the same event left out`;
  const lost = `${again}${unreadable === 0 ? "" : `, ${unreadable} without a readable original`}`;
  const toSend = read - unreadable - repeated;
  if (isDryRun) return await print(`${stream}: ${toSend} events would be sent to ${intoStream}${lost}`);
  await print(
    `${stream} into ${intoStream}, as ${name}: ${sent} accepted, ${rejections.count} rejected, ${inDoubt} in doubt, ${alreadyStored} were there already${lost}`,
  );
}
