/** Sessions and partitions that other nodes own: for clients that follow owners, and for clients that stay. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CreditPool } from "../../../../actors/ingest/session/credit_pool.ts";
import { createInspect } from "../../../../actors/ingest/session/inspection.ts";
import { RecordsBudget } from "../../../../actors/ingest/session/records_budget.ts";
import { stepSession } from "../../../../actors/ingest/session/session_machine.ts";
import type { SessionEffect, SessionMessage } from "../../../../actors/ingest/session/session_messages.ts";
import { createSession, SESSION_LIMITS } from "../../../../actors/ingest/session/session_state.ts";
import type { PartitionEntry, StreamDirectory } from "../../../../actors/ingest/session.ts";
import { FencedError } from "../../../../protocols/errors.ts";
import { offset, partitionId } from "../../../../protocols/position.ts";
import { EVENT_LIMITS, encodeEvents } from "../../../../protocols/values/event_codec.ts";
import {
  type ClientFrame,
  type HelloFrame,
  type NodeFrame,
  PROTOCOL_MINOR,
} from "../../../../protocols/wire/frames.ts";

const ELSEWHERE = "ws://other/v1/connect";
const STREAM = { partitions: 2, schemaVersions: [] };

/** A welcomed session on a node that owns partition 0, where another node owns partition 1 unless it is moved. */
function sessionUnderTest(hello: Partial<HelloFrame> = {}, passesOn = false) {
  const owners: (string | undefined)[] = [undefined, ELSEWHERE];
  const next: (string | undefined)[] = [];
  const entry = (partition: number): PartitionEntry => ({
    reference: undefined,
    get ownerAddress() {
      return owners[partition];
    },
    get nextAddress() {
      return next[partition];
    },
    feed: undefined,
    view: undefined,
    onChange: () => ({ stop() {} }),
  });
  const directory: StreamDirectory = {
    describe: () => ({ s: STREAM }),
    describeWithOwners: () => ({ s: { ...STREAM, owners: { 1: ELSEWHERE } } }),
    partition: (_stream, partition) => entry(partition),
  };
  const credit = new CreditPool({ totalBytes: 1_000_000, connectionsMax: 1, connectionBytesMax: 100_000 }).take();
  const limits = { frameBytesMax: 1e6, eventBytesMax: 1e6, batchEventsMax: 50, dedupeWindowMs: 1_000 };
  const inspect = createInspect(new Map(), EVENT_LIMITS);
  const state = createSession({ node: "n", limits, directory, inspect, passesOn }, credit, new RecordsBudget().open());
  let charged = 0;
  const tell = (message: SessionMessage): readonly SessionEffect[] =>
    stepSession(state, message, 1_000)[1].filter((effect) => {
      if (effect.type === "charge") charged += effect.cost;
      return effect.type !== "charge";
    });
  const take = (frame: ClientFrame, wireBytes = 100) => tell({ type: "frame", frame, wireBytes });
  take({ type: "hello", client: "c", producerId: "p", instance: "i", ...hello });
  const permissions = { subject: "all", mayProduce: () => true, mayConsume: () => true, mayObserve: () => true };
  tell({ type: "authenticated", permissions });
  const welcomed = tell({ type: "welcomed", outcome: { kind: "welcomed", producerEpoch: 7 } });
  return {
    charged: () => charged,
    owners,
    next,
    tell,
    take,
    welcome: sent(welcomed)[0] as Extract<NodeFrame, { type: "welcome" }>,
  };
}
const sent = (effects: readonly SessionEffect[]): readonly NodeFrame[] =>
  effects.flatMap((effect) => (effect.type === "send" ? [effect.frame] : []));
const open = (partition: number): ClientFrame => ({ type: "open", stream: "s", partition, producerEpoch: 7 });
const append = (partition: number): ClientFrame => ({
  ...{ type: "append", stream: "s", partition, producerEpoch: 7, previousSequence: null },
  sequences: { first: [0, 0, 0], count: 1 },
  events: encodeEvents([{ n: 0 }], { asRecords: false }),
});
const moved = (address?: string) => ({
  type: "moved",
  stream: "s",
  partition: 1,
  ...(address === undefined ? {} : { address }),
});

