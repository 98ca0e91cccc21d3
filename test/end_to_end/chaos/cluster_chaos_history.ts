/** Records the messages of the cluster's chaos, and lets the checker judge them. */
import { readFile } from "node:fs/promises";
import type { DeadLetter } from "../../../actors/log/dead_letter.ts";
import type { Channel, Log } from "../../../actors/log/log.ts";
import { recordsOf } from "../../../actors/log/stored_records.ts";
import { offset, type Position, partitionId } from "../../../protocols/position.ts";
import { decodeSlice } from "../../../protocols/values/event_codec.ts";
import {
  checkHistory,
  type LoggedEvent,
  type Observation,
  type Problem,
  type ReaderHistory,
  type SentEvent,
  type SinkHistory,
  type Told,
} from "../../support/checker.ts";
import { readFileSink } from "../../support/read_file_sink.ts";

/** Orders after `from`, up to `to`, that were reported as lost to their producer. */
export interface ToldLost {
  readonly producer: string;
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** The messages about one stream. */
export class StreamHistory {
  readonly stream: string;
  readonly partitions: number;
  /** Whether its tier may lose a tail with the store that held it (E23). */
  readonly mayLoseTail: boolean;
  readonly sent: SentEvent[] = [];
  readonly told = new Map<string, Told>();
  readonly lost: ToldLost[] = [];
  readonly readers: ReaderHistory[] = [];

  constructor(stream: string, partitions: number, mayLoseTail: boolean) {
    this.stream = stream;
    this.partitions = partitions;
    this.mayLoseTail = mayLoseTail;
  }

