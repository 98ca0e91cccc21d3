/**
 * A partition's log and checkpoints, an endpoint that honours idempotency keys, and a delivery machine between these: a
 * sink that is not transactional. Requests are slow, refused, answered in part, lost on either side, or late. Calls are
 * given up. Nodes die, and restart with another number of records a request. The sink may hold a batch in memory until
 * it is flushed (sink S10). One seed is one history.
 */
import { createDelivery, stepDelivery } from "../../../actors/sinks/delivery/delivery_machine.ts";
import {
  DELIVERY_LIMITS,
  type DeliveryEffect,
  type DeliveryItem,
  type DeliveryMessage,
  type DeliveryState,
  type RequestCut,
} from "../../../actors/sinks/delivery/delivery_messages.ts";
import { idempotencyKey } from "../../../actors/sinks/http/http_sink.ts";
import type { Rejection, SinkBatch, SinkRecord, TakenOutcome, WriteOutcome } from "../../../actors/sinks/sink.ts";
import { comparePositions, type Position, partitionId, position } from "../../../protocols/position.ts";
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";
import { type SeededRandom, seededRandom } from "../seeded_random.ts";

type RecordKind = "plain" | "filtered" | "failing" | "many" | "poison" | "inexpressible";

/** A planted bug of the machine. */
export interface RequestBug {
  readonly message?: (message: DeliveryMessage) => DeliveryMessage;
  readonly drops?: (effect: DeliveryEffect) => boolean;
  /** Records that the sink once held are not read again. */
  readonly skipsHeld?: boolean;
}

export interface RequestWorldOptions {
  readonly answersInPart?: boolean;
  readonly canHold?: boolean;
}

interface LogRecord {
  readonly position: Position;
  readonly kind: RecordKind;
  readonly outputs: number;
}

interface Task {
  readonly effect: DeliveryEffect;
  /** The progress of a write, in records and in requests. */
  sent: number;
  requests: number;
  isGivenUp: boolean;
}

const PARTITION = { stream: "s", partition: partitionId(0) };
const nameOf = ({ position: at, index }: SinkRecord): string => `${at.epoch}/${at.offset}/${index}`;

export class RequestWorld {
  readonly random: SeededRandom;
  readonly faults: Record<string, number> = {};
  readonly problems: string[] = [];
  readonly records: LogRecord[] = [];
  readonly letters: string[] = [];
  /** The records that the endpoint took, in order. */
  readonly taken = new Set<string>();
  /** For each key under which records were taken: its records, and the indexes that were refused. */
  readonly keys = new Map<string, { readonly names: string; readonly failed: readonly number[] }>();
  stored: Position | undefined;
  cut: RequestCut | undefined;
  setAside: readonly Sequence[] = [];
  chainLast: Sequence | undefined;
  owner = 1;
  size = 1;
  state: DeliveryState;
  tasks: Task[] = [];
  /** Requests of an earlier life that are still under way. */
  late: SinkRecord[][] = [];
  /** The records that the sink confirmed in this life. */
  answered = new Set<string>();
  /** The batch that the sink holds, and the end of the newest batch that a flush made durable. */
  held: SinkBatch | undefined;
  flushedTo: Position | undefined;
  /** The end of the last batch that was ever held. */
  furthest: Position | undefined;
  isCalm = false;
  nowMs = 0;
  readonly bug: RequestBug;
  readonly answersInPart: boolean;
  readonly canHold: boolean;

  constructor(
    seed: number,
    bug: RequestBug = {},
    { answersInPart = false, canHold = false }: RequestWorldOptions = {},
  ) {
    this.random = seededRandom(seed);
    this.bug = bug;
    this.answersInPart = answersInPart;
    this.canHold = canHold;
    this.state = this.fresh();
    this.tell({ type: "begin" });
  }

  run(steps: number): void {
    for (let step = 0; step < steps && this.problems.length === 0; step += 1) this.stepOnce();
    this.isCalm = true;
    this.append(3);
    for (let step = 0; step < 20_000 && this.tasks.length > 0 && this.problems.length === 0; step += 1)
      this.performOne();
    this.judge();
  }

  private fresh(): DeliveryState {
    this.size = this.random.chance(0.3) ? 1 : 2 + this.random.below(5);
    this.answered = new Set();
    const limits = { ...DELIVERY_LIMITS, recordsMax: 1 + this.random.below(12), readAheadBytesMax: 600 };
    return createDelivery({ ...limits, rejectTriesMax: 2, recordsPerRequest: this.size }, "earliest");
  }

  private stepOnce(): void {
    this.nowMs += this.random.below(3);
    const dice = this.random.next();
    if (dice < 0.12) this.append(1 + this.random.below(6));
    else if (dice < 0.135) this.crash();
    else if (dice < 0.155) this.beOverdue();
    else if (dice < 0.17 && this.late.length > 0) this.arrive(this.late.shift() ?? []);
    else this.performOne();
  }