test("a client that follows owners is told them in its welcome, and each frame for their partitions is answered moved", () => {
  const { welcome, take } = sessionUnderTest();
  assert.equal(welcome.streams.s?.owners, { 1: ELSEWHERE });
  assert.equal(sent(take(open(1))), [moved(ELSEWHERE)]);
  assert.equal(sent(take(append(1))), [moved(ELSEWHERE), { type: "credit", creditBytes: 100 }]);
  assert.equal(sent(take({ type: "lost", stream: "s", partition: 1, producerEpoch: 7, from: null, to: [0, 0, 0] })), [
    moved(ELSEWHERE),
  ]);
  assert.is(take(open(0))[0]?.type, "open_chain");
});

for (const [how, hello, passesOn] of [
  ["says forward", { forward: true }, false],
  ["is within the node", {}, true],
] as const) {
  test(`a client that ${how} is told no owners, and its frames are passed on`, () => {
    const { welcome, take } = sessionUnderTest(hello, passesOn);
    assert.is(welcome.streams.s?.owners, undefined);
    assert.is(take(open(1))[0]?.type, "open_chain");
  });
}

test("a former owner names the next owner to clients that follow; clients that stay ask this node again", () => {
  for (const forward of [false, true]) {
    const { owners, take, tell } = sessionUnderTest({ forward });
    owners[1] = undefined;
    const call = take(open(1))[0] as { requestId: number };
    owners[1] = ELSEWHERE;
    const error = new FencedError("NOT_OWNER", "another node owns it now");
    const answers = [{ kind: "refused", requestId: call.requestId, error }] as const;
    const effects = tell({ type: "partition_reply", partition: { stream: "s", partition: partitionId(1) }, answers });
    assert.equal(sent(effects), [forward ? moved() : moved(ELSEWHERE)]);
  }
});

test("a subscriber is told once that a partition has moved, and the partition is not read here any more", () => {
  const { take, tell } = sessionUnderTest();
  const partitions = [
    { partition: 0, from: "earliest" },
    { partition: 1, from: "earliest" },
  ] as const;
  take({ type: "subscribe", subscription: 1, stream: "s", partitions, creditBytes: 1_000 });
  const goes: SessionMessage = { type: "owned_elsewhere", subscription: 1, partition: 1, address: ELSEWHERE };
  assert.equal(sent(tell(goes)), [moved(ELSEWHERE)]);
  assert.equal(tell(goes), []);
  assert.equal(tell({ type: "advanced", subscription: 1, partition: 1 }), []);
});

const subscribe = (subscription: number, ...partitions: number[]): ClientFrame => ({
  ...{ type: "subscribe", subscription, stream: "s", creditBytes: 1_000 },
  partitions: partitions.map((partition) => ({ partition, from: "earliest" })),
});

test("a subscription whose last partition has moved is ended, and does not count against the connection's limit", () => {
  const { take, tell } = sessionUnderTest();
  for (let n = 0; n < 3 * SESSION_LIMITS.subscriptionsMax; n += 1) {
    take(subscribe(n, 1));
    const effects = tell({ type: "owned_elsewhere", subscription: n, partition: 1, address: ELSEWHERE });
    assert.equal(sent(effects), [moved(ELSEWHERE)]);
    assert.equal(effects.at(-1), { type: "unlisten", subscription: n });
  }
  assert.is(take(subscribe(9_999, 0))[0]?.type, "listen");
});

test("a subscription beyond the limit is refused as overloaded: the client ends another and tries again", () => {
  const { take } = sessionUnderTest();
  for (let n = 0; n < SESSION_LIMITS.subscriptionsMax; n += 1) take(subscribe(n, 0));
  const [refused] = sent(take(subscribe(1_000, 0)));
  assert.equal(refused?.type === "error" && [refused.code, refused.subscription], ["TOO_MANY_SUBSCRIPTIONS", 1_000]);
  const [again] = sent(take(subscribe(3, 0)));
  assert.is(again?.type === "error" && again.code, "MALFORMED_FRAME");
  take({ type: "unsubscribe", subscription: 3 });
  assert.is(take(subscribe(1_000, 0))[0]?.type, "listen");
});

