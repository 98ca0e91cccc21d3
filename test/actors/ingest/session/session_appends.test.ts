import { test } from "uvu";
import * as assert from "uvu/assert";
import { TRACES_MAX } from "../../../../actors/ingest/session/append_draft.ts";
import { CreditPool } from "../../../../actors/ingest/session/credit_pool.ts";
import { createInspect } from "../../../../actors/ingest/session/inspection.ts";
import { RecordsBudget } from "../../../../actors/ingest/session/records_budget.ts";
import { stepSession } from "../../../../actors/ingest/session/session_machine.ts";
import type { SessionEffect, SessionMessage } from "../../../../actors/ingest/session/session_messages.ts";
import { createSession } from "../../../../actors/ingest/session/session_state.ts";
import type { AppendOutcome } from "../../../../actors/log/log.ts";
import type { AppendItem, PartitionAnswer } from "../../../../actors/partition/partition.ts";
import { FencedError, InvariantError, RejectedError, UnavailableError } from "../../../../protocols/errors.ts";
import { offset, partitionId } from "../../../../protocols/position.ts";
import type { Sequence } from "../../../../protocols/sequence.ts";
import { sequenceCount } from "../../../../protocols/sequence.ts";
import { traceparentAt } from "../../../../protocols/traceparent.ts";
import { decodeTrustedEvents, EVENT_LIMITS, encodeEvents } from "../../../../protocols/values/event_codec.ts";
import type { AppendFrame, NodeFrame } from "../../../../protocols/wire/frames.ts";

const WIRE_BYTES = 100;
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const partition = { stream: "readings", partition: partitionId(0) };
const check = (event: unknown) =>
  (event as { n: number }).n >= 0 ? undefined : { path: "/n", reason: "must not be below 0" };

/** A welcomed session with an open, empty chain, and the frames and effects of the session. */
class Harness {
  readonly #state;
  readonly frames: NodeFrame[] = [];
  readonly appends: AppendItem[] = [];
  isFlushAsked = false;

  constructor(
    credit = new CreditPool({ totalBytes: 1_000_000, connectionsMax: 1, connectionBytesMax: 100_000 }).take(),
    principal: { readonly owner?: string; readonly placesOf?: string } = {},
  ) {
    const schemas = new Map([
      [
        "readings",
        [
          { version: 1, schema: {}, check },
          { version: 2, schema: {}, check },
        ],
      ],
    ]);
    const may = { mayProduce: () => true, mayConsume: () => true, mayObserve: () => true };
    const permissions = { subject: "all", ...may, ...principal };
    const describe = () => ({ readings: { partitions: 2, schemaVersions: [1, 2] } });
    const directory = {
      describe,
      describeWithOwners: describe,
      partition: () => undefined,
    };
    const limits = { frameBytesMax: 1e6, eventBytesMax: 1e6, batchEventsMax: 200, dedupeWindowMs: 1_000 };
    this.#state = createSession(
      { node: "n", limits, directory, inspect: createInspect(schemas, EVENT_LIMITS) },
      credit,
      new RecordsBudget().open(),
    );
    const hello = { type: "hello", client: "c", producerId: "p", instance: "i" } as const;
    this.step({ type: "frame", frame: hello, wireBytes: 0 });
    this.step({ type: "authenticated", permissions });
    this.step({ type: "welcomed", outcome: { kind: "welcomed", producerEpoch: 7 } });
    this.open(null);
  }

  step(message: SessionMessage): readonly SessionEffect[] {
    const [, effects] = stepSession(this.#state, message, 1_000);
    for (const effect of effects) {
      if (effect.type === "send") this.frames.push(effect.frame);
      if (effect.type === "append") this.appends.push(...effect.items);
      if (effect.type === "flush_soon") this.isFlushAsked = true;
    }
    return effects;
  }

  open(lastSequence: Sequence | null, which = 0): void {
    const effects = this.step({
      type: "frame",
      frame: { type: "open", stream: "readings", partition: which, producerEpoch: 7 },
      wireBytes: 0,
    });
    const call = effects.find(({ type }) => type === "open_chain") as { requestId: number };
    const outcome = { kind: "opened", lastSequence: lastSequence ?? undefined } as const;
    const answers = [{ kind: "opened", requestId: call.requestId, outcome }] as const;
    this.step({ type: "partition_reply", partition: { ...partition, partition: partitionId(which) }, answers });
    this.frames.length = 0;
  }

  /** Events numbered from `from`, in one frame that follows the one before. */
  append(...events: Parameters<Harness["frameOf"]>): void {
    this.step(this.frameOf(...events));
  }

  frameOf(from: number, count = 1, more: Partial<AppendFrame> & { readonly asRecords?: boolean } = {}) {
    const { asRecords = false, ...fields } = more;
    const events = Array.from({ length: count }, (_, at) => ({ n: from + at, text: `event ${from + at}` }));
    const frame: AppendFrame = {
      type: "append",
      stream: "readings",
      partition: 0,
      producerEpoch: 7,
      previousSequence: from === 0 ? null : [0, from - 1, 0],
      sequences: { first: [0, from, 0], count },
      events: encodeEvents(events, { asRecords }),
      ...fields,
    };
    return { type: "frame", frame, wireBytes: WIRE_BYTES } as const;
  }

  flush(): readonly AppendItem[] {
    this.appends.length = 0;
    this.step({ type: "flush" });
    return [...this.appends];
  }

  reply(...answers: PartitionAnswer[]): void {
    this.step({ type: "partition_reply", partition, answers });
  }

  answer(item: AppendItem | undefined, outcome: AppendOutcome): void {
    this.reply({ kind: "appended", requestId: item?.requestId ?? -1, outcome });
  }
}