  private count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  private append(count: number): void {
    const kinds: readonly RecordKind[] = ["plain", "plain", "plain", "plain", "filtered", "failing", "many", "poison"];
    for (let index = 0; index < count; index += 1) {
      const kind = this.random.chance(0.05) ? "inexpressible" : (kinds[this.random.below(kinds.length)] ?? "plain");
      const outputs = kind === "filtered" || kind === "failing" ? 0 : kind === "many" ? 2 + this.random.below(8) : 1;
      this.records.push({ position: position(this.owner, this.records.length), kind, outputs });
    }
    this.tell({ type: "advanced" });
  }

  /** The node dies; the request that was under way may arrive at any later time. */
  private crash(): void {
    this.count(`crash while ${this.state.occupation}`);
    if (this.held !== undefined) this.count("crash while holding");
    const write = this.tasks.find(({ effect }) => effect.type === "write");
    if (write?.effect.type === "write" && write.sent < write.effect.batch.records.length) {
      const request = nextRequest(write, write.effect.batch);
      if (!request.some(isInexpressible) && this.random.chance(0.5)) this.late.push(request);
    }
    this.owner += 1;
    this.tasks = [];
    this.state = this.fresh();
    this.tell({ type: "begin" });
  }

  private beOverdue(): void {
    if (!this.tasks.some(isOperation)) return;
    this.count("overdue");
    this.tell({ type: "overdue", overdueMs: 1_000 });
  }

  private tell(original: DeliveryMessage): void {
    const [state, effects] = stepDelivery(this.state, this.bug.message?.(original) ?? original, this.nowMs);
    this.state = state;
    for (const effect of effects) {
      if (effect.type === "report") continue;
      if (effect.type === "give_up") {
        for (const task of this.tasks) if (isOperation(task)) task.isGivenUp = true;
      } else this.tasks.push({ effect, sent: 0, requests: 0, isGivenUp: false });
    }
    if (this.tasks.filter(isOperation).length > 1) this.problems.push("two operations on the sink at once");
  }

  private performOne(): void {
    const at = this.random.below(this.tasks.length);
    const task = this.tasks[at];
    if (task === undefined) return;
    const { effect } = task;
    if (effect.type === "write") {
      const outcome = this.writeOn(task, effect.batch);
      if (outcome === undefined) return; // Its next request is another step.
      this.tasks.splice(at, 1);
      this.tell({ type: "wrote", outcome, random: this.random.next() });
      return;
    }
    this.tasks.splice(at, 1);
    const isFallible = effect.type !== "timer" && effect.type !== "close";
    const fails = isFallible && !this.isCalm && (task.isGivenUp || this.random.chance(0.1));
    // Where the answer is lost, the effect took place.
    const answer = !fails || this.random.chance(0.5) ? this.perform(effect) : undefined;
    if (!fails) {
      if (answer !== undefined) this.tell(answer);
      return;
    }
    this.count(`${effect.type} failed`);
    const failure = { reason: "away", random: this.random.next() };
    if (effect.type === "read") this.tell({ type: "read_failed", readId: effect.readId, ...failure });
    else this.tell({ type: "failed", ...failure });
  }

  private perform(effect: DeliveryEffect): DeliveryMessage | undefined {
    switch (effect.type) {
      case "open": {
        const cut = this.cut === undefined ? {} : { cut: this.cut };
        this.held = undefined;
        this.flushedTo = undefined;
        const { canHold } = this;
        const reach = this.records[Math.min(this.records.length, (this.stored?.offset ?? -1) + 1 + 12) - 1]?.position;
        return {
          type: "opened",
          position: this.stored,
          latest: undefined,
          setAside: this.setAside,
          reach,
          canHold,
          ...cut,
        };
      }
      case "read":
        return this.read(effect.readId, effect.after);
      case "store_cut":
        if (this.bug.drops?.(effect) !== true) this.cut = effect.cut;
        return { type: "cut_stored" };
      case "ask_position":
        return { type: "positioned", position: this.stored };
      case "flush":
        return this.flush();
      case "open_chain":
        return { type: "chain_opened", last: this.chainLast };
      case "append_dead_letters":
        return this.storeLetters(effect);
      case "timer":
        this.nowMs += effect.delayMs;
        return { type: "timer", timerId: effect.timerId, purpose: effect.purpose };
      case "close":
        return { type: "closed" };
      case "write":
      case "rewind":
      case "give_up":
      case "report":
        return undefined;
    }
  }

