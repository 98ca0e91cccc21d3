import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LOOK_EVERY_MS_MAX, SILENCE_MS } from "../../../../protocols/client/link.ts";
import { HOME } from "../../../../protocols/client/links.ts";
import { stepProducer } from "../../../../protocols/client/producer/producer_machine.ts";
import type { ProducerEffect, ProducerMessage } from "../../../../protocols/client/producer/producer_messages.ts";
import { createProducer, type ProducerState } from "../../../../protocols/client/producer/producer_state.ts";
import type { ErrorCode } from "../../../../protocols/errors.ts";
import type { Sequence, Sequences } from "../../../../protocols/sequence.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";
import type { AppendFrame, ClientFrame, NodeFrame } from "../../../../protocols/wire/frames.ts";
import { ModelNode } from "../../../support/fakes/model_node.ts";

const DAY_MS = 86_400_000;
const SILENCE = `silence ${HOME}`;

/** Drives the machine against a model node; frames travel only when the test says so. */
class Harness {
  readonly node: ModelNode;
  readonly state: ProducerState;
  nowMs = 1_000_000;
  toNode: { readonly frame: ClientFrame; readonly bytes: number }[] = [];
  toClient: NodeFrame[] = [];
  timers = new Map<string, number>();
  readonly effects: ProducerEffect[] = [];
  readonly settled: { readonly id: number; readonly how: string }[] = [];
  readonly verdicts: Sequence[] = [];
  isConnecting = false;
  /** Appends that the node refuses by a fault of its own. */
  refuses: (frame: AppendFrame) => boolean = () => false;
  refusesWith: ErrorCode = "INVARIANT_VIOLATED";
  private nextId = 0;

  constructor(node = new ModelNode(), stopsAtLoss = false) {
    this.node = node;
    const about = { client: "test", producerId: "p", instance: "i", addresses: ["a"] };
    this.state = createProducer({ ...about, dedupeWindowMs: DAY_MS, stopsAtLoss });
  }

  step(message: ProducerMessage): void {
    const [, effects] = stepProducer(this.state, message, this.nowMs);
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: ProducerEffect): void {
    this.effects.push(effect);
    switch (effect.type) {
      case "connect":
        this.isConnecting = true;
        break;
      case "disconnect":
        this.toNode = [];
        this.toClient = [];
        break;
      case "send":
        this.toNode.push({ frame: effect.frame, bytes: 0 });
        break;
      case "send_append": {
        const { link, frame, estimatedBytes } = effect;
        const wireBytes = frame.events.length + 200;
        this.toNode.push({ frame, bytes: wireBytes });
        this.step({ type: "sent", link, frame, wireBytes, estimatedBytes });
        break;
      }
      case "set_timer":
        this.timers.set(effect.timer, this.nowMs + effect.delayMs);
        break;
      case "acked":
        for (const { id } of effect.batches) this.settled.push({ id, how: "acked" });
        this.verdicts.push(...effect.verdicts.map(({ sequence }) => sequence));
        break;
      case "in_doubt":
        for (const { id } of effect.batches) this.settled.push({ id, how: "in_doubt" });
        break;
      case "refused":
        this.settled.push({ id: effect.batch.id, how: "refused" });
        break;
      default:
        break;
    }
  }

  batch(events: readonly object[], options: { partition?: number; sequences?: Sequences } = {}): number {
    const id = this.nextId++;
    const { partition = 0, sequences } = options;
    const bytes = encodeEvents(events, { asRecords: true });
    this.step({
      type: "batch",
      batch: {
        id,
        stream: "readings",
        partition,
        events: bytes,
        count: events.length,
        ...(sequences ? { sequences } : {}),
      },
    });
    return id;
  }

  connect(): void {
    if (!this.isConnecting) return;
    this.isConnecting = false;
    this.step({ type: "connected", link: HOME });
  }

  nodeTakesOne(): void {
    const next = this.toNode.shift();
    if (next === undefined) return;
    const { frame, bytes } = next;
    if (frame.type === "append" && this.refuses(frame)) {
      const { stream, partition } = frame;
      const about = { code: this.refusesWith, message: "refused", stream, partition };
      this.toClient.push({ type: "error", ...about, creditBytes: bytes });
    } else this.toClient.push(...this.node.take(frame, bytes));
  }