const numbers = ({ batch }: AppendItem): number[] => decodeTrustedEvents(batch.events).map(({ n }) => n as number);
const written = { kind: "written", firstOffset: offset(0), count: 1 } as const;

test("N3: frames of one turn that follow each other are one batch, and one ack gives the credit of all back", () => {
  const harness = new Harness();
  for (const n of [0, 1, 2]) harness.append(n);
  harness.append(3, 20);
  const [batch, ...others] = harness.flush();
  assert.is(others.length, 0);
  assert.equal(batch?.batch.sequences, { first: [0, 0, 0], count: 23 });
  assert.is(batch?.batch.previousSequence, undefined);
  assert.equal(
    numbers(batch as AppendItem),
    Array.from({ length: 23 }, (_, n) => n),
  );
  harness.answer(batch, { ...written, count: 23 });
  const [ack] = harness.frames;
  assert.equal(ack, { type: "ack", ...partition, lastSequence: [0, 22, 0], creditBytes: 4 * WIRE_BYTES });
});

test("N3: each turn's frames are a batch of their own, and one flush is asked for in a turn", () => {
  const harness = new Harness();
  harness.append(0);
  assert.ok(harness.isFlushAsked);
  harness.isFlushAsked = false;
  harness.append(1);
  assert.not(harness.isFlushAsked);
  assert.is(harness.flush().length, 1);
  harness.append(2);
  assert.ok(harness.isFlushAsked);
  const [second] = harness.flush();
  assert.equal(second?.batch.previousSequence, [0, 1, 0]);
});

const ALONE: readonly (readonly [string, Partial<AppendFrame> & { readonly asRecords?: boolean }])[] = [
  // D2
  ["inline record definitions, whose ids mean something else in another frame,", { asRecords: true }],
  ["a resume point", { position: { line: 1 } }],
  ["another schema version", { schemaVersion: 1 }],
  ["listed sequences", { sequences: { list: [[0, 1, 0]] } }],
  // D1
  ["a sequence that is not the next one", { sequences: { first: [0, 5, 0], count: 1 } }],
  ["another index of the same input", { sequences: { first: [0, 1, 1], count: 1 } }],
];
for (const [what, more] of ALONE) {
  test(`a frame with ${what} stays alone`, () => {
    const harness = new Harness();
    harness.append(0);
    harness.append(1, 1, more);
    const batches = harness.flush();
    assert.is(batches.length, 2);
    assert.equal(batches.map(numbers), [[0], [1]]);
  });
}

const traceOf = (n: number) => `00-${String(n + 1).padStart(32, "0")}-b7ad6b7169203331-01`;