  /** The next request of a write; an outcome once the write ends. */
  private writeOn(task: Task, batch: SinkBatch): WriteOutcome | undefined {
    const { sent: count } = task;
    if (count === 0 && this.held !== undefined) this.problems.push("a batch was written beside one that is held");
    if (count === 0 && this.canHold && this.random.chance(0.6) && isHoldable(batch)) return this.hold(batch);
    if (count === batch.records.length) return this.storePosition(batch);
    if (task.isGivenUp) return this.ended({ kind: "taken", count, problem: away("given up") }, batch);
    const request = nextRequest(task, batch);
    const bad = request.flatMap((record, at) => (isInexpressible(record) ? [at] : []));
    if (bad.length > 0) {
      const records = bad.map((at): Rejection => ({ at: count + at, code: "X", reason: "no form", isFinal: true }));
      return this.ended({ kind: "taken", count, problem: { kind: "rejected", records } }, batch);
    }
    if (request.some((record) => this.answered.has(nameOf(record)))) this.problems.push("sent again what was taken");
    if (!this.isCalm && this.random.chance(0.12)) {
      this.count("request failed");
      const isTaken = this.random.chance(0.5);
      if (isTaken) this.arrive(request);
      else if (this.random.chance(0.3)) this.late.push(request);
      return this.ended({ kind: "taken", count, problem: away("no answer") }, batch);
    }
    const failed = this.arrive(request);
    if (failed === "refused") return this.ended({ kind: "taken", count, problem: refusal(request, count) }, batch);
    if (failed.length > 0) return this.ended(takenInPart(request, failed, count), batch);
    task.sent += request.length;
    task.requests += 1;
    if (task.sent === batch.records.length || !this.random.chance(0.1)) return undefined;
    return this.ended({ kind: "taken", count: task.sent }, batch);
  }

  private hold(batch: SinkBatch): WriteOutcome {
    this.count("held");
    this.held = batch;
    if (comparePositions(batch.end, this.furthest) > 0) this.furthest = batch.end;
    return { kind: "held", durable: this.stored };
  }

  /** Sends what is held; then `checkpointedWriter` stores the position, which may fail. */
  private flush(): DeliveryMessage {
    const { held } = this;
    if (held !== undefined) {
      const sizes = held.requests ?? held.records.map(() => 1);
      let sent = 0;
      for (const size of sizes) {
        this.arrive(held.records.slice(sent, sent + size), true);
        sent += size;
      }
      this.flushedTo = held.end;
      this.held = undefined;
    }
    const random = this.random.next();
    if (!this.isCalm && this.random.chance(0.1)) {
      this.count("flushed position not stored");
      return { type: "failed", reason: "the log is away", random };
    }
    if (comparePositions(this.flushedTo, this.stored) > 0 && this.flushedTo !== undefined) this.moveTo(this.flushedTo);
    return { type: "flushed", position: this.stored, random };
  }

  private ended(outcome: TakenOutcome, { records }: SinkBatch): TakenOutcome {
    for (const [at, record] of records.entries())
      if (at < outcome.count || outcome.beyond?.includes(at)) this.answered.add(nameOf(record));
    return outcome;
  }

  /** As `checkpointedWriter` does: records that were taken stay taken where the position cannot be stored. */
  private storePosition({ end, records }: SinkBatch): WriteOutcome {
    const fails = !this.isCalm && this.random.chance(0.1);
    if (!fails || this.random.chance(0.5)) this.moveTo(end);
    for (const record of records) this.answered.add(nameOf(record));
    if (!fails) return { kind: "written" };
    this.count("position not stored");
    return { kind: "taken", count: records.length, problem: away("the log is away") };
  }

  private moveTo(end: Position): void {
    const passed = this.records.slice((this.stored?.offset ?? -1) + 1, end.offset + 1);
    this.stored = end;
    for (const name of passed.flatMap(namesOf))
      if (!this.taken.has(name) && !this.letters.includes(name)) this.problems.push(`the position passed ${name}`);
  }

  /** Takes a request at the endpoint; answers the indexes that it refused. */
  private arrive(request: readonly SinkRecord[], isWhole = false): readonly number[] | "refused" {
    const key = idempotencyKey(PARTITION, request);
    const names = request.map(nameOf);
    const known = this.keys.get(key);
    if (known !== undefined) {
      if (known.names !== names.join()) this.problems.push(`key ${key} held ${known.names}, then ${names.join()}`);
      return known.failed;
    }
    const isPart = this.answersInPart && request.length > 1;
    if (!isPart && request.some(isPoison)) return "refused";
    const busyShare = isPart && !isWhole && !this.isCalm && this.random.chance(0.3) ? 0.4 : 0;
    const failed = request.flatMap((record, at) => (isPoison(record) || this.random.chance(busyShare) ? [at] : []));
    if (failed.length < names.length) this.keys.set(key, { names: names.join(), failed });
    if (failed.length > 0) this.count("answered in part");
    for (const [at, name] of names.entries()) {
      if (failed.includes(at)) continue;
      if (this.taken.has(name)) this.problems.push(`${name} was taken twice, the second time under ${key}`);
      this.taken.add(name);
    }
    return failed;
  }

