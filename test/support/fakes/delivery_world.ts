/**
 * A partition's log, its dead letters and a transactional sink in memory, and a delivery machine between these. Each
 * effect may be slow, fail, take place without an answer, or be cut off by a crash. Owners hand over in a planned way
 * too. The sink may hold batches in the memory of its writer (sink S10). One seed is one history.
 */

import { createDelivery, stepDelivery } from "../../../actors/sinks/delivery/delivery_machine.ts";
import {
  DELIVERY_LIMITS,
  type DeliveryEffect,
  type DeliveryItem,
  type DeliveryMessage,
  type DeliveryState,
} from "../../../actors/sinks/delivery/delivery_messages.ts";
import type { SinkBatch, SinkRecord, WriteOutcome } from "../../../actors/sinks/sink.ts";
import {
  comparePositions,
  type EpochStart,
  epoch,
  epochAt,
  judgeCursor,
  offset,
  type Position,
  position,
} from "../../../protocols/position.ts";
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";
import { type SeededRandom, seededRandom } from "../seeded_random.ts";

type RecordKind = "plain" | "filtered" | "failing" | "double" | "poison";

interface LogRecord {
  readonly position: Position;
  readonly kind: RecordKind;
  readonly id: number;
}

interface Store {
  records: LogRecord[];
  epochs: EpochStart[];
  letters: { readonly triple: Sequence }[];
  chainLast: Sequence | undefined;
  setAside: readonly Sequence[];
}

interface SinkModel {
  fence: number;
  position: Position | undefined;
  records: SinkRecord[];
  /** Every durable position that the sink ever had, under any fence. */
  readonly held: Set<string>;
  /** The batches in the memory of the present writer, which a commit makes durable together. */
  pending: SinkBatch[];
}

/** A planted bug of the machine or of the sink. */
export interface PlantedBug {
  readonly message?: (state: DeliveryState, message: DeliveryMessage, ownerEpoch: number) => DeliveryMessage;
  readonly effect?: (effect: DeliveryEffect, state: DeliveryState) => DeliveryEffect;
  readonly drops?: (effect: DeliveryEffect) => boolean;
  readonly hasNoFence?: boolean;
  readonly hasNoPredecessorCheck?: boolean;
  readonly storesPositionFirst?: boolean;
  /** The rewind removes every record that the sink holds by then. */
  readonly ignoresFrom?: boolean;
  /** Records that a writer once took are not read again. */
  readonly skipsHeld?: boolean;
  readonly forgetsToFlushAtStop?: boolean;
}

export interface WorldOptions {
  readonly canTruncate?: boolean;
  readonly canHold?: boolean;
}

interface Task {
  readonly effect: DeliveryEffect;
  readonly owner: number;
  /** The caller was told of a failure, or has died, but the effect still takes place. */
  readonly isOrphan: boolean;
}

const key = (at: Position | undefined) => (at === undefined ? "none" : `${at.epoch}/${at.offset}`);

export class DeliveryWorld {
  readonly random: SeededRandom;
  readonly faults: Record<string, number> = {};
  readonly problems: string[] = [];
  readonly refused = new Set<string>();
  readonly lostLetters = new Set<string>();
  readonly store: Store = { records: [], epochs: [], letters: [], chainLast: undefined, setAside: [] };
  readonly sink: SinkModel = { fence: 0, position: undefined, records: [], held: new Set(["none"]), pending: [] };
  owner = 1;
  state: DeliveryState;
  tasks: Task[] = [];
  backup: Store | undefined;
  nextId = 0;
  isCalm = false;
  nowMs = 0;
  /** The end of the last record that any writer took. */
  furthest: Position | undefined;
  /** A planned stop is under way. `isDisturbed`: something failed since it began, so that it may end without a flush. */
  handover: { isDisturbed: boolean } | undefined;
  readonly bug: PlantedBug;
  readonly canTruncate: boolean;
  readonly canHold: boolean;

