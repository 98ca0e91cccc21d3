import { test } from "uvu";
import * as assert from "uvu/assert";
import type { OutboxRecord } from "../../../../actors/pipeline/outbox_record.ts";
import type { StepBatch } from "../../../../actors/pipeline/step.ts";
import type { Event } from "../../../../protocols/event.ts";
import {
  COUNT,
  type Ending,
  type Input,
  JOIN,
  OutboxWorld,
  type Plan,
  reference,
  type Subject,
  TIME,
  WITHIN_MS,
} from "./outbox_world.ts";

const SEEDS = 60;
const SEEDS_FOR_BUGS = 150;

/** A pane, or the record that was set aside; without reasons, which name times. */
const shown = (output: OutboxRecord): string =>
  "failed" in output
    ? `${output.failed.code} of ${output.failed.event.id}`
    : `${JSON.stringify(output.event)} at ${output.timeMs}`;

/** The first fault of a finished run, or undefined. */
async function faultOf({ inputs, outputs, isIdleAtTimes }: Ending, subject: Subject): Promise<string | undefined> {
  if (!isIdleAtTimes) {
    // Without ticks, outputs follow from the records alone. Windows that only a tick could close come last.
    const expected = (await reference(inputs, subject)).map(shown);
    const found = outputs.map(shown).slice(0, expected.length);
    for (const [at, one] of expected.entries())
      if (found[at] !== one) return `output ${at} is ${found[at]} in place of ${one}`;
  }
  return latenessFault(inputs, outputs) ?? (subject === COUNT ? countFault : joinFault)(inputs, outputs);
}

/** A record that lies within `outOfOrderMs` of its append is never late, however long the append took (Q5). */
function latenessFault(inputs: readonly Input[], outputs: readonly OutboxRecord[]): string | undefined {
  const timely = inputs.filter(({ timeMs, appendedAtMs }) => timeMs >= appendedAtMs - TIME.outOfOrderMs);
  const ids = new Set(timely.map(({ event }) => event.id));
  const late = outputs.find(
    (output) => "failed" in output && output.failed.code === "LATE_RECORD" && ids.has(output.failed.event.id),
  );
  return late === undefined ? undefined : `a timely record is ${shown(late)}`;
}

/** Each two records that fit are joined once, unless one of them is set aside; and no others. */
function joinFault(inputs: readonly Input[], outputs: readonly OutboxRecord[]): string | undefined {
  const setAside = new Set(outputs.flatMap((output) => ("failed" in output ? [output.failed.event.id] : [])));
  const taken = inputs.filter(({ event }) => event.kind !== "dropped" && !setAside.has(event.id));
  const orders = taken.filter(({ stream }) => stream === "orders");
  const expected = new Set<string>();
  for (const payment of taken.filter(({ stream }) => stream === "payments")) {
    for (const order of orders) {
      const isFit = order.event.key === payment.event.key && Math.abs(order.timeMs - payment.timeMs) <= WITHIN_MS;
      if (isFit) expected.add(`${order.event.id} ${payment.event.id}`);
    }
  }
  for (const output of outputs) {
    if ("failed" in output) continue;
    const { orders: order, payments: payment } = output.event as Record<string, Event>;
    const pair = `${order?.id} ${payment?.id}`;
    if (!expected.delete(pair)) return `the pair ${pair} was joined twice, or does not fit`;
  }
  const [left] = expected;
  return left === undefined ? undefined : `the pair ${left} was not joined`;
}

/** Each record is counted in the one pane of its window, or set aside. */
function countFault(inputs: Ending["inputs"], outputs: readonly OutboxRecord[]): string | undefined {
  const setAside = new Set(outputs.flatMap((output) => ("failed" in output ? [output.failed.event.id] : [])));
  const counts = new Map<string, number>();
  for (const { event, timeMs } of inputs) {
    if (event.kind === "dropped" || setAside.has(event.id)) continue;
    const pane = `${event.key} ${Math.floor(timeMs / 10_000) * 10_000}`;
    counts.set(pane, (counts.get(pane) ?? 0) + 1);
  }
  for (const output of outputs) {
    if ("failed" in output) continue;
    const { key, count, windowStart } = output.event as Event & { windowStart: Date };
    const pane = `${key} ${windowStart.getTime()}`;
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
    const codes = ending.outputs.map((output) => ("failed" in output ? output.failed.code : "pane"));
    totals.panes += codes.filter((code) => code === "pane").length;
    totals.late += codes.filter((code) => code === "LATE_RECORD").length;
    totals.future += codes.filter((code) => code === "FUTURE_RECORD").length;
    totals.faults += ending.faults;
  }
  for (const [what, count] of Object.entries(totals)) assert.ok(count > SEEDS, `${what}: ${count} in ${SEEDS} seeds`);
}

test("each record is counted once in the pane of its window, or set aside, whatever crashes and fails (outbox B1, outbox B3, outbox B6)", () =>
  runSeeds(COUNT));

test("each pair of two streams is joined once, in an order that a replay repeats (outbox inputs Q1, outbox inputs Q2, outbox inputs Q4)", () =>
  runSeeds(JOIN));

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

for (const [bug, plan] of Object.entries(PLANS)) {
  for (const subject of [COUNT, JOIN]) {
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