test("D4: frames with trace contexts are joined, and each event keeps the context of its frame", () => {
  const harness = new Harness();
  const contexts = [traceOf(0), traceOf(0), undefined, traceOf(1), traceOf(2)];
  for (const [n, traceparent] of contexts.entries())
    harness.append(n, 1, traceparent === undefined ? {} : { traceparent });
  const [item, ...others] = harness.flush();
  assert.is(others.length, 0);
  assert.equal(
    contexts.map((_, index) => traceparentAt(item?.batch ?? {}, index)),
    contexts,
  );
  assert.is(item?.batch.traces?.length, 4);
});

test("D4: a batch whose events all have one trace context holds that context once", () => {
  const harness = new Harness();
  for (const n of [0, 1, 2]) harness.append(n, 1, { traceparent: TRACEPARENT });
  const [item] = harness.flush();
  assert.is(item?.batch.traceparent, TRACEPARENT);
  assert.is(item?.batch.traces, undefined);
});

test("D4: a batch that holds the most changes of trace context is followed by another, and nothing is lost", () => {
  const harness = new Harness();
  const count = TRACES_MAX + 10;
  for (let n = 0; n < count; n++) harness.append(n, 1, { traceparent: traceOf(n) });
  const batches = harness.flush().map(({ batch }) => batch);
  assert.equal(
    batches.map(({ traces = [] }) => traces.length),
    [TRACES_MAX, 10],
  );
  const told = batches.flatMap((batch) =>
    Array.from({ length: sequenceCount(batch.sequences) }, (_, index) => traceparentAt(batch, index)),
  );
  assert.equal(
    told,
    Array.from({ length: count }, (_, n) => traceOf(n)),
  );
});

test("D3: a frame with a rejected event stays alone, with its verdict", () => {
  const harness = new Harness();
  harness.append(0);
  const events = encodeEvents([{ n: -1 }], { asRecords: false });
  harness.append(1, 1, { events });
  harness.append(2);
  const batches = harness.flush();
  assert.is(batches.length, 3);
  for (const item of batches) harness.answer(item, written);
  assert.equal(
    harness.frames.flatMap((frame) => (frame.type === "ack" ? (frame.verdicts ?? []) : [])).map((one) => one.sequence),
    [[0, 1, 0]],
  );
});

for (const [whose, principal] of [
  ["its principal", { owner: "plant" }],
  ["the principal that it works for", { placesOf: "plant" }],
] as const) {
  test(`open, lost, and an append without a predecessor, which may make a chain, name ${whose}`, () => {
    const harness = new Harness(undefined, principal);
    const about = { stream: "readings", partition: 0, producerEpoch: 7 };
    const called = [
      { type: "open", ...about },
      { type: "lost", ...about, from: null, to: [0, 4, 0] },
    ] as const;
    const effects = called.flatMap((frame) => harness.step({ type: "frame", frame, wireBytes: 0 }));
    assert.equal(
      effects.flatMap((effect) => ("owner" in effect ? [[effect.type, effect.owner]] : [])),
      [
        ["open_chain", "plant"],
        ["declare_lost", "plant"],
      ],
    );
    harness.append(0);
    harness.append(1, 1, { position: { line: 1 } });
    const owners = harness.flush().map(({ batch }) => batch.owner);
    assert.equal(owners, ["plant", undefined]);
  });
}

test("an append names no principal on a node without authentication", () => {
  const harness = new Harness();
  harness.append(0);
  assert.not.ok("owner" in (harness.flush()[0]?.batch ?? {}));
});

test("a principal that has its share of the places is told how many it holds and how many are free", () => {
  const harness = new Harness();
  harness.append(0);
  const share = { held: 89, free: 11 };
  harness.answer(harness.flush()[0], { kind: "too_many_producers", live: 89, share });
  const [frame] = harness.frames;
  assert.ok(frame?.type === "error" && frame.code === "TOO_MANY_PRODUCERS" && frame.retryAfterMs === 5_000);
  assert.match(frame.message, /readings\/0 .* it has 89, and 11 are free$/);
});

test("D1: no frame joins an append that may not follow the chain as the log holds it", () => {
  const harness = new Harness();
  harness.open([0, 9, 0]);
  harness.append(5); // a repeat: alone it is a duplicate, joined with the next it would be a gap
  harness.append(6);
  const batches = harness.flush();
  assert.is(batches.length, 2);
});