  constructor(seed: number, bug: PlantedBug = {}, { canTruncate = false, canHold = false }: WorldOptions = {}) {
    this.random = seededRandom(seed);
    this.bug = bug;
    this.canTruncate = canTruncate;
    this.canHold = canHold;
    this.state = this.fresh();
    this.tell({ type: "begin" });
  }

  run(steps: number): void {
    for (let step = 0; step < steps && this.problems.length === 0; step += 1) this.stepOnce();
    this.isCalm = true;
    this.tasks = this.tasks.filter((task) => !task.isOrphan);
    this.tell({ type: "resume" });
    this.append(3);
    for (let step = 0; step < 20_000 && this.tasks.length > 0 && this.problems.length === 0; step += 1)
      this.performOne();
    this.judge();
  }

  private fresh(): DeliveryState {
    const limits = {
      ...DELIVERY_LIMITS,
      recordsMax: 1 + this.random.below(6),
      readAheadBytesMax: 800,
      rejectTriesMax: 2,
      heldRecordsMax: this.canHold ? 4 + this.random.below(30) : DELIVERY_LIMITS.heldRecordsMax,
    };
    return createDelivery({ ...limits, lingerMs: this.random.chance(0.3) ? 5 : 0 }, "earliest");
  }

  private stepOnce(): void {
    this.nowMs += this.random.below(3);
    const dice = this.random.next();
    if (dice < 0.12) this.append(1 + this.random.below(5));
    else if (dice < 0.14) this.crash();
    else if (dice < 0.15 && this.canTruncate) this.loseTail();
    else if (dice < 0.155) this.handOver();
    else if (dice < 0.165) this.tell({ type: this.random.chance(0.5) ? "pause" : "resume" });
    else this.performOne();
  }

  private count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  private append(count: number): void {
    const kinds: readonly RecordKind[] = ["plain", "plain", "plain", "filtered", "failing", "double", "poison"];
    for (let index = 0; index < count; index += 1) {
      const at = position(this.owner, this.store.records.length);
      if (this.store.epochs.at(-1)?.epoch !== at.epoch)
        this.store.epochs.push({ epoch: at.epoch, firstOffset: at.offset });
      const kind = kinds[this.random.below(kinds.length)] ?? "plain";
      this.store.records.push({ position: at, kind, id: this.nextId });
      this.nextId += 1;
    }
    if (this.backup === undefined || this.random.chance(0.1)) this.backup = structuredClone(this.store);
    this.tell({ type: "advanced" });
  }

  private handOver(): void {
    if (this.handover !== undefined) return;
    this.count("handover");
    if (this.sink.pending.length > 0) this.count("handover while holding");
    const next = this.state.retry?.then ?? "write";
    this.handover = { isDisturbed: next !== "write" };
    this.tell({ type: "stop" });
  }

  /** The owner dies at once. Calls that it had sent may still arrive. */
  private crash(): void {
    this.count(`crash while ${this.state.occupation}`);
    if (this.sink.pending.length > 0) this.count("crash while holding");
    this.succeed();
  }

  private succeed(): void {
    this.handover = undefined;
    this.owner += 1;
    this.tasks = this.tasks.filter(mayBeLate).map((task) => ({ ...task, isOrphan: true }));
    this.state = this.fresh();
    this.tell({ type: "begin" });
  }

  private loseTail(): void {
    if (this.backup === undefined) return;
    this.count("tail lost");
    // Dead letters written since then are lost with the tail, though their records may lie before it (E23).
    for (const { triple } of this.store.letters) this.lostLetters.add(triple.join("/"));
    Object.assign(this.store, structuredClone(this.backup));
    this.crash();
    this.append(1 + this.random.below(4));
  }

  private tell(original: DeliveryMessage): void {
    const message = this.bug.message?.(this.state, original, this.owner) ?? original;
    const [state, effects] = stepDelivery(this.state, message, this.nowMs);
    this.state = state;
    for (const effect of effects) {
      if (effect.type === "write" && this.state.heldInputs >= this.state.limits.heldRecordsMax)
        this.problems.push("more was sent to a sink that holds as much as it may");
      if (effect.type === "report") this.hear(effect.report);
      else this.tasks.push({ effect, owner: this.owner, isOrphan: false });
    }
    // A close may overtake the operation in hand: the shell then tells that operation to end first.
    const busy = this.tasks.filter(({ effect, isOrphan }) => !isOrphan && !BESIDE.has(effect.type));
    if (busy.length > 1) this.problems.push("two operations on the sink at once");
  }