test("a second subscribe under a number in use is refused under a code of its own, and the first goes on", () => {
  const { take, tell } = sessionUnderTest();
  take(subscribe(1, 0));
  for (const again of [subscribe(1, 0), subscribe(1, 99), { ...subscribe(1, 0), stream: "no such stream" }]) {
    const effects = take(again as ClientFrame);
    const [error] = sent(effects);
    assert.equal(error?.type === "error" && [error.code, error.subscription], ["MALFORMED_FRAME", 1]);
    assert.match(error?.type === "error" ? error.message : "", /in use .*goes on/);
    assert.is(effects.filter(({ type }) => type !== "charge").length, 1, "the first is left alone");
  }
  const moved = tell({ type: "owned_elsewhere", subscription: 1, partition: 0, address: ELSEWHERE });
  assert.is(sent(moved).length, 1, "the first still exists");
});

test("the calls under way on a connection have a bound, and their answers make room", () => {
  const { take, tell } = sessionUnderTest();
  const calls = Array.from({ length: SESSION_LIMITS.callsUnderWayMax }, () => take(open(0))[0]);
  const [refused] = sent(take(open(0)));
  assert.equal(refused?.type === "error" && [refused.code, refused.retryAfterMs], ["OUT_OF_CREDIT", 1_000]);
  const requestId = (calls[0] as { requestId: number }).requestId;
  const answers = [{ kind: "opened", requestId, outcome: { kind: "opened", lastSequence: undefined } }] as const;
  tell({ type: "partition_reply", partition: { stream: "s", partition: partitionId(0) }, answers });
  assert.is(take(open(0))[0]?.type, "open_chain");
});

test("N7: calls and refused appends are charged, appends within the credit are not", () => {
  const session = sessionUnderTest();
  assert.is(session.charged(), 0);
  session.take(append(0)); // its chain is not open
  assert.is(session.charged(), 1);
  openChain(session);
  const opened = session.charged();
  assert.ok(opened > 1);
  assert.equal(
    appendUnder(session, 0).map(({ type }) => type),
    ["ack"],
  );
  assert.is(session.charged(), opened);
  session.take({ type: "credit", subscription: 1, creditBytes: 0 });
  assert.is(session.charged(), opened + 1);
});

test("credit that names no subscription is refused: its subscriber would wait for records for ever", () => {
  const { take } = sessionUnderTest();
  const effects = take({ type: "credit", creditBytes: 100 });
  assert.equal(
    sent(effects).map((frame) => frame.type === "error" && frame.code),
    ["MALFORMED_FRAME"],
  );
  assert.is(effects.at(-1)?.type, "close");
});

/** An open chain in partition 0, and an append to it that is answered. */
function appendUnder(session: ReturnType<typeof sessionUnderTest>, n: number): readonly NodeFrame[] {
  const events = encodeEvents([{ n }], { asRecords: false });
  const frame = { ...append(0), sequences: { first: [0, n, 0], count: 1 } } as Extract<ClientFrame, { type: "append" }>;
  session.take({ ...frame, events, previousSequence: n === 0 ? null : [0, n - 1, 0] });
  const gathered = session.tell({ type: "flush" });
  const requestId = gathered.flatMap((effect) => (effect.type === "append" ? effect.items : []))[0]?.requestId ?? -1;
  const outcome = { kind: "written", firstOffset: offset(n), count: 1 } as const;
  const answers = [{ kind: "appended", requestId, outcome }] as const;
  return sent(
    session.tell({ type: "partition_reply", partition: { stream: "s", partition: partitionId(0) }, answers }),
  );
}

function openChain(session: ReturnType<typeof sessionUnderTest>): void {
  const { requestId } = session.take(open(0))[0] as { requestId: number };
  const outcome = { kind: "opened", lastSequence: undefined } as const;
  const answers = [{ kind: "opened", requestId, outcome }] as const;
  session.tell({ type: "partition_reply", partition: { stream: "s", partition: partitionId(0) }, answers });
}

const moving = { type: "moving", stream: "s", partition: 0, address: ELSEWHERE };

test("N6: a producer is told with its next answer that its partition is about to move, once for each planned move", () => {
  const session = sessionUnderTest({ minor: 2 });
  openChain(session);
  const told = (n: number) => appendUnder(session, n).filter(({ type }) => type !== "ack");
  assert.equal(told(0), []);
  session.next[0] = ELSEWHERE;
  assert.equal(told(1), [moving]);
  assert.equal(told(2), []);
  session.next[0] = undefined; // called off
  assert.equal(told(3), []);
  session.next[0] = ELSEWHERE;
  assert.equal(told(4), [moving]);
});

const CHANGED: SessionMessage = { type: "owner_changed", stream: "s", partition: 0 };