  clientTakesOne(): void {
    const frame = this.toClient.shift();
    if (frame !== undefined) this.take(frame);
  }

  take(frame: NodeFrame): void {
    this.step({ type: "frame", link: HOME, frame, wireBytes: 0 });
  }

  cut(): void {
    if (this.phase !== "greeting" && this.phase !== "online") return;
    this.toNode = [];
    this.toClient = [];
    this.step({ type: "disconnected", link: HOME, error: undefined });
  }

  fireTimer(): void {
    const next = [...this.timers].filter(([name]) => name !== SILENCE).sort((left, right) => left[1] - right[1])[0];
    if (next === undefined) return;
    this.timers.delete(next[0]);
    this.nowMs = Math.max(this.nowMs, next[1]);
    this.step({ type: "timer", timer: next[0] });
  }

  /** Delivers frames and fires timers until none is left. */
  settle(): void {
    for (let turns = 0; turns < 10_000; turns++) {
      if (this.isConnecting) this.connect();
      else if (this.toNode.length > 0) this.nodeTakesOne();
      else if (this.toClient.length > 0) this.clientTakesOne();
      else if ([...this.timers.keys()].some((name) => name !== SILENCE)) this.fireTimer();
      else return;
    }
    throw new Error("never settled");
  }

  sent(type: ClientFrame["type"]): ClientFrame[] {
    return this.effects.flatMap((effect) =>
      (effect.type === "send" || effect.type === "send_append") && effect.frame.type === type ? [effect.frame] : [],
    );
  }

  get phase(): string {
    return this.state.isStopped ? "stopped" : this.state.links.home.phase;
  }

  get creditBytes(): number {
    return this.state.links.home.credit.availableBytes;
  }

  stored(partition = 0): number[] {
    return this.node.log("readings", partition).map(({ event }) => event.n as number);
  }
}

function started(node?: ModelNode, stopsAtLoss?: boolean): Harness {
  const harness = new Harness(node, stopsAtLoss);
  harness.step({ type: "start" });
  return harness;
}

