import { test } from "uvu";
import * as assert from "uvu/assert";
import { LATE_OUTPUT } from "../../../../actors/pipeline/late_event.ts";
import type { OutboxRecord } from "../../../../actors/pipeline/outbox_record.ts";
import type { StepBatch } from "../../../../actors/pipeline/step.ts";
import { outputsTo, type StepOutputs } from "../../../../actors/pipeline/step_outputs.ts";
import type { Event } from "../../../../protocols/event.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../../protocols/values/event_codec.ts";
import {
  COUNT,
  type Ending,
  type Input,
  JOIN,
  LATE_COUNT,
  LATE_JOIN,
  OutboxWorld,
  type Plan,
  reference,
  type Subject,
  TIME,
  WITHIN_MS,
} from "./outbox_world.ts";

const SEEDS = 60;
const SEEDS_FOR_BUGS = 150;

/** A pane or a pair, with the name of its output, or the record that was set aside; without reasons, which name times. */
const shown = (output: OutboxRecord): string =>
  "failed" in output
    ? `${output.failed.code} of ${output.failed.event.id}`
    : `${output.output ?? "to"}: ${JSON.stringify(output.event)} at ${output.timeMs}`;

/** A record that came too late, or from the future. */
interface Missed {
  readonly event: Event;
  readonly reason: "late" | "future";
  readonly windowStart?: Date;
  readonly windowEnd?: Date;
}

const CODES: Readonly<Record<string, Missed["reason"]>> = { LATE_RECORD: "late", FUTURE_RECORD: "future" };

/** The records that an outbox holds as late, wherever the pipeline's late records go. */
const missedIn = (outputs: readonly OutboxRecord[]): readonly Missed[] =>
  outputs.flatMap((output): Missed[] => {
    if (!("failed" in output)) return output.output === LATE_OUTPUT ? [output.event as unknown as Missed] : [];
    const { event, code } = output.failed;
    const reason = CODES[code];
    return reason === undefined ? [] : [{ event, reason }];
  });

/** Records that are neither in a pane nor in a pair, by their id. */
const leftOut = (outputs: readonly OutboxRecord[]): ReadonlySet<unknown> =>
  new Set([
    ...outputs.flatMap((output) => ("failed" in output ? [output.failed.event.id] : [])),
    ...missedIn(outputs).map(({ event }) => event.id),
  ]);

/** Panes and pairs: the outputs that go to the pipeline's `to`. */
const mainOf = (outputs: readonly OutboxRecord[]): readonly Event[] =>
  outputs.flatMap((output) => ("failed" in output || output.output !== undefined ? [] : [output.event]));

/** Late records go to their output where it has sinks, once each, with the window that they missed; else they are set aside. */
function lateFault(inputs: readonly Input[], outputs: readonly OutboxRecord[], { step, hasLate }: Subject) {
  const isWrong = (output: OutboxRecord): boolean =>
    "failed" in output ? hasLate && CODES[output.failed.code] !== undefined : !hasLate && output.output !== undefined;
  const wrong = outputs.find(isWrong);
  if (wrong !== undefined) return `the record is at the wrong place: ${shown(wrong)}`;
  if (!hasLate) return undefined;
  const missed = missedIn(outputs);
  const timesMs = new Map(inputs.map(({ event, timeMs }) => [event.id, timeMs]));
  const ids = missed.map(({ event }) => event.id);
  if (new Set(ids).size < ids.length) return "a record is late twice";
  const misplaced = missed.find(({ event, reason, windowStart, windowEnd }) => {
    const timeMs = timesMs.get(event.id) ?? Number.NaN;
    if (step === "join" || reason === "future") return windowStart !== undefined;
    return !(Number(windowStart) <= timeMs && timeMs < Number(windowEnd));
  });
  return misplaced === undefined ? undefined : `a late record has another window: ${JSON.stringify(misplaced)}`;
}

/** The first fault of a finished run, or undefined. */
async function faultOf({ inputs, outputs, isIdleAtTimes }: Ending, subject: Subject): Promise<string | undefined> {
  if (!isIdleAtTimes) {
    // Without ticks, outputs follow from the records alone. Windows that only a tick could close come last.
    const expected = (await reference(inputs, subject)).map(shown);
    const found = outputs.map(shown).slice(0, expected.length);
    for (const [at, one] of expected.entries())
      if (found[at] !== one) return `output ${at} is ${found[at]} in place of ${one}`;
  }
  const stepFault = subject.step === "count" ? countFault : joinFault;
  return latenessFault(inputs, outputs) ?? lateFault(inputs, outputs, subject) ?? stepFault(inputs, outputs);
}

