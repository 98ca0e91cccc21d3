/**
 * Checks the history of a run and names every problem. It knows nothing of the system, only the history: the events
 * sent, the answers to senders, the log at the end, and the records of each reader. The history comes from a simulation
 * or from real processes. The checks are those of Jepsen's kafka workload, with checks of exactly-once delivery and of
 * dead letters.
 */

export interface SentEvent {
  /** Unique in the run. */
  readonly id: string;
  readonly producer: string;
  /** Undefined where the sender left the choice to the node. */
  readonly partition: number | undefined;
  /** The sender's own count: ascending in order of sending. */
  readonly order: number;
}

/**
 * `acked`: stored; `rejected`: set aside with a verdict; `refused`: neither, by a fault of the program; `in_doubt`:
 * stored or not; `open`: the sender died first.
 */
export type Told = "acked" | "rejected" | "refused" | "in_doubt" | "open";

export interface Place {
  readonly epoch: number;
  readonly offset: number;
}

export interface LoggedEvent extends Place {
  readonly partition: number;
  readonly id: string;
}

/** What one reader of one partition saw, in order. */
export type Observation =
  | ({ readonly kind: "record"; readonly id: string } & Place)
  /** The reader was told to go on at `offset`: the records between were trimmed, or the records behind were lost. */
  | { readonly kind: "trimmed" | "truncated"; readonly offset: number };

export interface ReaderHistory {
  readonly reader: string;
  readonly partition: number;
  readonly observations: readonly Observation[];
}

/** The records of a sink at the end, in the order of its writes, and its dead letters. */
export interface SinkHistory {
  readonly sink: string;
  readonly partition: number;
  readonly records: readonly (Place & { readonly id: string })[];
  readonly deadLetters: readonly string[];
  /** Events that a step filtered out. */
  readonly filtered?: ReadonlySet<string>;
}

export interface History {
  readonly sent: readonly SentEvent[];
  /** The last outcome that the sender was told for each event; absent where it was told none. */
  readonly told: ReadonlyMap<string, Told>;
  /** The log at the end, by partition and offset, records that retention removed included. */
  readonly log: readonly LoggedEvent[];
  /** Events set aside at validation, with repetitions. */
  readonly rejected: readonly string[];
  readonly readers: readonly ReaderHistory[];
  readonly sinks: readonly SinkHistory[];
  /** Events that the log held and lost with an unflushed tail: the stated loss of a tier below `fsync`. */
  readonly lostWithTail: ReadonlySet<string>;
  /** First offset that retention left, by partition. A sink may lack earlier records only if `mayTrimUnread`. */
  readonly firstOffsets: ReadonlyMap<number, number>;
  readonly mayTrimUnread: boolean;
}

export type ProblemKind =
  | "lost"
  | "duplicated"
  | "reordered"
  | "skipped"
  | "inconsistent offset"
  | "non-monotonic"
  | "never sent"
  | "untold"
  | "not delivered"
  | "delivered twice"
  | "delivered and set aside";

export interface Problem {
  readonly kind: ProblemKind;
  readonly detail: string;
}

/** Every problem of a history, worst first by kind; empty for a history that keeps the guarantees. */
export function checkHistory(history: History): Problem[] {
  const problems: Problem[] = [];
  const say = (kind: ProblemKind, detail: string) => problems.push({ kind, detail });
  checkAcks(history, say);
  checkLog(history, say);
  checkOrder(history, say);
  checkOffsets(history, say);
  for (const reader of history.readers) checkReader(reader, history, say);
  for (const sink of history.sinks) checkSink(sink, history, say);
  return problems;
}

type Say = (kind: ProblemKind, detail: string) => void;

/**
 * G1: acknowledged events are in the log, rejected ones are set aside, and every sender that lived was told an outcome.
 */
function checkAcks({ sent, told, log, rejected, lostWithTail }: History, say: Say): void {
  const stored = new Set(log.map(({ id }) => id));
  const aside = new Set(rejected);
  for (const { id } of sent) {
    const was = told.get(id);
    if (was === undefined) say("untold", `${id}: its sender was told nothing`);
    if (lostWithTail.has(id)) continue;
    if (was === "acked" && !stored.has(id)) {
      say("lost", `${id} was acked and is ${aside.has(id) ? "among the rejected" : "not in the log"}`);
    }
    if (was === "refused" && (stored.has(id) || aside.has(id)))
      say("duplicated", `${id} was refused and is in the log`);
    if (was === "rejected" && !aside.has(id)) say("lost", `${id} was rejected and is not in the dead letters`);
  }
}

