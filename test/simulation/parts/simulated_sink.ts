/**
 * Transactional sinks outside the node: each stores fence, position and output together, as actors/sinks/sink.ts demands.
 * They outlive the nodes, and a write of a node that has died may still arrive.
 */
import { untilAborted } from "../../../actors/sinks/delivery/delivery_operation.ts";
import type {
  SinkBatch,
  SinkCall,
  SinkContext,
  SinkDefinition,
  SinkRecord,
  WriteOutcome,
} from "../../../actors/sinks/sink.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import { comparePositions, epoch, type Position } from "../../../protocols/position.ts";
import type { OutsideCalls } from "./outside_calls.ts";
import type { SimulatedStore } from "./simulated_store.ts";

export interface SinkBugs {
  readonly hasNoFence?: boolean;
  readonly hasNoPredecessorCheck?: boolean;
  readonly storesPositionFirst?: boolean;
  /** A planted bug: the position of every sink is that of the sink that moved last. */
  readonly sharesPosition?: boolean;
  readonly answersPositionInOwnEpoch?: boolean;
  /** The position of a sink that holds batches passes those that it may still lose. */
  readonly passesHeld?: boolean;
}

/** One opening of a sink: it ends with its node, and what it holds is lost then (sink S10). */
interface Opening {
  readonly partition: number;
  readonly fence: number;
  readonly node: OutsideCalls;
  readonly store: SimulatedStore;
  readonly held: SinkBatch[];
}

interface Stored {
  /** The end of the last batch that was ever held: where a planted bug says that the sink stands. */
  furthest?: Position;
  fence: number;
  position: Position | undefined;
  records: SinkRecord[];
  readonly refused: Set<string>;
}

/** The probability that a write makes some of the held batches durable. */
const DURABLE_SHARE = 0.3;

const key = (at: Position | undefined): string => (at === undefined ? "none" : `${at.epoch}/${at.offset}`);

export class SinkModel {
  readonly name: string;
  readonly canRewind: boolean;
  /** Whether the sink reads a pipeline's outbox, at positions of the outbox. */
  readsOutbox = false;
  /** Whether the sink takes batches and makes them durable later (sink S10). */
  holds = false;
  /** Every write fails. */
  isAway = false;
  readonly #partitions: Stored[] = [];
  /** The last opening of each partition. */
  readonly #openings: Opening[] = [];
  readonly #bugs: SinkBugs;
  readonly #shared: (Position | undefined)[];

  constructor(name: string, canRewind: boolean, bugs: SinkBugs, shared: (Position | undefined)[]) {
    this.name = name;
    this.canRewind = canRewind;
    this.#bugs = bugs;
    this.#shared = shared;
  }

  stored(partition: number): Stored {
    this.#partitions[partition] ??= { fence: 0, position: undefined, records: [], refused: new Set() };
    return this.#partitions[partition];
  }