  private storeLetters(effect: Extract<DeliveryEffect, { type: "append_dead_letters" }>): DeliveryMessage {
    const last: Sequence = [0, effect.first[1] + effect.letters.length - 1, 0];
    if (compareSequences(last, this.chainLast) <= 0) return { type: "dead_letters_stored" };
    if (compareSequences(effect.previous, this.chainLast) !== 0) return { type: "failed", reason: "gap", random: 0 };
    this.letters.push(...effect.letters.map(({ triple }) => triple.join("/")));
    this.chainLast = last;
    this.setAside = effect.setAside;
    return { type: "dead_letters_stored" };
  }

  private read(readId: number, after: Position | undefined): DeliveryMessage {
    const isSkipping = this.bug.skipsHeld === true && comparePositions(this.furthest, after) > 0;
    const from = ((isSkipping ? this.furthest : after)?.offset ?? -1) + 1;
    const found = this.records.slice(from, from + 1 + this.random.below(8));
    const items = found.map(({ position: at, kind, outputs }): DeliveryItem => {
      const item = { position: at, sizeBytes: 100, appendedAtMs: 0 };
      const of = (index: number): SinkRecord => ({ position: at, index, event: { kind }, timeMs: 0 });
      const made = { ...item, outputs: Array.from({ length: outputs }, (_, index) => of(index)) };
      if (kind !== "failing") return made;
      return { ...made, failure: { code: "STEP_FAILED", path: "", reason: "bad", event: { kind } } };
    });
    return { type: "read_records", readId, items, isAtEnd: from + items.length >= this.records.length };
  }

  private judge(): void {
    const { problems, stored, records, taken, letters } = this;
    if (problems.length > 0) return;
    const end = records.at(-1)?.position;
    if (comparePositions(stored, end) !== 0) problems.push(`stopped at ${JSON.stringify(stored)}`);
    const found = [...taken, ...letters];
    const wanted = new Set(records.flatMap(namesOf));
    const missing = [...wanted].filter((name) => !taken.has(name) && !letters.includes(name));
    const surplus = found.filter((name) => !wanted.has(name));
    if (found.length !== wanted.size || missing.length > 0)
      problems.push(`${found.length} of ${wanted.size}: missing ${missing.join(" ")}; surplus ${surplus.join(" ")}`);
    if (this.answersInPart) return; // The endpoint then decides the order within a request.
    let before: Sequence | undefined;
    for (const name of taken) {
      if (compareSequences(before, tripleOf(name)) >= 0) problems.push(`${name} came after ${before}`);
      before = tripleOf(name);
    }
  }
}

const away = (reason: string) => ({ kind: "unavailable", reason }) as const;

const isOperation = ({ effect }: Task): boolean =>
  effect.type !== "timer" && effect.type !== "read" && effect.type !== "report";

/** Every output of a record, and its failure. */
const namesOf = ({ position: at, kind, outputs }: LogRecord): string[] =>
  Array.from({ length: kind === "failing" ? 1 : outputs }, (_, index) => `${at.epoch}/${at.offset}/${index}`);

const isInexpressible = ({ event }: SinkRecord): boolean => event.kind === "inexpressible";

const isHoldable = ({ records }: SinkBatch): boolean =>
  records.length > 0 && !records.some((record) => isPoison(record) || isInexpressible(record));

const isPoison = ({ event }: SinkRecord): boolean => event.kind === "poison";

const nextRequest = ({ sent, requests }: Task, batch: SinkBatch): SinkRecord[] =>
  batch.records.slice(sent, sent + (batch.requests?.[requests] ?? 1));

function refusal(request: readonly SinkRecord[], count: number): NonNullable<TakenOutcome["problem"]> {
  if (request.length > 1) return { kind: "refused_together", count: request.length, reason: "poison" };
  return { kind: "rejected", records: [{ at: count, code: "SINK_REJECTED", reason: "poison" }] };
}

function takenInPart(request: readonly SinkRecord[], failed: readonly number[], count: number): TakenOutcome {
  const beyond = request.flatMap((_record, at) => (failed.includes(at) ? [] : [count + at]));
  const isBusy = request.some((record, at) => failed.includes(at) && !isPoison(record));
  if (isBusy) return { kind: "taken", count, beyond, problem: away("busy") };
  const records = failed.map((at) => ({ at: count + at, code: "SINK_REJECTED", reason: "poison" }));
  return { kind: "taken", count, beyond, problem: { kind: "rejected", records } };
}

function tripleOf(name: string): Sequence {
  const [term = 0, at = 0, index = 0] = name.split("/").map(Number);
  return [term, at, index];
}