  private hear(report: Extract<DeliveryEffect, { type: "report" }>["report"]): void {
    if (report.kind === "delivered" && !this.sink.held.has(key(report.batch.end))) {
      this.problems.push(`said to be delivered, but the sink never stood at ${key(report.batch.end)}`);
    }
    if (report.kind === "fenced") {
      this.count("fenced");
      this.problems.push("the newest owner was fenced");
    }
    if (report.kind === "truncated" || report.kind === "misplaced") this.count(report.kind);
  }

  private performOne(): void {
    const at = this.random.below(this.tasks.length);
    const task = this.tasks[at];
    if (task === undefined) return;
    this.tasks.splice(at, 1);
    if (task.isOrphan) {
      this.perform(task);
      return;
    }
    const { effect } = task;
    const isFallible = effect.type !== "timer" && effect.type !== "close";
    // Rewinds are rare, so they fail more often.
    if (this.isCalm || !isFallible || this.random.chance(effect.type === "rewind" ? 0.4 : 0.75)) {
      const answer = this.perform(task);
      if (answer !== undefined) this.tell(answer);
      return;
    }
    const dice = this.random.next();
    this.count(`${effect.type} failed`);
    if (this.handover !== undefined) this.handover.isDisturbed = true;
    if (dice < 0.4)
      this.perform(task); // the effect takes place, its answer is lost
    else if (dice < (effect.type === "rewind" ? 1 : 0.6) && mayBeLate(task))
      this.tasks.push({ ...task, isOrphan: true }); // the effect takes place later
    const failure = { reason: "away", random: this.random.next() };
    this.tell(
      effect.type === "read"
        ? { type: "read_failed", readId: effect.readId, ...failure }
        : { type: "failed", ...failure },
    );
  }

  private perform(task: Task): DeliveryMessage | undefined {
    const effect = this.bug.effect?.(task.effect, this.state) ?? task.effect;
    switch (effect.type) {
      case "open":
        return this.open(task.owner);
      case "read":
        return this.read(effect.readId, effect.after);
      case "write":
        return { type: "wrote", outcome: this.write(effect.batch, task), random: this.random.next() };
      case "flush":
        return this.flush();
      case "ask_position":
        return { type: "positioned", position: this.sink.position };
      case "rewind":
        this.rewind(effect.to, effect.from, task);
        return { type: "rewound", to: this.sink.position };
      case "open_chain":
        return { type: "chain_opened", last: this.store.chainLast };
      case "append_dead_letters":
        return this.storeLetters(effect);
      case "timer":
        this.nowMs += effect.delayMs;
        if (effect.purpose === "stop" && this.handover !== undefined) this.handover.isDisturbed = true;
        return { type: "timer", timerId: effect.timerId, purpose: effect.purpose };
      case "close":
        this.close();
        return undefined; // the next owner has begun
      case "store_cut":
      case "give_up":
      case "report":
        return undefined;
    }
  }

  private open(owner: number): DeliveryMessage {
    const { sink, store, canHold } = this;
    sink.fence = Math.max(sink.fence, owner);
    sink.pending = [];
    return { type: "opened", position: sink.position, latest: undefined, setAside: store.setAside, canHold };
  }

  private close(): void {
    if (this.handover?.isDisturbed === false && this.sink.pending.length > 0)
      this.problems.push("a planned stop, which nothing disturbed, lost what the sink held");
    this.tell({ type: "closed" });
    this.succeed();
  }

  private flush(): DeliveryMessage {
    const random = this.random.next();
    if (this.bug.forgetsToFlushAtStop === true && this.state.isStopping)
      return { type: "flushed", position: this.state.position, random };
    if (!this.isCalm && this.random.chance(0.05)) this.sink.pending = []; // the target has forgotten an upload
    this.commitPending(this.sink.pending.length);
    if (comparePositions(this.sink.position, this.state.position) !== 0) this.count("flush found a loss");
    return { type: "flushed", position: this.sink.position, random };
  }