/** A record that lies within `outOfOrderMs` of its append is never late, however long the append took (Q5). */
function latenessFault(inputs: readonly Input[], outputs: readonly OutboxRecord[]): string | undefined {
  const timely = inputs.filter(({ timeMs, appendedAtMs }) => timeMs >= appendedAtMs - TIME.outOfOrderMs);
  const ids = new Set(timely.map(({ event }) => event.id));
  const late = missedIn(outputs).find(({ event, reason }) => reason === "late" && ids.has(event.id));
  return late === undefined ? undefined : `the timely record ${late.event.id} is late`;
}

/** Each two records that fit are joined once, unless one of them is set aside; and no others. */
function joinFault(inputs: readonly Input[], outputs: readonly OutboxRecord[]): string | undefined {
  const setAside = leftOut(outputs);
  const taken = inputs.filter(({ event }) => event.kind !== "dropped" && !setAside.has(event.id));
  const orders = taken.filter(({ stream }) => stream === "orders");
  const expected = new Set<string>();
  for (const payment of taken.filter(({ stream }) => stream === "payments")) {
    for (const order of orders) {
      const isFit = order.event.key === payment.event.key && Math.abs(order.timeMs - payment.timeMs) <= WITHIN_MS;
      if (isFit) expected.add(`${order.event.id} ${payment.event.id}`);
    }
  }
  for (const event of mainOf(outputs)) {
    const { orders: order, payments: payment } = event as Record<string, Event>;
    const pair = `${order?.id} ${payment?.id}`;
    if (!expected.delete(pair)) return `the pair ${pair} was joined twice, or does not fit`;
  }
  const [left] = expected;
  return left === undefined ? undefined : `the pair ${left} was not joined`;
}

/** Each record is counted in the one pane of its window, or set aside. */
function countFault(inputs: Ending["inputs"], outputs: readonly OutboxRecord[]): string | undefined {
  const setAside = leftOut(outputs);
  const counts = new Map<string, number>();
  for (const { event, timeMs } of inputs) {
    if (event.kind === "dropped" || setAside.has(event.id)) continue;
    const pane = `${event.key} ${Math.floor(timeMs / 10_000) * 10_000}`;
    counts.set(pane, (counts.get(pane) ?? 0) + 1);
  }
  for (const event of mainOf(outputs)) {
    const { key, count, windowStart } = event as Event & { windowStart?: Date };
    const pane = `${key} ${windowStart?.getTime()}`;
    if (counts.get(pane) !== count) return `the pane ${pane} counts ${count} in place of ${counts.get(pane)}`;
    counts.delete(pane);
  }
  const [open] = counts;
  return open === undefined ? undefined : `the window ${open[0]} has no pane`;
}

async function runSeeds(subject: Subject): Promise<void> {
  const totals = { panes: 0, late: 0, future: 0, faults: 0 };
  for (let seed = 0; seed < SEEDS; seed += 1) {
    const ending = await new OutboxWorld(seed, subject, {}).run(seed % 2 === 0);
    assert.is(await faultOf(ending, subject), undefined, `seed ${seed}`);
    const reasons = missedIn(ending.outputs).map(({ reason }) => reason);
    totals.panes += mainOf(ending.outputs).length;
    totals.late += reasons.filter((reason) => reason === "late").length;
    totals.future += reasons.filter((reason) => reason === "future").length;
    totals.faults += ending.faults;
  }
  for (const [what, count] of Object.entries(totals)) assert.ok(count > SEEDS, `${what}: ${count} in ${SEEDS} seeds`);
}

test("each record is counted once in the pane of its window, or set aside, whatever crashes and fails (outbox B1, outbox B3, outbox B6)", () =>
  runSeeds(COUNT));

test("each pair of two streams is joined once, in an order that a replay repeats (outbox inputs Q1, outbox inputs Q2, outbox inputs Q4)", () =>
  runSeeds(JOIN));

test("a late record goes to its output once, with its window, whatever crashes and fails (step T4)", async () => {
  await runSeeds(LATE_COUNT);
  await runSeeds(LATE_JOIN);
});

/** Watermarks of a batch as they are at its end, or as a clock says. */
const withMarks = (pipelineOf: (batch: StepBatch, nowMs: number) => StepBatch): Plan => ({
  pipeline: (pipeline, nowMs) => ({
    ...pipeline,
    instantiate: (...parts) => {
      const instance = pipeline.instantiate(...parts);
      return { ...instance, run: (batch, onProgress) => instance.run(pipelineOf(batch, nowMs()), onProgress) };
    },
  }),
});