test("P1: batches follow each other on the chain and are acknowledged", () => {
  const harness = started();
  for (let n = 0; n < 5; n++) harness.batch([{ n: n * 2 }, { n: n * 2 + 1 }]);
  harness.settle();
  assert.equal(harness.stored(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(
    harness.settled.map(({ id }) => id),
    [0, 1, 2, 3, 4],
  );
  assert.is(harness.node.appends, 5);
  assert.is(harness.creditBytes, harness.node.creditBytes);
});

test("a new instance goes on after what the partition holds (E1)", () => {
  const harness = started();
  harness.node.chain("readings", 0).stored = [0, 499, 0];
  harness.batch([{ n: 1 }]);
  harness.settle();
  assert.equal(
    harness.node.log("readings", 0).map(({ sequence }) => sequence),
    [[0, 500, 0]],
  );
});

test("P3: a batch whose ack was lost is sent again and stored once, and its verdicts arrive", () => {
  const harness = started();
  harness.node.rejects = (event) => event.n === 2;
  harness.batch([{ n: 1 }, { n: 2 }]);
  for (let turn = 0; turn < 6; turn++) {
    harness.connect();
    harness.nodeTakesOne();
    if (harness.toClient[0]?.type !== "ack") harness.clientTakesOne();
  }
  assert.is(harness.toClient[0]?.type, "ack");
  harness.cut();
  harness.settle();
  assert.equal(harness.stored(), [1]);
  assert.is(harness.node.appends, 2);
  const acks = harness.effects.flatMap((effect) => (effect.type === "acked" ? effect.verdicts : []));
  assert.equal(
    acks.map(({ sequence, code }) => [sequence, code]),
    [[[0, 1, 0], "SCHEMA_VIOLATION"]],
  );
});

test("P4: acknowledged events that the log lost are declared lost, and later events do not wait for them (E6)", () => {
  const harness = started();
  harness.batch([{ n: 0 }, { n: 1 }, { n: 2 }]);
  harness.settle();
  harness.node.loseTail("readings", 0, 2);
  harness.batch([{ n: 3 }]);
  harness.settle();
  assert.equal(harness.stored(), [0, 3]);
  assert.equal(harness.node.lost, [{ from: [0, 0, 0], to: [0, 2, 0] }]);
  assert.equal(harness.effects.filter((effect) => effect.type === "lost").length, 1);
});

test("P4: a producer that can send again stops at a loss, hands its batches back, and declares nothing lost", () => {
  const harness = started(undefined, true);
  harness.batch([{ n: 0 }, { n: 1 }, { n: 2 }]);
  harness.settle();
  harness.node.loseTail("readings", 0, 2);
  harness.batch([{ n: 3 }]);
  harness.settle();
  assert.equal(harness.stored(), [0]);
  assert.equal(harness.node.lost, []);
  const lost = harness.effects.filter((effect) => effect.type === "lost");
  assert.equal(lost, [{ type: "lost", stream: "readings", partition: 0, from: [0, 0, 0], to: [0, 2, 0] }]);
  const stopped = harness.effects.find((effect) => effect.type === "stopped");
  const reason = "readings/0 must hold what it acknowledged, up to 0/2/0: its last sequence is 0/0/0";
  assert.match(String(stopped?.type === "stopped" && stopped.error), reason);
  assert.equal(
    harness.settled.map(({ how }) => how),
    ["acked", "in_doubt"],
  );
});

test("events that the log lost and the producer still holds are sent again, not declared lost", () => {
  const harness = started();
  harness.batch([{ n: 0 }]);
  harness.settle();
  harness.batch([{ n: 1 }]);
  harness.nodeTakesOne();
  harness.cut();
  harness.node.loseTail("readings", 0, 1);
  harness.settle();
  assert.equal(harness.stored(), [0, 1]);
  assert.equal(harness.node.lost, []);
});

test("a batch of which the log holds the first events is cut by the client (E2)", () => {
  const harness = started();
  harness.node.chain("readings", 0).stored = [7, 101, 0];
  const list: Sequence[] = [
    [7, 100, 0],
    [7, 101, 0],
    [7, 101, 1],
    [7, 105, 0],
  ];
  harness.batch([{ n: 0 }, { n: 1 }, { n: 2 }, { n: 3 }], { sequences: { list } });
  harness.settle();
  assert.equal(
    harness.node.log("readings", 0).map(({ sequence, event }) => [sequence, event.n]),
    [
      [[7, 101, 1], 2],
      [[7, 105, 0], 3],
    ],
  );
  assert.equal(harness.settled, [{ id: 0, how: "acked" }]);
});

test("the verdicts of a batch's stored events are told with the rest of the batch (E4)", () => {
  const harness = started();
  const chain = harness.node.chain("readings", 0);
  chain.stored = [7, 101, 0];
  chain.verdicts.push({ sequence: [7, 100, 0], code: "SCHEMA_VIOLATION", path: "/n", reason: "was disliked" });
  const list: Sequence[] = [
    [7, 100, 0],
    [7, 101, 0],
    [7, 102, 0],
  ];
  harness.batch([{ n: 0 }, { n: 1 }, { n: 2 }], { sequences: { list } });
  harness.settle();
  assert.equal(harness.settled, [{ id: 0, how: "acked" }]);
  assert.equal(harness.verdicts, [[7, 100, 0]]);
});

/**
 * Sends a batch of 7/100 to 7/102. The log holds its first `kept` events; the node refuses appends that begin at
 * `refusedFrom`.
 */
function refusedOverlap(kept: number, refusedFrom: number, code: ErrorCode): Harness {
  const harness = started();
  harness.refusesWith = code;
  const chain = harness.node.chain("readings", 0);
  chain.stored = [7, 99 + kept, 0];
  chain.verdicts.push({ sequence: [7, 100, 0], code: "SCHEMA_VIOLATION", path: "/n", reason: "was disliked" });
  harness.refuses = ({ sequences }) =>
    sequences !== undefined && "list" in sequences && sequences.list[0]?.[1] === refusedFrom;
  const list: Sequence[] = [100, 101, 102].map((n) => [7, n, 0]);
  harness.batch([{ n: 0 }, { n: 1 }, { n: 2 }], { sequences: { list } });
  harness.settle();
  return harness;
}

test("where the node refuses the rest of a batch, its stored events are told as stored, with their verdicts", () => {
  const harness = refusedOverlap(2, 102, "INVARIANT_VIOLATED");
  assert.equal(harness.settled, [{ id: 0, how: "refused" }]);
  const [refused] = harness.effects.filter((effect) => effect.type === "refused");
  assert.is(refused?.storedCount, 2);
  assert.equal(
    refused?.verdicts.map(({ sequence }) => sequence),
    [[7, 100, 0]],
  );
});

test("P2: a batch that was cut is handed back once, with the sequences of all its events, when the producer stops", () => {
  const harness = started();
  const list: Sequence[] = [100, 101, 102].map((n) => [7, n, 0]);
  harness.node.chain("readings", 0).stored = [7, 100, 0];
  harness.batch([{ n: 0 }, { n: 1 }, { n: 2 }], { sequences: { list } });
  while (harness.sent("append").length === 0) {
    harness.connect();
    harness.nodeTakesOne();
    harness.clientTakesOne();
  }
  harness.step({ type: "stop" });
  const doubts = harness.effects.flatMap((effect) => (effect.type === "in_doubt" ? effect.batches : []));
  assert.equal(doubts, [{ id: 0, sequences: { list }, wasSent: true }]);
});

test("a batch that the log has is in doubt where the node refuses to tell its verdicts, and never told as refused", () => {
  for (const kept of [2, 3]) {
    const harness = refusedOverlap(kept, 100, "UNKNOWN_SCHEMA_VERSION");
    assert.equal(harness.settled, [{ id: 0, how: "in_doubt" }], `${kept} stored`);
    const [doubt] = harness.effects.filter((effect) => effect.type === "in_doubt");
    assert.equal(doubt?.batches[0]?.sequences, { list: [100, 101, 102].map((n) => [7, n, 0]) });
  }
});

test("a batch that a fault of the node left out of the log is told as refused, though its chain went on (partition P11)", () => {
  const harness = refusedOverlap(3, 100, "INVARIANT_VIOLATED");
  assert.equal(harness.settled, [{ id: 0, how: "refused" }]);
  assert.is(harness.effects.find((effect) => effect.type === "refused")?.storedCount, 0);
});

test("P5: a batch older than the dedupe window is handed back in doubt, and not sent again (E5)", () => {
  const harness = started();
  harness.batch([{ n: 0 }]);
  while (harness.toNode[0]?.frame.type !== "append") {
    harness.connect();
    harness.nodeTakesOne();
    harness.clientTakesOne();
  }
  harness.cut();
  harness.nowMs += DAY_MS + 60_000;
  harness.batch([{ n: 1 }]);
  harness.settle();
  assert.equal(harness.settled, [
    { id: 0, how: "in_doubt" },
    { id: 1, how: "acked" },
  ]);
  assert.equal(harness.stored(), [1]);
});

test("P6: a fenced producer sends nothing more and hands back every batch without an ack (E1)", () => {
  const harness = started();
  harness.batch([{ n: 0 }]);
  harness.settle();
  harness.node.intercept = () => ({
    type: "error",
    code: "STALE_PRODUCER_EPOCH",
    message: "newer",
    stream: "readings",
    partition: 0,
  });
  harness.batch([{ n: 1 }]);
  harness.settle();
  harness.batch([{ n: 2 }]);
  assert.equal(harness.settled.slice(1), [
    { id: 1, how: "in_doubt" },
    { id: 2, how: "in_doubt" },
  ]);
  assert.is(harness.phase, "stopped");
});

test("a refused batch alone is handed back; the ones before and after it are stored", () => {
  const harness = started();
  harness.node.intercept = ({ events }) =>
    events.length > 300
      ? {
          type: "error",
          code: "BATCH_TOO_LARGE",
          message: "too large",
          stream: "readings",
          partition: 0,
          creditBytes: events.length + 200,
        }
      : undefined;
  harness.batch([{ n: 0 }]);
  harness.batch([{ n: 1, text: "x".repeat(400) }]);
  harness.batch([{ n: 2 }]);
  harness.settle();
  assert.equal(harness.stored(), [0, 2]);
  assert.equal(
    harness.settled.filter(({ how }) => how === "refused"),
    [{ id: 1, how: "refused" }],
  );
  assert.is(harness.creditBytes, harness.node.creditBytes);
});

test("an unknown stream refuses that stream's batches and no others", () => {
  const harness = started();
  harness.node.intercept = ({ partition }) =>
    partition === 1
      ? { type: "error", code: "UNKNOWN_PARTITION", message: "none", stream: "readings", partition }
      : undefined;
  harness.batch([{ n: 0 }], { partition: 1 });
  harness.batch([{ n: 1 }], { partition: 0 });
  harness.settle();
  assert.equal(harness.settled.map(({ id, how }) => `${id} ${how}`).sort(), ["0 refused", "1 acked"]);
});

test("a store that is full is tried again after the time that the node names", () => {
  const harness = started();
  let refusals = 3;
  harness.node.intercept = () =>
    refusals-- > 0
      ? { type: "error", code: "STORE_FULL", message: "full", stream: "readings", partition: 0, retryAfterMs: 700 }
      : undefined;
  const startedAtMs = harness.nowMs;
  for (let n = 0; n < 3; n++) harness.batch([{ n }]);
  harness.settle();
  assert.equal(harness.stored(), [0, 1, 2]);
  assert.ok(harness.nowMs - startedAtMs >= 700);
});

test("P7: appends that await an answer never exceed the credit", () => {
  const node = new ModelNode();
  node.creditBytes = 3_000;
  const harness = started(node);
  for (let n = 0; n < 50; n++) harness.batch([{ n, text: "x".repeat(200) }], { partition: n % 3 });
  for (let turn = 0; turn < 400; turn++) {
    harness.connect();
    const underWay =
      harness.toNode.reduce((sum, { bytes }) => sum + bytes, 0) +
      harness.toClient.reduce(
        (sum, frame) => sum + ("creditBytes" in frame && frame.type === "ack" ? (frame.creditBytes ?? 0) : 0),
        0,
      );
    assert.ok(underWay <= 3_000, `${underWay}`);
    if (turn % 3 === 0) harness.nodeTakesOne();
    else if (turn % 3 === 1) harness.clientTakesOne();
  }
  harness.settle();
  assert.is(harness.settled.length, 50);
});

test("P8: a connection that owes an answer and stays silent is given up", () => {
  const harness = started();
  harness.connect();
  harness.nowMs -= 3_600_000; // A clock that jumps keeps no dead connection (E24).
  for (let look = 0; look < SILENCE_MS / LOOK_EVERY_MS_MAX; look += 1) harness.step({ type: "timer", timer: SILENCE });
  assert.is(harness.phase, "greeting");
  harness.step({ type: "timer", timer: SILENCE });
  assert.is(harness.phase, "offline");
});

test("a connection that was silent while it owed nothing has its full time once it owes an answer", () => {
  const harness = started();
  harness.batch([{ n: 0 }]);
  harness.settle();
  for (let look = 0; look < 20; look += 1) harness.step({ type: "timer", timer: SILENCE });
  harness.batch([{ n: 1 }]);
  harness.step({ type: "timer", timer: SILENCE });
  assert.is(harness.phase, "online");
  harness.settle();
  assert.equal(harness.stored(), [0, 1]);
});

test("frames that are repeated, late or unasked for change nothing", () => {
  const harness = started();
  harness.batch([{ n: 0 }]);
  harness.settle();
  const ack = { type: "ack", stream: "readings", partition: 0, lastSequence: [0, 0, 0], creditBytes: 0 } as const;
  for (const frame of [
    ack,
    ack,
    { type: "opened", stream: "readings", partition: 0, lastSequence: null },
    { type: "gap", stream: "readings", partition: 0, storedSequence: null, creditBytes: 0 },
  ] as const) {
    harness.take(frame);
  }
  harness.batch([{ n: 1 }]);
  harness.settle();
  assert.equal(harness.stored(), [0, 1]);
  assert.equal(harness.node.lost, []);
});

test("P2: whatever breaks, every event is stored exactly once and in order, and each batch is told", () => {
  const action = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("batch" as const),
        partition: fc.nat({ max: 1 }),
        count: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 8, arbitrary: fc.constant({ kind: "node" as const }) },
    { weight: 8, arbitrary: fc.constant({ kind: "client" as const }) },
    { weight: 2, arbitrary: fc.constant({ kind: "cut" as const }) },
    { weight: 3, arbitrary: fc.constant({ kind: "connect" as const }) },
    { weight: 3, arbitrary: fc.constant({ kind: "timer" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "trouble" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "repeat" as const }) },
  );
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 200 }), (actions) => {
      const harness = started();
      const given: number[][] = [[], []];
      let n = 0;
      let troubles = 0;
      harness.node.intercept = ({ stream, partition }) =>
        troubles-- > 0 ? { type: "error", code: "STORE_UNAVAILABLE", message: "away", stream, partition } : undefined;
      for (const act of actions) {
        if (act.kind === "batch") {
          const events = Array.from({ length: act.count }, () => ({ n: n++ }));
          given[act.partition]?.push(...events.map((event) => event.n));
          harness.batch(events, { partition: act.partition });
        } else if (act.kind === "node") harness.nodeTakesOne();
        else if (act.kind === "client") harness.clientTakesOne();
        else if (act.kind === "cut") harness.cut();
        else if (act.kind === "connect") harness.connect();
        else if (act.kind === "timer") harness.fireTimer();
        else if (act.kind === "trouble") troubles = 1;
        else {
          // A proxy may repeat a frame. Only `opened` is not repeated: a node answers each `open` once.
          const [again] = harness.toClient;
          if (again !== undefined && again.type !== "opened") harness.toClient.push(again);
        }
      }
      troubles = 0;
      harness.settle();
      assert.equal(harness.stored(0), given[0]);
      assert.equal(harness.stored(1), given[1]);
      const ids = harness.settled.map(({ id }) => id);
      assert.is(new Set(ids).size, ids.length);
      assert.is(ids.length, actions.filter(({ kind }) => kind === "batch").length);
      assert.ok(harness.settled.every(({ how }) => how === "acked"));
      assert.equal(harness.node.lost, []);
    }),
    { numRuns: 400 },
  );
});

