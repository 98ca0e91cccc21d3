/**
 * Checks a kind of sink behind a real delivery through crashes, lost answers, other owners, outages and refusals. What a
 * reader of the target then sees is what the kind promises (`delivery`): each record once and in order, or at least once.
 */
import assert from "node:assert/strict";
import type { SinkBatch, SinkWriter } from "../../../actors/sinks/sink.ts";
import { comparePositions, type Position } from "../../../protocols/position.ts";
import { type ConformanceCase, test } from "../conformance_case.ts";
import { FakePartition } from "../parts/fake_feed.ts";
import { beginDelivery, CHECKPOINT, Faults, lettersOf, type Operation, type SinkFault } from "./delivery_under_test.ts";
import { type OpenTarget, plainEvent, type SinkHarness, type SinkUnderTest } from "./sink_harness.ts";

const TEXTS = ["a", "b", "c", "d", "e", "f", "g"];
const LAST = TEXTS.length - 1;
/** The delivery writes the seven records in four batches. */
const RECORDS_MAX = 2;

const storeTexts = (partition: FakePartition, owner: number, texts: readonly string[]) =>
  partition.store(
    "records",
    owner,
    texts.map((text) => plainEvent(text).event),
  );

const heldBy = (target: OpenTarget, partition: FakePartition) => target.held(partition.checkpoints.get(CHECKPOINT));

/** A reader of a target that is at least once may see records again, after it has seen all before them. */
function assertPromised(
  harness: SinkHarness,
  { sink }: OpenTarget,
  held: readonly unknown[],
  texts: readonly string[],
) {
  const expected = texts.map((text) => harness.expected(plainEvent(text)));
  if (sink.delivery !== "at_least_once") return assert.deepEqual(held, expected);
  const firsts = held.filter((one, at) => held.findIndex((other) => same(one, other)) === at);
  assert.deepEqual(firsts, expected);
}

const same = (left: unknown, right: unknown) => JSON.stringify(left) === JSON.stringify(right);

async function withTarget(
  harness: SinkHarness,
  body: (target: OpenTarget, partition: FakePartition) => Promise<void>,
): Promise<void> {
  const target = await harness.open();
  try {
    await body(target, new FakePartition());
  } finally {
    await target.close();
  }
}

/** The operation's answer is lost; the same owner goes on, or the next one takes over beside it. */
function lostAnswer(harness: SinkHarness, fault: SinkFault, isTakenOver: boolean): ConformanceCase {
  const { operation, isAfter, number, untilGivenUp } = fault;
  const moment = untilGivenUp ? "after its effect, by a deadline," : isAfter ? "after its effect" : "before it";
  const then = isTakenOver ? "the next owner takes over" : "the owner goes on";
  return test(`${harness.name}: ${operation} number ${number} is cut off ${moment} and ${then}`, () =>
    withTarget(harness, async (target, partition) => {
      storeTexts(partition, 1, TEXTS.slice(0, 5));
      let strike = () => {};
      const struck = new Promise<void>((resolve) => {
        strike = resolve;
      });
      const faults = new Faults({ ...fault, onFault: strike });
      const settings = { faults, recordsMax: RECORDS_MAX, operationTimeoutMs: untilGivenUp === true ? 100 : 20_000 };
      const first = await beginDelivery(target, partition, 1, settings);
      if (isTakenOver) {
        await first.actor.until(() => faults.hasStruck);
        await struck;
      }
      const owner = isTakenOver ? 2 : 1;
      const last = isTakenOver ? await beginDelivery(target, partition, owner, { recordsMax: RECORDS_MAX }) : first;
      storeTexts(partition, owner, TEXTS.slice(5));
      await last.until(LAST);
      assert.ok(faults.hasStruck);
      await first.end();
      if (isTakenOver) await last.end();
      assertPromised(harness, target, await heldBy(target, partition), TEXTS);
      assert.deepEqual([...lettersOf(partition)], []);
    }));
}

/** The answers of a sink's writer; the position of a sink that keeps none is read from the log. */
const operationsOf = (delivery: SinkUnderTest["delivery"]): readonly Operation[] =>
  delivery === "transactional"
    ? ["open", "position", "write", "store the position"]
    : ["open", "write", "store the position"];

function lostAnswers(harness: SinkHarness, operations: readonly Operation[]): ConformanceCase[] {
  return operations.flatMap((operation) => {
    const number = operation === "write" || operation === "store the position" ? 2 : 1;
    return [false, true].flatMap((isAfter) =>
      [false, true].map((isTakenOver) => lostAnswer(harness, { operation, isAfter, number }, isTakenOver)),
    );
  });
}

function fence(harness: SinkHarness): ConformanceCase {
  return test(`${harness.name}: sink S1, S2: an owner of before writes nothing once its successor has opened the sink`, () =>
    withTarget(harness, async (target, partition) => {
      storeTexts(partition, 1, TEXTS.slice(0, 2));
      const first = await beginDelivery(target, partition, 1, { recordsMax: RECORDS_MAX });
      await first.until(1);
      const second = await beginDelivery(target, partition, 2, { recordsMax: RECORDS_MAX });
      await second.actor.until(() => second.reports.some(({ kind }) => kind === "opened"));
      storeTexts(partition, 2, TEXTS.slice(2)); // both owners read these
      await second.until(LAST);
      await first.actor.until(() => first.reports.some(({ kind }) => kind === "fenced"));
      assert.ok(!first.standsAt(LAST));
      await first.end();
      await second.end();
      assertPromised(harness, target, await heldBy(target, partition), TEXTS);
    }));
}

