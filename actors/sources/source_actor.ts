/**
 * Runs one source: reads batches, sends their events through a producer of its own, and stores each batch's resume
 * point once the events before it are acknowledged. The chains of the log remove events that are read twice (E3, E6).
 *   O1. A resume point is stored only after every event before it is durable or set aside.
 *   O2. A batch without events is a resume point that must be stored before the next batch is read.
 *   O3. An event in doubt ends this life of the source. The next life resumes from the stored point.
 *   O4. A stop waits a bounded time for sent events, even if the log, the file or the stream hangs. The next life reads
 *       these events again, and the chains remove those that were stored.
 */
import { Producer, type ProducerOptions } from "../../protocols/client/producer/producer.ts";
import type { Connect } from "../../protocols/connection.ts";
import { UnavailableError } from "../../protocols/errors.ts";
import { decodeTrustedEvents, encodeEvents } from "../../protocols/values/event_codec.ts";
import { UnreadableInput } from "../../protocols/values/unreadable.ts";
import type { ActorContext, ActorDefinition } from "../kernel/actor.ts";
import { settledWithin } from "../kernel/settled_within.ts";
import type { Log } from "../log/log.ts";
import type { SourceBatch, SourceContext, SourceDefinition, SourcePosition } from "./source.ts";

/** Most batches sent behind the oldest unacknowledged one. Node warns beyond 10 listeners to a signal. */
const BATCHES_AHEAD_MAX = 8;
/** O4: the wait of a stop for sent events, in ms. */
const STOP_WITHIN_MS = 1_500;
/** The wait for calls that were given up, in ms: a call to a store out of reach may never end. */
const GIVEN_UP_WITHIN_MS = 250;
/** The wait for sent events when a life ends by itself, in ms. */
const CLOSE_WITHIN_MS = 5_000;

export interface SourceOptions<Options> {
  readonly name: string;
  readonly stream: string;
  readonly definition: SourceDefinition<Options>;
  readonly options: Options;
  readonly connect: Connect;
  readonly log: Pick<Log, "readMetadata" | "writeMetadata">;
  readonly report: SourceContext["log"];
  readonly trouble: SourceContext["trouble"];
  readonly onRejected: NonNullable<ProducerOptions["onRejected"]>;
}

export type SourceMessage = { readonly type: "ended"; readonly error: unknown };

export const sourceActor = <Options>(options: SourceOptions<Options>): ActorDefinition<SourceMessage> => ({
  name: options.name.replaceAll("/", "-"),
  start(context) {
    const life = new AbortController();
    const failure = new AbortController();
    const running = run(options, context, life.signal, failure).then(
      () => undefined,
      (error: unknown) => error,
    );
    void running.then((error) => {
      if (!life.signal.aborted) context.self.tell({ type: "ended", error });
    });
    return {
      receive(message) {
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
});

async function run<Options>(
  options: SourceOptions<Options>,
  context: ActorContext<SourceMessage>,
  signal: AbortSignal,
  failure: AbortController,
): Promise<void> {
  const { name, definition, report, trouble } = options;
  const progress = await readProgress(options);
  const reader = await definition.open(
    options.options,
    { name, nowMs: () => context.nowMs(), log: report, trouble },
    progress.resume,
  );
  const producer = new Producer({
    connect: options.connect,
    addresses: ["this node"],
    producerId: `source/${name}`,
    instance: context.newId(),
    stream: options.stream,
    client: `source ${name}`,
    onRejected: options.onRejected,
    setsAsideUnsendable: true, // the reader moves past the record, so it must become a dead letter
    onInDoubt: (_events, error) => failure.abort(error),
  });
  try {
    await pump(producer, progress, reader.read(AbortSignal.any([signal, failure.signal])), failure.signal);
    failure.signal.throwIfAborted();
  } finally {
    await producer.close({ timeoutMs: failure.signal.aborted ? 0 : CLOSE_WITHIN_MS });
    await reader.close();
  }
}

async function pump(
  producer: Producer,
  progress: Progress,
  batches: AsyncIterable<SourceBatch>,
  failure: AbortSignal,
): Promise<void> {
  const ahead: Promise<void>[] = [];
  const settle = async (resume: SourcePosition) => {
    await producer.flush({ signal: failure });
    await progress.store(resume); // O1
  };
  for await (const batch of batches) {
    for (const { item, term, position } of batch.items) {
      const event = item.kind === "event" ? item.event : new UnreadableInput(item.reason, item.original);
      await producer.send(event, { sequence: [term, position, 0], signal: failure });
    }
    const settled = settle(batch.resume);
    settled.catch(() => undefined); // awaited below, in order
    ahead.push(settled);
    while (ahead.length > (batch.items.length === 0 ? 0 : BATCHES_AHEAD_MAX)) await ahead.shift(); // O2
  }
  await Promise.all(ahead);
}

type Progress = Awaited<ReturnType<typeof readProgress>>;

async function readProgress<Options>({ log, name }: SourceOptions<Options>) {
  const key = `source/${name}`;
  const stored = await log.readMetadata(key);
  let version = stored?.version ?? 0;
  let last: Promise<void> = Promise.resolve();
  const write = async (resume: SourcePosition): Promise<void> => {
    const written = await log.writeMetadata(key, encodeEvents([resume], { asRecords: false }), version);
    if (written === undefined) {
      throw new UnavailableError(
        "NOT_READY",
        `Cannot store where ${name} resumes as one node alone may run it: another node has stored a resume point`,
      );
    }
    version = written;
  };
  return {
    resume: stored === undefined ? undefined : decodeTrustedEvents(stored.value)[0],
    store(resume: SourcePosition): Promise<void> {
      last = last.then(() => write(resume));
      return last;
    },
  };
}