test("whatever tail the log loses, events are stored once and in order, and only lost events are missing (E6)", () => {
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("batch" as const), count: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 8, arbitrary: fc.constant({ kind: "node" as const }) },
    { weight: 8, arbitrary: fc.constant({ kind: "client" as const }) },
    { weight: 2, arbitrary: fc.constant({ kind: "cut" as const }) },
    { weight: 3, arbitrary: fc.constant({ kind: "connect" as const }) },
    { weight: 3, arbitrary: fc.constant({ kind: "timer" as const }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("tail" as const), batches: fc.integer({ min: 1, max: 3 }) }),
    },
  );
  fc.assert(
    fc.property(fc.array(action, { minLength: 20, maxLength: 150 }), (actions) => {
      const harness = started();
      const removed = new Set<number>();
      let n = 0;
      for (const act of actions) {
        if (act.kind === "batch") harness.batch(Array.from({ length: act.count }, () => ({ n: n++ })));
        else if (act.kind === "node") harness.nodeTakesOne();
        else if (act.kind === "client") harness.clientTakesOne();
        else if (act.kind === "cut") harness.cut();
        else if (act.kind === "connect") harness.connect();
        else if (act.kind === "timer") harness.fireTimer();
        else {
          const before = harness.stored();
          harness.node.loseTail("readings", 0, act.batches);
          for (const lost of before.slice(harness.stored().length)) removed.add(lost);
        }
      }
      harness.settle();
      const stored = harness.stored();
      assert.equal(
        stored,
        [...new Set(stored)].sort((left, right) => left - right),
      );
      const present = new Set(stored);
      for (let event = 0; event < n; event++)
        assert.ok(present.has(event) || removed.has(event), `${event} is missing`);
      assert.ok(harness.settled.every(({ how }) => how === "acked"));
    }),
    { numRuns: 400 },
  );
});

test.run();