function rewound(harness: SinkHarness): ConformanceCase {
  return test(`${harness.name}: delivery D6: after the log lost its tail, the records that it still holds are in the target`, () =>
    withTarget(harness, async (target, partition) => {
      storeTexts(partition, 1, ["a", "b"]);
      storeTexts(partition, 1, ["lost 1", "lost 2"]);
      const first = await beginDelivery(target, partition, 1, { recordsMax: RECORDS_MAX });
      await first.until(3);
      await first.end();
      partition.batches.set("records", (partition.batches.get("records") ?? []).slice(0, 1));
      storeTexts(partition, 2, TEXTS.slice(2));
      const second = await beginDelivery(target, partition, 2, { recordsMax: RECORDS_MAX });
      await second.until(LAST);
      assert.ok(second.reports.some(({ kind }) => kind === "truncated"));
      await second.end();
      const held = await heldBy(target, partition);
      const lost = ["lost 1", "lost 2"].map((text) => JSON.stringify(harness.expected(plainEvent(text))));
      const surviving = held.filter((one) => !lost.includes(JSON.stringify(one)));
      if (surviving.length === held.length) assertPromised(harness, target, held, TEXTS);
      // A sink without `rewind` keeps its orphans, and takes records again from where the log and the sink agree.
      for (const text of TEXTS)
        assert.ok(
          held.some((one) => same(one, harness.expected(plainEvent(text)))),
          text,
        );
    }));
}

function away(harness: SinkHarness): ConformanceCase {
  return test(`${harness.name}: a target that is gone sets no record aside, and gets all of them once it is back`, () =>
    withTarget(harness, async (target, partition) => {
      if (target.setAway === undefined) return;
      storeTexts(partition, 1, TEXTS.slice(0, 2));
      const delivery = await beginDelivery(target, partition, 1, { recordsMax: RECORDS_MAX });
      await delivery.until(1);
      await target.setAway(true);
      storeTexts(partition, 1, TEXTS.slice(2));
      await delivery.actor.until(() => delivery.reports.filter(({ kind }) => kind === "retry").length >= 4);
      assert.ok(!delivery.standsAt(LAST));
      await target.setAway(false);
      await delivery.until(LAST);
      await delivery.end();
      assertPromised(harness, target, await heldBy(target, partition), TEXTS);
      assert.deepEqual([...lettersOf(partition)], []);
    }));
}

function refusal(harness: SinkHarness): readonly ConformanceCase[] {
  const { refused } = harness;
  if (refused === undefined) return [];
  return [
    test(`${harness.name}: sink S5: a record that the target refuses is set aside alone, with the reason`, () =>
      withTarget(harness, async (target, partition) => {
        storeTexts(partition, 1, TEXTS.slice(0, 3));
        partition.store("records", 1, [refused.event]);
        storeTexts(partition, 1, TEXTS.slice(3));
        const delivery = await beginDelivery(target, partition, 1);
        await delivery.until(LAST + 1);
        await delivery.end();
        assertPromised(harness, target, await heldBy(target, partition), TEXTS);
        const letters = lettersOf(partition);
        assert.deepEqual([...letters.keys()], [3]);
        assert.ok((letters.get(3) ?? "").length > 2);
      })),
  ];
}

/** The same kind of sink, which keeps batches in memory until it is flushed (sink S10). */
export function holding(sink: SinkUnderTest): SinkUnderTest {
  return {
    ...sink,
    async open(options, context, call) {
      const writer = await sink.open(options, context, call);
      return holdingWriter(writer);
    },
  };
}

function holdingWriter(writer: SinkWriter): SinkWriter {
  let held: SinkBatch[] = [];
  let durable: Position | undefined;
  return {
    ...(writer.rewind === undefined ? {} : { rewind: writer.rewind.bind(writer) }),
    async position(call) {
      durable = await writer.position(call);
      return durable;
    },
    async write(batch) {
      held.push(batch);
      return { kind: "held", durable };
    },
    async flush(call) {
      for (const batch of held) {
        const outcome = await writer.write(batch, call);
        if (outcome.kind !== "written" && outcome.kind !== "duplicate") throw new Error(`it answered ${outcome.kind}`);
        if (comparePositions(batch.end, durable) > 0) durable = batch.end;
      }
      held = [];
      return durable;
    },
    close: (call) => writer.close(call),
  };
}

function heldBatches(harness: SinkHarness): readonly ConformanceCase[] {
  const name = `${harness.name}, held until it is flushed`;
  const open = async () => {
    const target = await harness.open();
    return { ...target, sink: holding(target.sink) };
  };
  const holdingHarness: SinkHarness = { ...harness, name, open };
  return [
    ...lostAnswers(holdingHarness, ["write", "flush"]),
    test(`${name}: delivery D15: a planned stop loses nothing, and nothing is sent again`, () =>
      withTarget(holdingHarness, async (target, partition) => {
        storeTexts(partition, 1, TEXTS.slice(0, 3));
        const first = await beginDelivery(target, partition, 1, { recordsMax: RECORDS_MAX });
        await first.actor.until(() => first.reports.some(({ kind }) => kind === "opened"));
        await first.end();
        storeTexts(partition, 2, TEXTS.slice(3));
        const second = await beginDelivery(target, partition, 2, { recordsMax: RECORDS_MAX });
        await second.until(LAST);
        await second.end();
        assert.deepEqual(
          await heldBy(target, partition),
          TEXTS.map((text) => harness.expected(plainEvent(text))),
        );
      })),
  ];
}

export const sinkFaults = (harness: SinkHarness): readonly ConformanceCase[] => [
  ...lostAnswers(harness, operationsOf(harness.delivery)),
  lostAnswer(harness, { operation: "write", isAfter: true, number: 2, untilGivenUp: true }, false),
  fence(harness),
  rewound(harness),
  away(harness),
  ...refusal(harness),
  ...heldBatches(harness),
];