let dropped = 0;
const PLANS: Readonly<Record<string, Plan>> = {
  "a changed key is lost": {
    append: (log, ownership, request) => {
      dropped += 1;
      const { attached: _, ...rest } = request;
      return log.append(ownership, dropped % 5 === 0 && request.attached !== undefined ? rest : request);
    },
  },
  "state is ahead of its outputs": {
    append: async (log, ownership, request) => {
      const { attached, ...rest } = request;
      if (attached === undefined) return log.append(ownership, request);
      const early = await log.append(ownership, { channel: request.channel, batches: [], attached });
      dropped += 1;
      if (dropped % 7 === 0) throw new Error("the node dies here");
      return { ...(await log.append(ownership, rest)), attachedEnds: early.attachedEnds ?? [] };
    },
  },
  "outputs are ahead of the state": {
    append: async (log, ownership, request) => {
      const { attached, ...rest } = request;
      if (attached === undefined) return log.append(ownership, request);
      const early = await log.append(ownership, rest);
      dropped += 1;
      if (dropped % 7 === 0) throw new Error("the node dies here");
      const late = await log.append(ownership, { channel: request.channel, batches: [], attached });
      return { ...early, attachedEnds: late.attachedEnds ?? [] };
    },
  },
  "the watermark comes from the clock": withMarks((batch, nowMs) =>
    batch.watermarks === undefined
      ? batch
      : { ...batch, watermarks: { ...batch.watermarks, beforeMs: batch.events.map(() => nowMs - 2_000) } },
  ),
  "the cut of batches changes the result": withMarks((batch) => {
    const { watermarks } = batch;
    if (watermarks === undefined) return batch;
    return { ...batch, watermarks: { ...watermarks, beforeMs: batch.events.map(() => watermarks.beforeMs[0] ?? 0) } };
  }),
  "an idle input holds the watermark for ever": { hasNoTicks: true },
  "a tick passes an append that is under way": { hidesAppends: true },
};

/** Changes the results of the steps. */
const withResults = (change: (results: StepOutputs) => StepOutputs): Plan => ({
  pipeline: (pipeline) => ({
    ...pipeline,
    instantiate: (...parts) => {
      const instance = pipeline.instantiate(...parts);
      return { ...instance, run: async (batch, onProgress) => change(await instance.run(batch, onProgress)) };
    },
  }),
});

const LATE_PLANS: Readonly<Record<string, Plan>> = {
  "a late record goes to the main output": withResults(({ names: _, ...results }) => results),
  "a late record is lost where it has an output": withResults((results) => outputsTo(undefined, results)),
  "a late record is set aside although it has an output": {
    pipeline: (pipeline) => ({ ...pipeline, outputs: new Set() }),
  },
  "a late record is appended twice": {
    append: async (log, ownership, { batches, ...request }) => {
      const [batch] = batches;
      const { events = new Uint8Array() } = batch ?? {};
      const late = decodeTrustedEvents(events).filter(
        (one) => (one as OutboxRecord & { output?: string }).output !== undefined,
      );
      dropped += 1;
      if (batch === undefined || late.length === 0 || dropped % 3 !== 0)
        return log.append(ownership, { batches, ...request });
      const all = encodeEvents([...decodeTrustedEvents(events), late[0]], { asRecords: true });
      const list = "list" in batch.sequences ? batch.sequences.list : [];
      const [term, at, index] = list.at(-1) ?? [0, 0, 0];
      const sequences = { list: [...list, [term, at, index + 1] as const] };
      return log.append(ownership, { batches: [{ ...batch, events: all, sequences }], ...request });
    },
  },
};

const PLANTED = [
  ...Object.entries(PLANS).map(([bug, plan]) => [bug, plan, [COUNT, JOIN]] as const),
  ...Object.entries(LATE_PLANS).map(([bug, plan]) => [bug, plan, [LATE_COUNT, LATE_JOIN]] as const),
];
for (const [bug, plan, subjects] of PLANTED) {
  for (const subject of subjects) {
    test(`a planted bug is caught in a ${subject.name}: ${bug}`, async () => {
      for (let seed = 0; seed < SEEDS_FOR_BUGS; seed += 1) {
        const ending = await new OutboxWorld(seed, subject, plan).run(seed % 2 === 0);
        const fault = await faultOf(ending, subject);
        if (fault === undefined) continue;
        console.log(`caught in ${seed + 1} seeds: ${bug}: ${fault.slice(0, 120)}`);
        return;
      }
      assert.unreachable(`not caught within ${SEEDS_FOR_BUGS} seeds`);
    });
  }
}

test.run();
