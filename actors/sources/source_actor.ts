/**
 * Runs one source, or one shard of it: reads batches, sends their events through a producer of its own, stores where to
 * resume once these events are acknowledged, and then acknowledges the batch to the place outside.
 *   O1. A resume point is stored only after every event before it is durable or set aside.
 *   O2. A batch without events is a resume point that must be stored before the next batch is read.
 *   O3. An event in doubt ends this life of the source. The next life resumes from the stored point.
 *   O4. A stop waits a bounded time for sent events, even if the log, the file or the stream hangs. The next life reads
 *       these events again, and the chains remove those that were stored.
 *   O5. A batch is acknowledged after its resume point is stored, in the order of the batches. An acknowledgement that
 *       fails, or takes longer than `ACKNOWLEDGE_WITHIN_MS`, ends this life, also while no further batch comes.
 *   O6. Items that are read twice are removed by their positions (`shard/placed_sender.ts`, E3, E6), or by their
 *       messages' ids (`shard/named_sender.ts`).
 *   O7. Each event keeps the trace context of its own message.
 *   O8. Where the stream has lost acknowledged events with its tail, this life ends. The next one resumes from before them,
 *       if items are known by their positions: those can be read again (E6).
 */
import { Producer, type ProducerOptions } from "../../protocols/client/producer/producer.ts";
import { Resending } from "../../protocols/client/producer/resending.ts";
import type { Connect } from "../../protocols/connection.ts";
import { ConfigurationError, reasonOf, UnavailableError } from "../../protocols/errors.ts";
import type { StreamDescription } from "../../protocols/wire/frames.ts";
import type { ActorContext, ActorDefinition } from "../kernel/actor.ts";
import { settledWithin } from "../kernel/settled_within.ts";
import { EMPTY_CHAIN_KEPT_MS } from "../log/log.ts";
import { type MessageFields, PartitionChoice } from "./shard/item_events.ts";
import { type Again, noted, resumeBefore } from "./shard/lost_events.ts";
import { NamedSender } from "./shard/named_sender.ts";
import { PlacedSender } from "./shard/placed_sender.ts";
import { type ResumePoint, readResumePoint, type SourceStore } from "./shard/resume_point.ts";
import type { NamedItem, PlacedItem, SourceBatch, SourceContext, SourceDefinition, SourceReader } from "./source.ts";

/** Most batches sent behind the oldest unacknowledged one. Node warns beyond 10 listeners to a signal. */
const BATCHES_AHEAD_MAX = 8;
/** O4: the wait of a stop for sent events, in ms. */
const STOP_WITHIN_MS = 1_500;
/** The wait for calls that were given up, in ms: a call to a store out of reach may never end. */
const GIVEN_UP_WITHIN_MS = 250;
/** The wait for sent events when a life ends by itself, and then for the reader to close, in ms. */
const CLOSE_WITHIN_MS = 5_000;
/** O5: longer than a broker takes to answer under load. */
const ACKNOWLEDGE_WITHIN_MS = 30_000;
/** Chains without items are opened again three times in the minute for which the log keeps them (named sender N3). */
const KEEP_EVERY_MS = EMPTY_CHAIN_KEPT_MS / 3;

export interface SourceOptions<Options> {
  /** `<source>`, or `<source>/<shard>`: names the producer and the stored resume point. */
  readonly name: string;
  /** Name of the actor. Default: the source's name. */
  readonly actorName?: string;
  /** The shard to read; absent for a source without shards. */
  readonly shard?: string;
  readonly stream: string;
  /** The stream as the node knows it: needed for keys of messages, and for sources with `identity: message_id`. */
  readonly describe?: () => Pick<StreamDescription, "partitions" | "key"> | undefined;
  readonly definition: SourceDefinition<Options, PlacedItem> | SourceDefinition<Options, NamedItem>;
  readonly options: Options;
  /** The event's fields for the message's headers and time. */
  readonly fields?: MessageFields;
  readonly connect: Connect;
  readonly log: SourceStore;
  readonly report: SourceContext["log"];
  readonly trouble: SourceContext["trouble"];
  readonly lost?: NonNullable<SourceContext["lost"]>;
  readonly onRejected: NonNullable<ProducerOptions["onRejected"]>;
  readonly acknowledgeWithinMs?: number;
  readonly keepEveryMs?: number;
}

