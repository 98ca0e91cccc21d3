import { test } from "uvu";
import * as assert from "uvu/assert";
import type {
  OutboxEffect,
  OutboxMessage,
  OutboxOutput,
  OutboxProgress,
} from "../../../actors/pipeline/outbox/outbox_messages.ts";
import { createOutbox, stepOutbox } from "../../../actors/pipeline/outbox_machine.ts";
import { comparePositions, type Position, position } from "../../../protocols/position.ts";
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";
import { seededRandom } from "../../support/seeded_random.ts";

const SNAPSHOTS = { isExact: false };
const TABLES = { isExact: true };

interface Computed {
  readonly seen: number;
  readonly label: number;
}

/** The model's log refused a call that no correct machine makes. */
class Refused extends Error {}

/** The log of one partition: its input, its outbox, and the progress and the snapshot stored in the same calls. */
class ModelPartition {
  readonly inputs: Position[] = [];
  readonly outputs: { readonly sequence: Sequence; readonly event: Computed }[] = [];
  progress: OutboxProgress = { covered: undefined, snapshotAt: undefined };
  snapshot = 0;

  last(): Sequence | undefined {
    return this.outputs.at(-1)?.sequence;
  }

  append(effect: Extract<OutboxEffect, { type: "append" }>, state: number): void {
    const fits = compareSequences(effect.previous, this.last()) === 0;
    if (effect.outputs.length > 0 && !fits) throw new Refused("gap");
    for (const output of effect.outputs) this.outputs.push(output as (typeof this.outputs)[number]);
    this.progress = effect.progress;
    if (effect.takesSnapshot) this.snapshot = state;
  }
}

type Bug = "none" | "restores without its position" | "appends without progress" | "keeps outputs of a replay";

/** Runs one pipeline that counts and draws lots, with failures and crashes at every effect, until all input is through. */
function simulate(seed: number, bug: Bug): ModelPartition {
  const { next: random } = seededRandom(seed);
  const log = new ModelPartition();
  let end = 0;
  const produce = (count: number) => {
    for (let n = 0; n < count; n += 1) log.inputs.push(position(5 + Math.floor(end / 40), end++));
  };
  let state = createOutbox(SNAPSHOTS);
  let memory = 0;
  let read: readonly Position[] = [];
  let steps = 0;
  const isStateSmall = random() < 0.5;
  let queue: OutboxMessage[] = [{ type: "begin" }];
  const crash = () => {
    state = createOutbox(SNAPSHOTS);
    memory = 0;
    queue = [{ type: "begin" }];
  };
  const perform = (effect: OutboxEffect): OutboxMessage | undefined => {
    switch (effect.type) {
      case "open": {
        memory = log.snapshot;
        const progress =
          bug === "restores without its position"
            ? { ...log.progress, snapshotAt: log.progress.covered }
            : log.progress;
        return { type: "opened", progress, last: log.last() };
      }
      case "read": {
        const from = log.inputs.findIndex((at) => comparePositions(at, effect.after) > 0);
        read = from < 0 ? [] : log.inputs.slice(from, from + 1 + Math.floor(random() * 7));
        return { type: "read_records", hasWork: read.length > 0 };
      }
      case "run": {
        const outputs = read.flatMap((at): OutboxOutput[] => {
          memory += 1;
          const count = Math.floor(random() * 3);
          return Array.from({ length: count }, (_, index) => ({
            sequence: [at.epoch, at.offset, index],
            event: { seen: memory, label: random() },
          }));
        });
        return { type: "ran", end: read.at(-1) as Position, inputs: read.length, outputs, isStateSmall };
      }
      case "append":
        log.append(bug === "appends without progress" ? { ...effect, progress: log.progress } : effect, memory);
        return { type: "appended" };
      case "forget_state":
        memory = 0;
        return undefined;
      case "wait":
        return { type: "retry_due" };
      case "report":
      case "await_tick":
        return undefined;
    }
  };
  produce(20);
  while (steps < 2_000) {
    steps += 1;
    if (log.inputs.length < 150 && random() < 0.3) {
      produce(Math.floor(random() * 10));
      queue.push({ type: "advanced" });
    }
    const message = queue.shift();
    if (message === undefined) {
      if (log.inputs.length >= 150) break;
      continue;
    }
    const stepped = bug === "keeps outputs of a replay" && message.type === "ran" ? forget(state) : state;
    const [next, effects] = stepOutbox(stepped, message, 0);
    state = next;
    for (const effect of effects) {
      const fault = steps < 1_500 ? random() : 1;
      if (fault < 0.02) {
        crash(); // before the effect
        break;
      }
      const answer = perform(effect);
      if (fault < 0.04) {
        crash(); // after it, its answer lost
        break;
      }
      const isCall = effect.type === "append" || effect.type === "read" || effect.type === "open";
      if (fault < 0.08 && isCall) queue.push({ type: "failed", reason: "the answer was lost", random: random() });
      else if (answer !== undefined) queue.push(answer);
    }
  }
  return log;
}