  /** The list for the records that a reader of one partition sees. */
  observe(reader: string, partition: number): Observation[] {
    const observations: Observation[] = [];
    this.readers.push({ reader, partition, observations });
    return observations;
  }
}

export interface Judgement {
  readonly problems: readonly Problem[];
  /** The events that the log holds. */
  readonly stored: readonly LoggedEvent[];
  readonly archived: number;
  /** How many events were lost with a tail, and were reported. */
  readonly lostWithTail: number;
}

/** @param archive the folder of the file sinks, one for each stream: `archive_<stream>` */
export async function judge(history: StreamHistory, log: Log, archive: string): Promise<Judgement> {
  const logged: LoggedEvent[] = [];
  const rejected: string[] = [];
  const sinks: SinkHistory[] = [];
  for (let partition = 0; partition < history.partitions; partition += 1) {
    const records: LoggedEvent[] = [];
    for await (const { position, event } of readAll(log, history.stream, partition, "records")) {
      records.push({ partition, epoch: position.epoch, offset: position.offset, id: String(event.id) });
    }
    logged.push(...records);
    for await (const { event } of readAll(log, history.stream, partition, "rejected")) {
      const { original } = event as unknown as DeadLetter;
      if (original !== undefined) rejected.push(String(decodeSlice(original).id));
    }
    sinks.push(await archiveOf(history.stream, partition, records, log, archive));
  }
  const lostWithTail = toldLost(history, logged, rejected);
  const { sent, told, readers } = history;
  const problems = checkHistory({
    ...{ sent, told, log: logged, rejected, readers, sinks, lostWithTail },
    firstOffsets: new Map(),
    mayTrimUnread: false,
  });
  if (!history.mayLoseTail) {
    for (const { producer, partition, from, to } of history.lost) {
      const detail = `${producer} was told that ${from} to ${to} of ${history.stream}/${partition} are lost`;
      problems.push({ kind: "lost", detail });
    }
  }
  problems.push(...checkEnds(history, logged));
  return {
    problems: problems.map(({ kind, detail }) => ({ kind, detail: `${history.stream}: ${detail}` })),
    stored: logged,
    archived: sinks.reduce((sum, { records }) => sum + records.length, 0),
    lostWithTail: lostWithTail.size,
  };
}

/** Events that the store lost and reported to their producer. Any other missing event is a fault. */
function toldLost(history: StreamHistory, logged: readonly LoggedEvent[], rejected: readonly string[]): Set<string> {
  if (!history.mayLoseTail) return new Set();
  const kept = new Set([...logged.map(({ id }) => id), ...rejected]);
  const isTold = ({ producer, partition, order }: SentEvent) =>
    history.lost.some(
      (lost) => lost.producer === producer && lost.partition === partition && order > lost.from && order <= lost.to,
    );
  return new Set(history.sent.filter((event) => !kept.has(event.id) && isTold(event)).map(({ id }) => id));
}

/** Whether a reader has come to the end of the log. Gaps in its records are checked elsewhere. */
function checkEnds({ stream, readers }: StreamHistory, logged: readonly LoggedEvent[]): Problem[] {
  const problems: Problem[] = [];
  for (const { reader, partition, observations } of readers) {
    const end = logged.findLast((event) => event.partition === partition);
    const seen = observations.findLast(({ kind }) => kind === "record");
    if (end === undefined || (seen?.kind === "record" && seen.id === end.id)) continue;
    problems.push({ kind: "not delivered", detail: `${end.id}, the last of ${stream}/${partition}, to ${reader}` });
  }
  return problems;
}

async function archiveOf(
  stream: string,
  partition: number,
  records: readonly LoggedEvent[],
  log: Log,
  directory: string,
): Promise<SinkHistory> {
  const reference = { stream, partition: partitionId(partition) };
  const checkpoint = (await log.readCheckpoints(reference)).get(`sink/archive_${stream}`);
  const lines = (await readFileSink(directory, reference, checkpoint)).join("").split("\n").slice(0, -1);
  return {
    sink: `archive_${stream}`,
    partition,
    // The file names no positions: line n must be the record at offset n.
    records: lines.map((line, at) => ({
      epoch: records[at]?.epoch ?? Number.MAX_SAFE_INTEGER,
      offset: at,
      id: String((JSON.parse(line) as { id: string }).id),
    })),
    deadLetters: [],
  };
}

/** E15: every record to be posted was posted at least once, under one key that no other record had. */
export async function checkRequests(file: string, posted: readonly string[]): Promise<Problem[]> {
  const problems: Problem[] = [];
  const keys = new Map<string, string>();
  const ids = new Map<string, string>();
  for (const line of (await readFile(file, "utf8")).split("\n").slice(0, -1)) {
    const at = line.indexOf(" ");
    const [key, { id }] = [line.slice(0, at), JSON.parse(line.slice(at + 1)) as { readonly id: string }];
    if (keys.has(id) && keys.get(id) !== key) {
      problems.push({ kind: "delivered twice", detail: `${id} to the endpoint as ${keys.get(id)} and as ${key}` });
    }
    if (ids.has(key) && ids.get(key) !== id) {
      problems.push({ kind: "inconsistent offset", detail: `${key} is ${ids.get(key)} and ${id} to the endpoint` });
    }
    keys.set(id, key);
    ids.set(key, id);
  }
  for (const id of posted) if (!keys.has(id)) problems.push({ kind: "not delivered", detail: `${id} to the endpoint` });
  return problems;
}

/** The records of one channel of a partition, from the first one on. */
export async function* readAll(log: Log, stream: string, partition: number, channel: Channel) {
  const reference = { stream, partition: partitionId(partition) };
  let after: Position | undefined;
  for (;;) {
    const request = { channel, after, committedOffset: offset(Number.MAX_SAFE_INTEGER), bytesMax: 1_000_000 };
    const result = await log.read(reference, request);
    if (result.kind !== "records") throw new Error(`the log of ${stream}/${partition} is ${result.kind}`);
    let seen = 0;
    for (const record of recordsOf(result.batches, (after?.offset ?? -1) + 1)) {
      after = record.position;
      seen += 1;
      yield record;
    }
    if (seen === 0) return;
  }
}