export type SourceMessage = { readonly type: "ended"; readonly error: unknown } | { readonly type: "keep" };

type AnyItem = PlacedItem | NamedItem;
type AnyBatch = SourceBatch<AnyItem>;
type AnyReader = SourceReader<AnyItem>;

export function sourceActor<Options>(options: SourceOptions<Options>): ActorDefinition<SourceMessage> {
  // Outlives a life, so that a loss is made good however often the store is away meanwhile.
  let again: Again | undefined;
  return {
    name: options.actorName ?? options.name.replaceAll("/", "-"),
    start(context) {
      if (options.definition.identity !== "message_id") again ??= new Resending(options.stream, () => context.nowMs());
      const life = new AbortController();
      const failure = new AbortController();
      let keep: (() => void) | undefined;
      // A timer of the actor, so that a node which is gone without a stop, as in the simulation, leaves nothing behind.
      const keepLater = () => context.after(options.keepEveryMs ?? KEEP_EVERY_MS, { type: "keep" });
      const keeping = (next: (() => void) | undefined) => {
        keep = next;
        if (next !== undefined) keepLater();
      };
      const running = run(options, context, life.signal, failure, keeping, again).then(
        () => undefined,
        (error: unknown) => error,
      );
      void running.then((error) => {
        if (!life.signal.aborted) context.self.tell({ type: "ended", error });
      });
      return {
        receive(message) {
          if (message.type === "keep") {
            if (keep === undefined) return;
            keep();
            keepLater();
            return;
          }
          throw (
            message.error ??
            new UnavailableError(
              "CONNECTION_LOST",
              `Cannot go on reading ${options.name} as a source must not end: its reader ended`,
            )
          );
        },
        async stop() {
          life.abort();
          if (await settledWithin(running, STOP_WITHIN_MS)) return;
          failure.abort(new UnavailableError("STOPPING", `Cannot wait for ${options.name} as it was stopped`));
          await settledWithin(running, GIVEN_UP_WITHIN_MS);
        },
      };
    },
  };
}

async function run<Options>(
  options: SourceOptions<Options>,
  context: ActorContext<SourceMessage>,
  signal: AbortSignal,
  failure: AbortController,
  keeping: (keep: (() => void) | undefined) => void,
  again: Again | undefined,
): Promise<void> {
  const { name, shard, definition, report, trouble, lost = () => {} } = options;
  const point = await readResumePoint(options.log, name);
  const about = {
    ...{ name, nowMs: () => context.nowMs(), log: report, trouble, lost },
    ...(shard === undefined ? {} : { shard }),
  };
  const producer = new Producer({
    connect: options.connect,
    addresses: ["this node"],
    producerId: `source/${name}`,
    instance: context.newId(),
    stream: options.stream,
    client: `source ${name}`,
    tracesApart: true, // O7
    onRejected: options.onRejected,
    setsAsideUnsendable: true, // the reader moves past the record, so it must become a dead letter
    onInDoubt: (_events, error) => failure.abort(error),
    ...again?.options,
  });
  const goBack = () => resumeBefore({ ...options, producer, point, again: again as Again });
  let reader: AnyReader | undefined;
  try {
    const resume = again?.hasLost === true ? await unlessAborted(goBack(), failure.signal) : point.stored;
    reader = await definition.open(options.options, about, resume);
    const sender = await unlessAborted(senderOf(options, producer, context), failure.signal);
    keeping(sender.keep);
    const settled = settling(options, producer, point, reader, sender, failure.signal);
    const settle: Settle = async (batch, mark) => {
      await settled(batch, mark);
      if (batch.items.length > 0) again?.settle();
    };
    const batches = reader.read(AbortSignal.any([signal, failure.signal]));
    await pump(
      sender,
      again === undefined ? batches : noted(batches as AsyncIterable<SourceBatch>, resume, again),
      settle,
      failure,
    );
    failure.signal.throwIfAborted();
  } finally {
    keeping(undefined);
    await producer.close({ timeoutMs: failure.signal.aborted ? 0 : CLOSE_WITHIN_MS });
    if (reader !== undefined) await closeReader(reader, report);
  }
}