function forget(state: ReturnType<typeof createOutbox>): ReturnType<typeof createOutbox> {
  return { ...state, covered: undefined };
}

/** The fault of a finished outbox, or undefined. */
function fault(log: ModelPartition): string | undefined {
  for (const [index, { sequence, event }] of log.outputs.entries()) {
    const before = log.outputs[index - 1];
    if (before !== undefined && compareSequences(before.sequence, sequence) >= 0) return `order at ${sequence}`;
    const input = log.inputs.findIndex((at) => at.epoch === sequence[0] && at.offset === sequence[1]);
    if (event.seen !== input + 1) return `state at ${sequence}: ${event.seen}, not ${input + 1}`;
    if (sequence[2] > 0 && before?.sequence[1] !== sequence[1]) return `half an input at ${sequence}`;
  }
  if (comparePositions(log.progress.covered, log.inputs.at(-1)) < 0 && log.outputs.length < 50)
    return "input left behind";
  return undefined;
}

// B1, B2, B3: the simulated log, crashes and lost answers at each effect, and the planted bugs below.
test("B1, B2, B3: each input is computed once, with the state of all inputs before it, whatever crashes and fails", () => {
  let outputs = 0;
  for (let seed = 0; seed < 400; seed += 1) {
    const log = simulate(seed, "none");
    assert.is(fault(log), undefined, `seed ${seed}`);
    outputs += log.outputs.length;
  }
  assert.ok(outputs > 400 * 100);
});

for (const bug of ["restores without its position", "appends without progress", "keeps outputs of a replay"] as const) {
  test(`a planted bug is caught: a machine that ${bug}`, () => {
    let caughtAt: number | undefined;
    for (let seed = 0; seed < 500 && caughtAt === undefined; seed += 1) {
      try {
        if (fault(simulate(seed, bug)) !== undefined) caughtAt = seed;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        caughtAt = seed;
      }
    }
    assert.ok(caughtAt !== undefined, "not caught within 500 seeds");
  });
}

/** A machine that waits for the answer to an append of one output, of the input at 5/0. */
function appending() {
  const [state] = stepOutbox(createOutbox(SNAPSHOTS), { type: "begin" }, 0);
  const tell = (message: OutboxMessage) => stepOutbox(state, message, 0)[1].map(({ type }) => type);
  tell({ type: "opened", progress: { covered: undefined, snapshotAt: undefined }, last: undefined });
  tell({ type: "read_records", hasWork: true });
  const outputs = [{ sequence: [5, 0, 0], event: {} }] as const;
  const effects = tell({ type: "ran", end: position(5, 0), inputs: 1, outputs, isStateSmall: true });
  assert.equal(effects, ["append"]);
  return tell;
}

test("B4: no input is read while an append is in flight", () => {
  const tell = appending();
  assert.equal(tell({ type: "advanced" }), []);
  assert.equal(tell({ type: "appended" }), ["report", "read"]);
});

test("B3: after a failed append the state is restored before an input is read", () => {
  const tell = appending();
  assert.equal(tell({ type: "failed", reason: "the answer was lost", random: 0 }), ["report", "wait"]);
  assert.equal(tell({ type: "advanced" }), []);
  assert.equal(tell({ type: "retry_due" }), ["open"]);
  assert.equal(tell({ type: "advanced" }), []);
});

test("B5: where the input lost its tail, the state is dropped and rebuilt from the inputs that are left", () => {
  const [state] = stepOutbox(createOutbox(SNAPSHOTS), { type: "begin" }, 0);
  stepOutbox(
    state,
    {
      type: "opened",
      progress: { covered: position(5, 20), snapshotAt: position(5, 20) },
      last: [5, 20, 0],
    },
    0,
  );
  const [, effects] = stepOutbox(state, { type: "read_truncated", divergence: 10, resume: position(5, 9) }, 0);
  assert.equal(
    effects.map((effect) => effect.type),
    ["report", "forget_state", "read"],
  );
  assert.equal(state.covered, position(5, 9));
  const read = effects.find((effect) => effect.type === "read");
  assert.is(read?.type === "read" ? read.after : "none", undefined);
});

