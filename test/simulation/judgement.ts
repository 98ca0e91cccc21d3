/** The end of a run: the work that is left, and the checker's judgement of everything sent, told, stored and read. */
import type { Event } from "../../protocols/event.ts";
import { comparePositions, type Position } from "../../protocols/position.ts";
import { checkHistory, type History, type SentEvent, type Told } from "../support/checker.ts";
import { kindOf, type Reader, type Sender } from "./parts/simulated_clients.ts";
import type { SinkModel } from "./parts/simulated_sink.ts";
import type { SimulatedStore } from "./parts/simulated_store.ts";
import type { World } from "./parts/world.ts";

export interface Evidence {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly sinks: readonly SinkModel[];
  readonly reader: Reader;
  readonly senders: readonly Sender[];
  readonly sent: readonly SentEvent[];
  readonly told: ReadonlyMap<string, Told>;
  /** Whether retention may take records that a sink has not read. */
  readonly mayTrimUnread: boolean;
}

/** The first records of the ledger that a sink or the subscriber has not read, or undefined. */
export function undelivered({ store, sinks, reader }: Evidence): string | undefined {
  for (const [partition, ledger] of store.ledger.entries()) {
    const last = ledger.at(-1);
    const end = last === undefined ? undefined : ({ epoch: last.epoch, offset: last.offset } as Position);
    const { covered = 0, end: outputs = 0 } = store.computed[partition] ?? {};
    for (const sink of sinks) {
      const at = sink.stored(partition).position;
      if (sink.readsOutbox) {
        // An input without outputs is covered together with the next one that has some.
        const next = ledger.slice(covered).find(({ id }) => kindOf(id) !== "filtered");
        if (next !== undefined) return `the pipeline has not computed ${next.id} of partition ${partition}`;
        if ((at?.offset ?? -1) + 1 < outputs)
          return `${sink.name}/${partition} is at ${at?.offset} of ${outputs} outputs`;
        continue;
      }
      if (comparePositions(at, end) >= 0) continue;
      return `${sink.name}/${partition} is at ${JSON.stringify(at)}, the end is ${JSON.stringify(end)}`;
    }
    const read = reader.nextOffset(partition);
    if (read < ledger.length) return `the subscriber is at ${read} of ${ledger.length} in partition ${partition}`;
  }
  return undefined;
}

/** The place of an output's input. The pipeline's counts show that it saw each input once, in order (E13). */
function inputOf({ world, store }: Evidence, partition: number, output: Event): { epoch: number; offset: number } {
  const input = store.ledger[partition]?.find(({ id }) => id === output.id);
  if (input === undefined) world.problem(`E13: ${output.id} was computed of nothing in partition ${partition}`);
  else if (output.count !== input.offset + 1)
    world.problem(
      `E13: ${output.id} is counted as ${output.count} at offset ${input.offset} of partition ${partition}`,
    );
  return input ?? { epoch: 0, offset: 0 };
}

/** Reports every problem that the checker finds to the world. */
export async function judge(evidence: Evidence): Promise<void> {
  const { world, store, sinks, reader, senders, sent, told, mayTrimUnread } = evidence;
  await store.absorb();
  const log = store.ledger.flat();
  const stored = new Set(log.map(({ id }) => id));
  for (const sender of senders) {
    for (const id of sender.untoldLosses(stored)) world.problem(`E6: ${id} was lost with a tail, untold`);
  }
  const filtered = new Set(log.map(({ id }) => id).filter((id) => kindOf(id) === "filtered"));
  const history: History = {
    sent,
    told,
    log,
    rejected: store.lettersOf("rejected").flatMap(({ id }) => (id === undefined ? [] : [id])),
    readers: reader.observations.map((observations, partition) => ({
      reader: "the subscriber",
      partition,
      observations,
    })),
    sinks: sinks.flatMap((sink) =>
      store.partitions.map((_, partition) => ({
        sink: sink.name,
        partition,
        // A sink that cannot go back has reported its records of a lost tail as orphans (E9).
        records: sink
          .stored(partition)
          .records.filter(
            ({ position }) =>
              sink.canRewind || !store.lostPlaces.has(`${partition}/${position.epoch}/${position.offset}`),
          )
          .map(({ position, event }) => {
            const id = String(event.id);
            const { epoch, offset } = sink.readsOutbox ? inputOf(evidence, partition, event) : position;
            return { epoch, offset, id };
          }),
        deadLetters: store
          .lettersIn(partition, `dead_letters/${sink.name}`)
          .flatMap(({ id }) => (id === undefined ? [] : [id])),
        filtered,
      })),
    ),
    lostWithTail: store.lostIds,
    firstOffsets: new Map(store.partitions.map((_, at) => [at, store.trimmedTo[at] ?? 0])),
    mayTrimUnread,
  };
  for (const { kind, detail } of checkHistory(history)) world.problem(`${kind}: ${detail}`);
}