function announced(): ReturnType<typeof sessionUnderTest> {
  const session = sessionUnderTest({ minor: 2 });
  openChain(session);
  session.next[0] = ELSEWHERE;
  appendUnder(session, 0);
  return session;
}

function go(session: ReturnType<typeof sessionUnderTest>): void {
  session.next[0] = undefined;
  session.owners[0] = ELSEWHERE;
}

test("N6: a producer that was told of a planned move is told when it happens, and the owner is watched no more", () => {
  const session = announced();
  assert.equal(session.tell(CHANGED), [], "the move has not happened yet");
  go(session);
  assert.equal(session.tell(CHANGED), [
    { type: "unwatch_owner", stream: "s", partition: 0 },
    { type: "send", frame: { ...moved(ELSEWHERE), partition: 0 } },
  ]);
  assert.equal(session.tell(CHANGED), []);
});

test("N6: a producer is told of the move after the answers to all its appends", () => {
  const session = announced();
  const frame = { ...append(0), sequences: { first: [0, 1, 0], count: 1 } } as Extract<ClientFrame, { type: "append" }>;
  session.take({ ...frame, previousSequence: [0, 0, 0] });
  go(session);
  assert.equal(session.tell(CHANGED), [], "the append is on its way to the partition");
  const items = session.tell({ type: "flush" }).flatMap((effect) => (effect.type === "append" ? effect.items : []));
  assert.equal(session.tell(CHANGED), []);
  const outcome = { kind: "written", firstOffset: offset(1), count: 1 } as const;
  const answers = [{ kind: "appended", requestId: items[0]?.requestId ?? -1, outcome }] as const;
  const answered = session.tell({
    type: "partition_reply",
    partition: { stream: "s", partition: partitionId(0) },
    answers,
  });
  assert.equal(
    sent(answered).map(({ type }) => type),
    ["ack", "moved"],
  );
});

test("a planned move that is called off is not told, and one whose next owner changes is announced again", () => {
  const session = announced();
  session.next[0] = "ws://third/v1/connect";
  assert.equal(session.tell(CHANGED), [{ type: "send", frame: { ...moving, address: "ws://third/v1/connect" } }]);
  session.next[0] = undefined;
  assert.equal(session.tell(CHANGED), [{ type: "unwatch_owner", stream: "s", partition: 0 }]);
});

test("N6: a subscriber is told at once that a partition that it reads is about to move", () => {
  const session = sessionUnderTest({ minor: 2 });
  const partitions = [{ partition: 0, from: "earliest" }] as const;
  session.take({ type: "subscribe", subscription: 1, stream: "s", partitions, creditBytes: 1_000 });
  session.next[0] = ELSEWHERE;
  assert.equal(sent(session.tell({ type: "moves_soon", subscription: 1, partition: 0 })), [moving]);
  assert.equal(session.tell({ type: "moves_soon", subscription: 1, partition: 1 }), []);
  assert.equal(session.tell({ type: "moves_soon", subscription: 2, partition: 0 }), []);
});

test("a client that stays, or of a minor version below 2, is not told that a partition is about to move", () => {
  for (const [hello, passesOn] of [
    [{ minor: 1 }, false],
    [{ minor: 2, forward: true }, false],
    [{ minor: 2 }, true],
  ] as const) {
    const session = sessionUnderTest(hello, passesOn);
    openChain(session);
    session.next[0] = ELSEWHERE;
    assert.equal(
      appendUnder(session, 0).map(({ type }) => type),
      ["ack"],
    );
  }
});

test("the lower minor version of both sides is in use", () => {
  assert.is(sessionUnderTest({ minor: 0 }).welcome.minor, 0);
  assert.is(sessionUnderTest().welcome.minor, 0);
  assert.is(sessionUnderTest({ minor: 1 }).welcome.minor, 1);
  assert.is(sessionUnderTest({ minor: 9 }).welcome.minor, PROTOCOL_MINOR);
});

test("a subscriber that asks for a sign of life gets one, unless it is of minor version 0, which does not know it", () => {
  const ask: ClientFrame = { type: "credit", subscription: 1, creditBytes: 0 };
  assert.equal(sent(sessionUnderTest({ minor: 1 }).take(ask)), [{ type: "credit", creditBytes: 0 }]);
  assert.equal(sent(sessionUnderTest().take(ask)), []);
  assert.equal(sent(sessionUnderTest({ minor: 1 }).take({ ...ask, creditBytes: 9 })), []);
});

test.run();