/** A machine of a pipeline with tables, that has handled the input at 5/0. `waitMs`: as the inputs tell after it. */
function idle(waitMs?: number) {
  const [state] = stepOutbox(createOutbox(TABLES), { type: "begin" }, 0);
  const tell = (message: OutboxMessage, nowMs = 0) => stepOutbox(state, message, nowMs)[1];
  const nothing = { type: "read_records", hasWork: false, ...(waitMs === undefined ? {} : { waitMs }) } as const;
  tell({ type: "opened", progress: { covered: undefined, snapshotAt: undefined }, last: undefined });
  tell({ type: "read_records", hasWork: true });
  const ran = { type: "ran", end: position(5, 0), inputs: 1, outputs: [], isStateSmall: true } as const;
  const [append] = tell({ ...ran, hasChanges: true, watermarkMs: 70, others: [{ covered: position(9, 3) }] });
  tell({ type: "appended" });
  return { state, tell, append, nothing, rest: tell(nothing) };
}

const turnOf = (effects: readonly OutboxEffect[]): number => {
  const awaited = effects.find((effect) => effect.type === "await_tick");
  return awaited?.type === "await_tick" ? awaited.turn : -1;
};

test("B1: what changed of the tables is stored with the progress of all inputs, also where no output was made", () => {
  const { append } = idle();
  assert.equal(append?.type === "append" ? append.progress : append, {
    ...{ covered: position(5, 0), snapshotAt: position(5, 0) },
    ...{ watermarkMs: 70, others: [{ covered: position(9, 3) }] },
  });
});

test("B6: a tick is awaited only while inputs wait for the clock, and none comes where a record was read since", () => {
  assert.equal(idle().rest, []);
  const { tell, nothing, rest } = idle(5_000);
  const turn = turnOf(rest);
  assert.equal(rest, [{ type: "await_tick", turn, delayMs: 5_000 }]);
  tell({ type: "advanced" });
  assert.equal(tell({ type: "tick_due", turn }, 9_000), [], "a record is being read");
  assert.equal(tell(nothing), [{ type: "await_tick", turn: turn + 1, delayMs: 5_000 }]);
  assert.equal(tell({ type: "tick_due", turn }, 9_000), [], "the tick was awaited before the record");
  const due = tell({ type: "tick_due", turn: turn + 1 }, 9_000);
  assert.equal(due, [{ type: "read", after: position(5, 0), tickMs: 9_000 }]);
});

test("B7: events of timers go on behind the last output, turn after turn", () => {
  const { tell, nothing, rest } = idle(5_000);
  const pane = { sequence: [5, 0, 0], event: {} } as const;
  const ran = { type: "ran", end: undefined, inputs: 0, isStateSmall: true } as const;
  const sequences = (effects: readonly OutboxEffect[]) =>
    effects.flatMap((effect) => (effect.type === "append" ? effect.outputs.map(({ sequence }) => sequence) : []));
  const tick = (turn: number) => {
    tell({ type: "tick_due", turn }, 1);
    tell({ type: "read_records", hasWork: true });
  };
  tick(turnOf(rest));
  assert.equal(sequences(tell({ ...ran, outputs: [pane, pane] })), [
    [5, 0, 0],
    [5, 0, 1],
  ]);
  tell({ type: "appended" });
  tick(turnOf(tell(nothing)));
  assert.equal(sequences(tell({ ...ran, outputs: [pane] })), [[5, 0, 2]]);
});

test("B5: tables stay as they were stored where the input lost its tail", () => {
  const { state, tell } = idle();
  tell({ type: "advanced" });
  const effects = tell({ type: "read_truncated", divergence: 0, resume: undefined });
  assert.equal(
    effects.map(({ type }) => type),
    ["report", "read"],
  );
  assert.equal(state.covered, position(5, 0));
});

test("inputs without outputs are told as read, though their progress is not stored; those run again after a restart are not", () => {
  const reachedBy = (covered: Position, snapshotAt: Position, end: Position) => {
    const state = createOutbox(SNAPSHOTS);
    stepOutbox(state, { type: "begin" }, 0);
    const [, first] = stepOutbox(state, { type: "opened", progress: { covered, snapshotAt }, last: undefined }, 0);
    stepOutbox(state, { type: "read_records", hasWork: true }, 0);
    const [, then] = stepOutbox(state, { type: "ran", end, inputs: 1, outputs: [], isStateSmall: true }, 0);
    const reports = [...first, ...then].flatMap((effect) => (effect.type === "report" ? [effect.report] : []));
    return reports.map((report) => (report.kind === "reached" ? report.end : report.kind));
  };
  assert.equal(reachedBy(position(1, 5), position(1, 5), position(1, 8)), [position(1, 5), position(1, 8)]);
  assert.equal(reachedBy(position(1, 5), position(1, 2), position(1, 4)), [position(1, 5)]);
});

test.run();