  /** Makes the first `count` batches durable. They are lost if a late write has moved the position meanwhile. */
  private commitPending(count: number): void {
    const { sink } = this;
    for (const batch of sink.pending.splice(0, count)) {
      if (comparePositions(sink.position, batch.predecessor) !== 0) sink.pending = [];
      else this.commit(batch);
    }
  }

  private commit(batch: SinkBatch): void {
    this.sink.position = batch.end;
    this.sink.held.add(key(batch.end));
    this.sink.records.push(...batch.records);
  }

  private rewind(to: Position | undefined, from: Position | undefined, { owner, isOrphan }: Task): void {
    const { sink, store, bug } = this;
    if (isOrphan) this.count("late rewind");
    if (sink.fence !== owner) return;
    if (comparePositions(sink.position, from) !== 0 && bug.ignoresFrom !== true) return;
    for (const { position: at } of sink.records.filter((record) => comparePositions(record.position, to) > 0)) {
      const isThere = comparePositions(store.records[at.offset]?.position, at) === 0;
      if (isThere) this.problems.push(`a rewind took back ${key(at)}, which the log still holds`);
    }
    sink.records = sink.records.filter((record) => comparePositions(record.position, to) <= 0);
    sink.position = to;
  }

  private storeLetters(effect: Extract<DeliveryEffect, { type: "append_dead_letters" }>): DeliveryMessage {
    if (effect.letters.length === 0) throw new Error("an empty append of dead letters");
    const last: Sequence = [0, effect.first[1] + effect.letters.length - 1, 0];
    if (compareSequences(last, this.store.chainLast) <= 0) return { type: "dead_letters_stored" };
    if (compareSequences(effect.previous, this.store.chainLast) !== 0)
      return { type: "failed", reason: "gap", random: 0 };
    if (this.bug.drops?.(effect) !== true) this.store.letters.push(...effect.letters);
    this.store.chainLast = last;
    this.store.setAside = effect.setAside;
    return { type: "dead_letters_stored" };
  }

  private read(readId: number, after: Position | undefined): DeliveryMessage {
    const { records, epochs } = this.store;
    const judgement = judgeCursor(after, epochs, offset(0), offset(records.length));
    if (judgement.kind === "truncated") {
      const before = epochAt(epochs, judgement.divergence - 1);
      const resume =
        judgement.divergence === 0 || before === undefined ? undefined : position(before, judgement.divergence - 1);
      return { type: "read_truncated", readId, divergence: judgement.divergence, resume, canRewind: true };
    }
    const isSkipping = this.bug.skipsHeld === true && comparePositions(this.furthest, after) > 0;
    const from = ((isSkipping ? this.furthest : after)?.offset ?? -1) + 1;
    const items = records.slice(from, from + 1 + this.random.below(8)).map((record) => this.prepare(record));
    return { type: "read_records", readId, items };
  }

  private prepare(record: LogRecord): DeliveryItem {
    const outputs = Array.from({ length: outputsOf(record) }, (_, index) => ({
      position: record.position,
      index,
      event: { id: record.id, kind: record.kind },
      timeMs: 0,
    }));
    const item = { position: record.position, outputs, sizeBytes: 100, appendedAtMs: 0 };
    if (record.kind !== "failing") return item;
    return { ...item, failure: { code: "STEP_FAILED", path: "", reason: "bad", event: { id: record.id } } };
  }