async function closeReader(reader: AnyReader, report: SourceContext["log"]): Promise<void> {
  const closing = reader.close().catch((error: unknown) => {
    report("warn", "the reader has failed to close", { error: reasonOf(error) });
  });
  if (!(await settledWithin(closing, CLOSE_WITHIN_MS))) {
    report("warn", `the reader has not closed within ${CLOSE_WITHIN_MS} ms`);
  }
}

/** Sends the items of a batch. `settle` takes what `send` has answered, once these items are acknowledged. */
interface Sender {
  send(items: readonly AnyItem[], signal: AbortSignal): Promise<number>;
  settle(mark: number): void;
  /** Called every `keepEveryMs`. */
  readonly keep?: () => void;
}

/** O6 */
async function senderOf<Options>(
  { name, stream, definition, describe, fields = {}, log }: SourceOptions<Options>,
  producer: Producer,
  { nowMs }: ActorContext<SourceMessage>,
): Promise<Sender> {
  const described = describe?.();
  const choice = described === undefined ? undefined : new PartitionChoice(described);
  if (definition.identity !== "message_id") {
    const placed = new PlacedSender({ name, producer, fields, choice });
    return {
      send: async (items, signal) => {
        await placed.send(items as readonly PlacedItem[], signal);
        return 0;
      },
      settle: () => {},
    };
  }
  if (choice === undefined) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot run source ${name} as its stream must be known to the node: current value is ${stream}`,
    );
  }
  const named = await NamedSender.open({ name, stream, producer, log, fields, choice, nowMs });
  return {
    send: (items, signal) => named.send(items as readonly NamedItem[], signal),
    settle: (mark) => named.settle(mark),
    keep: () => named.keep(),
  };
}

type Settle = (batch: AnyBatch, mark: number) => Promise<void>;

/** What follows the sending of a batch, in the order of the batches: O1, then O5. */
function settling<Options>(
  { name, acknowledgeWithinMs = ACKNOWLEDGE_WITHIN_MS }: SourceOptions<Options>,
  producer: Producer,
  point: ResumePoint,
  reader: AnyReader,
  sender: Sender,
  failure: AbortSignal,
): Settle {
  let last: Promise<void> = Promise.resolve();
  const acknowledge = async (batch: AnyBatch) => {
    if (reader.acknowledge === undefined) return;
    const acknowledged = reader.acknowledge(batch);
    if (await settledWithin(acknowledged, acknowledgeWithinMs)) return acknowledged;
    throw new UnavailableError(
      "TIMEOUT",
      `Cannot go on reading ${name} as a batch must be acknowledged in time: no answer came within ${acknowledgeWithinMs} ms`,
    );
  };
  const settle = async (batch: AnyBatch, mark: number, before: Promise<void>) => {
    await producer.flush({ signal: failure });
    await before;
    sender.settle(mark);
    if (batch.resume !== undefined) await point.store(batch.resume); // O1
    await acknowledge(batch); // O5
  };
  return (batch, mark) => {
    last = settle(batch, mark, last);
    return last;
  };
}

async function pump(
  sender: Sender,
  batches: AsyncIterable<AnyBatch>,
  settle: Settle,
  failure: AbortController,
): Promise<void> {
  const ahead: Promise<void>[] = [];
  for await (const batch of batches) {
    const mark = await sender.send(batch.items, failure.signal);
    const settled = settle(batch, mark);
    settled.catch((error: unknown) => failure.abort(error)); // also while the reader waits for more
    ahead.push(settled);
    while (ahead.length > (batch.items.length === 0 ? 0 : BATCHES_AHEAD_MAX)) await ahead.shift(); // O2
  }
  await Promise.all(ahead);
}

/** Ends a wait that has no signal of its own. */
function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