  definition(node: OutsideCalls, store: SimulatedStore): SinkDefinition<unknown> {
    return {
      type: "model",
      delivery: "transactional",
      optionsSchema: {},
      open: async (_options: unknown, context: SinkContext, opening?: SinkCall) => {
        const { partition } = context.partition;
        const stored = this.stored(partition);
        const { fence } = context;
        // A call that is given up ends at once for its caller, and may still take effect. The fence and the position make
        // that harmless.
        const operate = <Value>(what: string, call: SinkCall | undefined, perform: () => Value): Promise<Value> =>
          untilAborted(
            node.operate(`sink ${what}`, undefined, sinkError, async () => ({ value: perform(), onAnswer: () => {} })),
            call?.signal,
          );
        await operate("open", opening, () => {
          stored.fence = Math.max(stored.fence, fence);
        });
        const opened: Opening = { partition, fence, node, store, held: [] };
        if ((this.#openings[partition]?.held.length ?? 0) > 0)
          node.world.count("sink: held batches were lost with their writer");
        this.#openings[partition] = opened;
        const writer = {
          position: (call?: SinkCall) => operate("position", call, () => this.#position(partition, fence)),
          write: (batch: SinkBatch, call?: SinkCall) => operate("write", call, () => this.#write(opened, batch)),
          close: async () => {},
        };
        if (this.holds)
          return { ...writer, flush: (call?: SinkCall) => operate("flush", call, () => this.#flush(opened)) };
        if (!this.canRewind) return writer;
        const rewind = (to: Position | undefined, from: Position | undefined, call?: SinkCall) =>
          operate("rewind", call, () => {
            if (stored.fence !== fence || comparePositions(stored.position, from) !== 0) return;
            stored.records = stored.records.filter((record) => comparePositions(record.position, to) <= 0);
            stored.position = to;
          });
        return { ...writer, rewind };
      },
    };
  }

  #position(partition: number, fence: number): Position | undefined {
    const { furthest } = this.stored(partition);
    if (this.#bugs.passesHeld === true && furthest !== undefined) return furthest;
    const at = this.#bugs.sharesPosition === true ? this.#shared[partition] : this.stored(partition).position;
    if (this.#bugs.answersPositionInOwnEpoch === true && at !== undefined) return { ...at, epoch: epoch(fence) };
    return at;
  }

  #write(opened: Opening, batch: SinkBatch): WriteOutcome {
    const { partition, fence, node, store, held } = opened;
    if (this.isAway) throw sinkError();
    const stored = this.stored(partition);
    const { world } = node;
    if (stored.fence !== fence && this.#bugs.hasNoFence !== true) return { kind: "fenced", fence: epoch(stored.fence) };
    const position = held.at(-1)?.end ?? this.#position(partition, fence);
    if (comparePositions(position, batch.end) === 0 && held.length === 0) return { kind: "duplicate" };
    if (comparePositions(position, batch.predecessor) !== 0 && this.#bugs.hasNoPredecessorCheck !== true) {
      world.count("sink: misplaced");
      held.length = 0;
      return { kind: "misplaced", position: this.#position(partition, fence) };
    }
    const rejected = batch.records.flatMap((record, at) => {
      const name = `${key(record.position)}/${record.index}`;
      const isRefused = stored.refused.has(name) || !world.isChaos || world.random.chance(0.8);
      if (record.event.kind !== "poison" || !isRefused) return [];
      stored.refused.add(name);
      return [{ at, code: "SINK_REJECTED", reason: "poison" }];
    });
    if (rejected.length > 0) {
      world.noteFault("a sink rejected records");
      return { kind: "rejected", records: rejected };
    }
    if (!this.readsOutbox) store.checkSeen(partition, batch.end, `sink ${this.name}`);
    if (this.holds) return this.#hold(opened, batch);
    stored.position = batch.end;
    this.#shared[partition] = batch.end;
    if (this.#bugs.storesPositionFirst === true && world.isChaos && world.random.chance(0.05)) {
      return { kind: "written" };
    }
    stored.records.push(...batch.records);
    world.count("sink writes");
    return { kind: "written" };
  }

  /** Takes the batch. Now and then the first of those that are held become durable by themselves. */
  #hold(opened: Opening, batch: SinkBatch): WriteOutcome {
    const { partition, fence, node, held } = opened;
    held.push(batch);
    const stored = this.stored(partition);
    if (comparePositions(batch.end, stored.furthest) > 0) stored.furthest = batch.end;
    node.world.count("sink: a batch was held");
    if (node.world.random.chance(DURABLE_SHARE)) this.#commit(opened, node.world.random.below(held.length + 1));
    return { kind: "held", durable: this.#position(partition, fence) };
  }

  #flush(opened: Opening): Position | undefined {
    const { partition, fence, held } = opened;
    if (this.isAway) throw sinkError();
    if (this.stored(partition).fence === fence) this.#commit(opened, held.length);
    return this.#position(partition, fence);
  }

  /** Makes the first `count` batches durable. They are lost if a late write of another opening has moved the position. */
  #commit({ partition, node, held }: Opening, count: number): void {
    const stored = this.stored(partition);
    for (const batch of held.splice(0, count)) {
      if (comparePositions(stored.position, batch.predecessor) !== 0 && this.#bugs.passesHeld !== true) {
        held.length = 0;
        return;
      }
      stored.position = batch.end;
      stored.records.push(...batch.records);
      node.world.count("sink writes");
    }
  }
}

export const sinkError = (): Error =>
  new UnavailableError("SINK_UNAVAILABLE", "Cannot tell the outcome of the write as the sink must answer: it did not");