test("D1: after a gap, frames are joined again once they follow the sequence that the partition has told", () => {
  const harness = new Harness();
  harness.append(3); // 0 to 2 never arrived
  harness.append(4);
  const lost = harness.flush();
  assert.is(lost.length, 2);
  for (const item of lost) harness.answer(item, { kind: "gap", stored: undefined });
  for (const n of [0, 1, 2]) harness.append(n);
  assert.is(harness.flush().length, 1);
});

test("a joined batch behind a gap has one answer, with the credit of all its frames", () => {
  const harness = new Harness();
  for (const n of [0, 1]) harness.append(n);
  const [batch] = harness.flush();
  harness.answer(batch, { kind: "gap", stored: [0, 7, 0] });
  assert.equal(harness.frames, [{ type: "gap", ...partition, storedSequence: [0, 7, 0], creditBytes: 2 * WIRE_BYTES }]);
});

test("a batch joined of many frames stays within the events that a batch may have", () => {
  const harness = new Harness();
  for (let n = 0; n < 420; n += 1) harness.append(n);
  assert.equal(
    harness
      .flush()
      .map(numbers)
      .map((batch) => batch.length),
    [200, 200, 20],
  );
});

test("a broken frame among those of a turn is refused alone", () => {
  const harness = new Harness();
  harness.append(0);
  harness.append(1, 1, { events: Uint8Array.of(0x91, 0xa5, 0x61) });
  assert.is(harness.frames[0]?.type, "error");
  harness.append(1);
  assert.equal(harness.flush().map(numbers), [[0, 1]]);
});

test("D1: a repeated batch that the log holds already is not joined with the frames behind it", () => {
  const harness = new Harness();
  harness.open([0, 198, 0], 1);
  const at = (first: number, previous: number) =>
    harness.append(first, 1, { partition: 1, previousSequence: [0, previous, 0] });
  at(198, 198); // its ack was lost: the log calls it a duplicate, and what follows is new
  at(199, 198);
  at(200, 199);
  assert.equal(
    harness.flush().map(({ batch }) => batch.sequences),
    [198, 199, 200].map((first) => ({ first: [0, first, 0], count: 1 })),
  );
});

test("N2: each append has one answer, which gives its credit back: an ack, a gap, a moved or an error", () => {
  const harness = new Harness();
  const refusedWith = (error: FencedError | UnavailableError) => ({ kind: "refused", error }) as const;
  const replies = [
    { kind: "appended", outcome: written },
    { kind: "appended", outcome: { kind: "gap", stored: undefined } },
    refusedWith(new FencedError("NOT_OWNER", "Cannot append as another node owns it")),
    refusedWith(new UnavailableError("STORE_UNAVAILABLE", "Cannot append as the store is away")),
  ] as const;
  const answers = replies.map((reply) => {
    harness.append(0);
    const [item] = harness.flush();
    harness.frames.length = 0;
    harness.reply({ ...reply, requestId: item?.requestId ?? -1 });
    return harness.frames.map((frame) => [frame.type, "creditBytes" in frame ? frame.creditBytes : 0]);
  });
  assert.equal(answers, [
    [["ack", WIRE_BYTES]],
    [["gap", WIRE_BYTES]],
    [
      ["moved", 0],
      ["credit", WIRE_BYTES],
    ],
    [["error", WIRE_BYTES]],
  ]);
});

test("N4: a frame beyond the credit is taken while some is left; the next one ends the connection", () => {
  const pool = new CreditPool({ totalBytes: 300, connectionsMax: 1, connectionBytesMax: 150, connectionBytesMin: 1 });
  const harness = new Harness(pool.take());
  for (const n of [0, 1]) harness.append(n); // 200 bytes, where the credit is 150
  assert.equal(harness.frames, []);
  harness.append(2);
  assert.equal(
    harness.frames.map((frame) => frame.type === "error" && frame.code),
    ["OUT_OF_CREDIT"],
  );
  assert.equal(harness.flush().map(numbers), [[0, 1]]);
});