function checkLog({ sent, log, rejected }: History, say: Say): void {
  const known = new Set(sent.map(({ id }) => id));
  const seen = new Map<string, LoggedEvent>();
  for (const event of log) {
    if (!known.has(event.id)) say("never sent", `${event.id} at ${text(event)} of partition ${event.partition}`);
    const first = seen.get(event.id);
    if (first !== undefined) {
      say("duplicated", `${event.id} at ${text(first)} and at ${text(event)} of partition ${event.partition}`);
    }
    seen.set(event.id, event);
  }
  const aside = new Set<string>();
  for (const id of rejected) {
    if (aside.has(id)) say("duplicated", `${id} is in the dead letters twice`);
    if (seen.has(id)) say("duplicated", `${id} is in the log and in the dead letters`);
    aside.add(id);
  }
}

/** G2: per producer and partition the log holds events in the order in which they were sent. */
function checkOrder({ sent, log }: History, say: Say): void {
  const byId = new Map(sent.map((event) => [event.id, event]));
  const last = new Map<string, SentEvent>();
  for (const { id, partition } of [...log].sort((a, b) => a.partition - b.partition || a.offset - b.offset)) {
    const event = byId.get(id);
    if (event === undefined) continue;
    const chain = `${event.producer} ${partition}`;
    const before = last.get(chain);
    if (before !== undefined && before.order > event.order) {
      say("reordered", `${id} of ${event.producer} lies after ${before.id} in partition ${partition}`);
    }
    last.set(chain, event);
  }
}

/** One position holds one event, for every reader at every time. */
function checkOffsets({ log, readers, sinks }: History, say: Say): void {
  const held = new Map<string, string>();
  const look = (partition: number, place: Place, id: string, who: string) => {
    const key = `${partition} ${text(place)}`;
    const before = held.get(key);
    if (before === undefined) held.set(key, id);
    else if (before !== id) say("inconsistent offset", `${key} holds ${before}, and ${id} to ${who}`);
  };
  for (const event of log) look(event.partition, event, event.id, "the log");
  for (const { reader, partition, observations } of readers) {
    for (const one of observations) if (one.kind === "record") look(partition, one, one.id, reader);
  }
  for (const { sink, partition, records } of sinks) for (const one of records) look(partition, one, one.id, sink);
}

/** A reader sees every offset once and in order, except those that it was told were trimmed or lost. */
function checkReader({ reader, partition, observations }: ReaderHistory, _history: History, say: Say): void {
  let next: number | undefined;
  let epoch = 0;
  for (const one of observations) {
    if (one.kind !== "record") {
      next = one.offset;
      continue;
    }
    const at = `${reader} of partition ${partition} at ${text(one)}`;
    if (next !== undefined && one.offset > next) say("skipped", `${at}: offset ${next} was expected`);
    if (next !== undefined && one.offset < next) say("non-monotonic", `${at}: offset ${next} was expected`);
    if (one.epoch < epoch) say("non-monotonic", `${at}: epoch ${epoch} was read before`);
    epoch = one.epoch;
    next = one.offset + 1;
  }
}

/** G3: a transactional sink holds each surviving record once and in order, or its dead letters do. */
function checkSink({ sink, partition, records, deadLetters, filtered }: SinkHistory, history: History, say: Say): void {
  const survivors = history.log.filter((event) => event.partition === partition).map(({ id }) => id);
  const delivered = new Map<string, Place>();
  let last: Place | undefined;
  for (const record of records) {
    if (delivered.has(record.id)) say("delivered twice", `${record.id} to ${sink} of partition ${partition}`);
    delivered.set(record.id, record);
    if (last !== undefined && (record.epoch - last.epoch || record.offset - last.offset) <= 0) {
      say("non-monotonic", `${sink} of partition ${partition} holds ${text(record)} after ${text(last)}`);
    }
    last = record;
  }
  const aside = new Set(deadLetters);
  for (const id of aside) if (delivered.has(id)) say("delivered and set aside", `${id} by ${sink}`);
  for (const [at, id] of deadLetters.entries()) {
    if (deadLetters.indexOf(id) !== at) say("duplicated", `${id} was set aside twice by ${sink}`);
  }
  const firstOffset = history.firstOffsets.get(partition) ?? 0;
  for (const [at, id] of survivors.entries()) {
    if (delivered.has(id) || aside.has(id) || filtered?.has(id) === true || history.lostWithTail.has(id)) continue;
    if (history.mayTrimUnread && at < firstOffset) continue;
    say("not delivered", `${id} to ${sink} of partition ${partition}`);
  }
  const surviving = new Set(survivors);
  for (const id of delivered.keys()) {
    if (!surviving.has(id) && !history.lostWithTail.has(id))
      say("never sent", `${id} is in ${sink} and not in the log`);
  }
}

const text = ({ epoch, offset }: Place): string => `${epoch}/${offset}`;
