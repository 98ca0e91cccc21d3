/** The session machine and the room for records: which session waits for a large record, and which gives way. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RecordsBudget, type RecordsRoom } from "../../../../actors/ingest/session/records_budget.ts";
import { stepSession } from "../../../../actors/ingest/session/session_machine.ts";
import type { SessionEffect, SessionMessage } from "../../../../actors/ingest/session/session_messages.ts";
import { createSession, type SessionState } from "../../../../actors/ingest/session/session_state.ts";
import type { ChannelBounds, RecordBatch } from "../../../../actors/log/log.ts";
import { epoch, offset } from "../../../../protocols/position.ts";

/** Room for one large record of the node's at a time. */
const LIMITS = {
  connectionBytesMax: 1_000,
  nodeBytesMax: 0,
  readBytesMin: 100,
  largeBytesMax: 900,
  undisturbedMs: 5_000,
  readsMax: 3,
};
const BOUNDS: ChannelBounds = {
  epochs: [{ epoch: epoch(1), firstOffset: offset(0) }],
  ...{ firstOffset: offset(0), endOffset: offset(9), sizeBytes: 1 },
};

/** Partition 0 begins with a large record, partition 1 with a small one. */
class Session {
  readonly state: SessionState;
  readonly told: SessionMessage[] = [];
  nowMs = 0;

  constructor(budget: RecordsBudget) {
    const limits = { frameBytesMax: 1, eventBytesMax: 1, batchEventsMax: 1, dedupeWindowMs: 1 };
    const directory = {
      describe: () => ({ s: { partitions: 2, key: null, schemaVersions: [] } }),
      describeWithOwners: () => ({}),
      partition: () => undefined,
    };
    const inspect = () => ({ schemaVersion: 0, hasDefinitions: false });
    const credit = { creditBytes: 1, use: () => 0, release: () => undefined };
    const records = budget.open();
    records.listen({
      onRoom: () => this.told.push({ type: "records_room" }),
      onGiveWay: () => this.told.push({ type: "give_way" }),
    });
    this.state = createSession({ node: "n", limits, directory, inspect } as never, credit as never, records);
    this.state.phase = "open";
    this.state.permissions = { subject: "x", mayProduce: () => true, mayConsume: () => true, mayObserve: () => true };
  }

  step(message: SessionMessage): readonly SessionEffect[] {
    return stepSession(this.state, message, this.nowMs)[1];
  }

  subscribe(...partitions: number[]): readonly SessionEffect[] {
    const from = { epoch: 1, offset: -1 } as const;
    return this.step({
      type: "frame",
      frame: {
        ...{ type: "subscribe", subscription: 1, stream: "s", creditBytes: 10_000 },
        partitions: partitions.map((partition) => ({ partition, from })),
      },
      wireBytes: 1,
    });
  }

  /** The read of partition 0 brings a record of 900 bytes. */
  bringLarge(room: RecordsRoom): readonly SessionEffect[] {
    const about = { subscription: 1, partition: 0, room } as const;
    return room.grow(900)
      ? this.step({ type: "read", ...about, result: LARGE, bounds: BOUNDS, broughtBytes: 900, isCut: false })
      : this.step({ type: "read_crowded", ...about, leastBytes: 900 });
  }
}

const LARGE = {
  kind: "records",
  batches: [{ epoch: 1, firstOffset: 0, count: 1, events: new Uint8Array(900) } as unknown as RecordBatch],
} as const;

const readsOf = (effects: readonly SessionEffect[]) =>
  effects.flatMap((effect) => (effect.type === "read" ? [effect.read] : []));
const kinds = (effects: readonly SessionEffect[]) => effects.map(({ type }) => type);

function roomOf(effects: readonly SessionEffect[]): RecordsRoom {
  const [read] = readsOf(effects);
  if (read === undefined) throw new Error(`no read: ${kinds(effects)}`);
  return read.room;
}

/** A session that was sent a large record and reads nothing, and one that waits for its room. */
function muteAndWaiting() {
  const budget = new RecordsBudget(LIMITS);
  const [mute, waiting] = [new Session(budget), new Session(budget)];
  const [sent] = mute.bringLarge(roomOf(mute.subscribe(0)));
  if (sent?.type !== "send_records") throw new Error("nothing was sent");
  sent.room.sent(900, 0);
  const effects = waiting.bringLarge(roomOf(waiting.subscribe(0)));
  return { mute, waiting, effects };
}

test("a session without room for its next record waits in line, and looks each second whether another must give way", () => {
  const { mute, waiting, effects } = muteAndWaiting();
  assert.equal(effects, [{ type: "wait", delayMs: 1_000, message: { type: "records_overdue" } }]);
  waiting.nowMs = 1_000;
  assert.equal(kinds(waiting.step({ type: "records_overdue" })), ["wait"]);
  assert.equal(mute.told, []);
});

test("a session that took nothing for 5 s ends at once for one that waits, which then reads its record", () => {
  const { mute, waiting } = muteAndWaiting();
  waiting.nowMs = 5_000;
  waiting.step({ type: "records_overdue" });
  assert.equal(mute.told, [{ type: "give_way" }]);
  assert.equal(mute.step({ type: "give_way" }), [{ type: "abandon" }]);
  mute.step({ type: "disconnected" });
  mute.state.records.release();
  assert.equal(waiting.told, [{ type: "records_room" }]);
  const room = roomOf(waiting.step({ type: "records_room" }));
  assert.is(room.bytes, 900);
  assert.equal(kinds(waiting.bringLarge(room)), ["send_records"]);
  assert.equal(waiting.step({ type: "records_overdue" }), []);
});

test("a session that waits for a large record still reads small records of other partitions", () => {
  const { waiting } = muteAndWaiting();
  const another = waiting.step({
    type: "frame",
    frame: {
      ...{ type: "subscribe", subscription: 2, stream: "s", creditBytes: 10_000 },
      partitions: [{ partition: 1, from: { epoch: 1, offset: -1 } }],
    },
    wireBytes: 1,
  });
  assert.equal(
    readsOf(another).map(({ partition, room }) => [partition, room.bytes]),
    [[1, 100]],
  );
});

test("room that came for a subscription that has ended goes to the next in line", () => {
  const budget = new RecordsBudget(LIMITS);
  const [holder, gone, next] = [new Session(budget), new Session(budget), new Session(budget)];
  const [sent] = holder.bringLarge(roomOf(holder.subscribe(0)));
  for (const session of [gone, next]) session.bringLarge(roomOf(session.subscribe(0)));
  gone.step({ type: "frame", frame: { type: "unsubscribe", subscription: 1 }, wireBytes: 1 });
  if (sent?.type === "send_records") holder.step({ type: "flushed_records", room: sent.room });
  assert.equal(gone.told, [{ type: "records_room" }]);
  assert.equal(next.told, []);
  assert.equal(gone.step({ type: "records_room" }), []);
  assert.equal(next.told, [{ type: "records_room" }]);
});

test.run();