test("a reply to an open that is none of an open is a fault, and acknowledges nothing", () => {
  const harness = new Harness();
  const frame = { type: "open", stream: "readings", partition: 0, producerEpoch: 7 } as const;
  const [, call] = harness.step({ type: "frame", frame, wireBytes: 0 }) as readonly [unknown, { requestId: number }];
  const answer = { kind: "appended", requestId: call.requestId, outcome: written } as const;
  assert.throws(
    () => harness.reply(answer),
    (error: unknown) => error instanceof InvariantError,
  );
  assert.equal(harness.frames, []);
});

test("a moved partition gives back the credit of an append that it did not take", () => {
  const harness = new Harness();
  harness.append(0);
  const [item] = harness.flush();
  const error = new FencedError("NOT_OWNER", "Cannot append as another node owns it");
  harness.reply({ kind: "refused", requestId: item?.requestId ?? -1, error });
  assert.equal(harness.frames, [
    { type: "moved", ...partition },
    { type: "credit", creditBytes: WIRE_BYTES },
  ]);
});

test("N5: a partition that does not answer leaves credit to the other partitions of its connection", () => {
  const pool = new CreditPool({
    totalBytes: 2_000,
    connectionsMax: 1,
    connectionBytesMax: 1_000,
    connectionBytesMin: 1,
  });
  const harness = new Harness(pool.take());
  for (let n = 0; n < 9; n += 1) harness.append(n); // alone it may fill the credit
  assert.equal(harness.frames, []);
  harness.open(null, 1);
  const [batch] = harness.appends; // gathered appends go before the chain is opened
  harness.append(9);
  const [error] = harness.frames;
  assert.is(error?.type === "error" && error.code, "OUT_OF_CREDIT");
  assert.equal(error?.type === "error" && [error.partition, error.creditBytes], [0, WIRE_BYTES]);
  harness.append(0, 1, { partition: 1 });
  assert.is(harness.frames.length, 1);
  harness.answer(batch, { ...written, count: 9 });
  harness.flush();
  harness.append(9);
  assert.is(harness.flush().length, 1);
});

test("a client that says goodbye is closed as done once all its appends are answered", () => {
  const harness = new Harness();
  harness.append(0);
  const [item] = harness.flush();
  const closes = (effects: readonly SessionEffect[]) => effects.filter(({ type }) => type === "close");
  assert.equal(closes(harness.step({ type: "frame", frame: { type: "goodbye" }, wireBytes: 0 })), []);
  const answer = { kind: "appended", requestId: item?.requestId ?? -1, outcome: written } as const;
  const effects = harness.step({ type: "partition_reply", partition, answers: [answer] });
  assert.equal(closes(effects), [{ type: "close", code: 1000, reason: "goodbye" }]);
});

test("credit grows with its use, told by the acks", () => {
  const pool = new CreditPool({
    totalBytes: 40_000,
    connectionsMax: 100,
    connectionBytesMax: 4_000,
    connectionBytesMin: 1,
  });
  const harness = new Harness(pool.take());
  harness.append(0); // 100 of 200 bytes
  const [item] = harness.flush();
  harness.answer(item, written);
  assert.equal((harness.frames[0] as { creditBytes: number }).creditBytes, WIRE_BYTES + 200);
});

test("frames that arrived together are one step, whose appends go out at its end without a flush", () => {
  const harness = new Harness();
  const [one, two] = [harness.frameOf(0), harness.frameOf(1)];
  const effects = harness.step({ type: "frames", frames: [one, two] });
  assert.equal(
    effects.map(({ type }) => type),
    ["append"],
  );
  assert.equal(
    harness.appends.map(({ batch }) => batch.sequences),
    [{ first: [0, 0, 0], count: 2 }],
  );
});

test("frames behind one that ends the connection are not taken, and the appends before it are", () => {
  const harness = new Harness();
  const malformed = { type: "malformed", error: new RejectedError("MALFORMED_FRAME", "Cannot read a frame") } as const;
  const effects = harness.step({
    type: "frames",
    frames: [harness.frameOf(0), malformed, malformed, harness.frameOf(1)],
  });
  assert.equal(
    effects.map(({ type }) => type),
    ["send", "close", "append"],
  );
  assert.is(harness.appends[0]?.batch.events.length, harness.frameOf(0).frame.events.length);
});

test.run();