  /** A late write comes from a writer that is gone, and knows nothing of the batches of the present one. */
  private write(batch: SinkBatch, { owner, isOrphan }: Task): WriteOutcome {
    const { sink, bug } = this;
    if (sink.fence !== owner && bug.hasNoFence !== true) return { kind: "fenced", fence: epoch(sink.fence) };
    const [first] = sink.pending;
    const isCut = first !== undefined && comparePositions(sink.position, first.predecessor) !== 0;
    if (isCut && !isOrphan) sink.pending = []; // a late write has come between
    const tip = isOrphan ? sink.position : (sink.pending.at(-1)?.end ?? sink.position);
    if (comparePositions(tip, batch.end) === 0) return { kind: "duplicate" };
    if (comparePositions(tip, batch.predecessor) !== 0 && bug.hasNoPredecessorCheck !== true) {
      return { kind: "misplaced", position: sink.position };
    }
    // A sink may take a record that it could have refused. A record that it refused once it never takes.
    const rejected = batch.records.flatMap((record, at) => {
      const name = `${key(record.position)}/${record.index}`;
      if (record.event.kind !== "poison" || !(this.refused.has(name) || this.random.chance(0.7))) return [];
      this.refused.add(name);
      return [{ at, code: "SINK_REJECTED", reason: "poison" }];
    });
    if (rejected.length > 0) return { kind: "rejected", records: rejected };
    if (comparePositions(batch.end, this.furthest) > 0) this.furthest = batch.end;
    if (this.canHold && !isOrphan) return this.hold(batch);
    if (bug.storesPositionFirst !== true || this.isCalm || !this.random.chance(0.1)) this.commit(batch);
    else {
      sink.position = batch.end;
      sink.held.add(key(batch.end));
    }
    return { kind: "written" };
  }

  /** Takes the batch, and now and then makes some of the batches durable, or all. */
  private hold(batch: SinkBatch): WriteOutcome {
    const { sink } = this;
    sink.pending.push(batch);
    if (this.random.chance(0.15)) {
      this.commitPending(sink.pending.length);
      const isWritten = comparePositions(sink.position, batch.end) === 0;
      return isWritten ? { kind: "written" } : { kind: "misplaced", position: sink.position };
    }
    if (this.random.chance(0.2)) this.commitPending(this.random.below(sink.pending.length + 1));
    this.count("held");
    return { kind: "held", durable: sink.position };
  }

  /** Every surviving record that no step filtered lies in the sink or in the dead letters: once, in order. */
  private judge(): void {
    if (this.problems.length > 0) return;
    const { sink, store, problems } = this;
    const end = store.records.at(-1)?.position;
    if (comparePositions(sink.position, end) !== 0)
      problems.push(`stopped at ${key(sink.position)}, the end is ${key(end)}`);
    const name = (at: Position, index: number) => `${at.epoch}/${at.offset}/${index}`;
    const delivered = sink.records.map((record) => name(record.position, record.index));
    const letters = store.letters.map(({ triple }) => triple.join("/"));
    for (let at = 1; at < sink.records.length; at += 1) {
      const [left, right] = [sink.records[at - 1], sink.records[at]];
      if (left === undefined || right === undefined) continue;
      const order = comparePositions(left.position, right.position) || left.index - right.index;
      if (order >= 0) problems.push(`${delivered[at]} came after ${delivered[at - 1]}`);
    }
    const expected = store.records.flatMap((record) =>
      Array.from({ length: record.kind === "failing" ? 1 : outputsOf(record) }, (_, index) =>
        name(record.position, index),
      ),
    );
    const found = [...delivered, ...letters].sort();
    const wanted = [...expected].sort();
    if (found.join() !== wanted.join()) {
      const missing = wanted.filter((one) => !found.includes(one) && !this.lostLetters.has(one));
      const surplus = found.filter((one, at) => !wanted.includes(one) || found.indexOf(one) !== at);
      if (missing.length + surplus.length === 0) return;
      problems.push(`missing ${missing.join(" ")}; surplus or repeated ${surplus.join(" ")}`);
    }
  }
}

const BESIDE: ReadonlySet<DeliveryEffect["type"]> = new Set(["timer", "read", "close"]);

const mayBeLate = ({ effect }: Task): boolean => effect.type === "write" || effect.type === "rewind";

function outputsOf({ kind }: LogRecord): number {
  if (kind === "filtered" || kind === "failing") return 0;
  return kind === "double" ? 2 : 1;
}
