import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  RecordsBudget,
  type RecordsGrant,
  type RecordsRoom,
} from "../../../../actors/ingest/session/records_budget.ts";

const LIMITS = {
  connectionBytesMax: 1_000,
  nodeBytesMax: 2_500,
  readBytesMin: 100,
  largeBytesMax: 2_000,
  undisturbedMs: 5_000,
  readsMax: 3,
};
/** The largest record. */
const RECORD_BYTES_MAX = 1_500;

interface Connection {
  readonly grant: RecordsGrant;
  readonly held: RecordsRoom[];
  isTold: boolean;
  isEnded: boolean;
}

function connect(budget: RecordsBudget): Connection {
  const connection: Connection = { grant: budget.open(), held: [], isTold: false, isEnded: false };
  connection.grant.listen({
    onRoom: () => (connection.isTold = true),
    onGiveWay: () => (connection.isEnded = true),
  });
  return connection;
}

const sizeOf = ({ held }: Connection): number => held.reduce((sum, { bytes }) => sum + bytes, 0);

function assertWithin(budget: RecordsBudget, connections: readonly Connection[]): void {
  for (const connection of connections) {
    assert.ok(connection.held.length <= LIMITS.readsMax);
    const largest = Math.max(0, ...connection.held.map(({ bytes }) => bytes));
    assert.ok(sizeOf(connection) - largest <= LIMITS.connectionBytesMax, "beside one record (B3)");
  }
  assert.ok(budget.usedBytes >= 0 && budget.usedBytes <= LIMITS.nodeBytesMax);
  assert.ok(budget.largeBytes >= 0 && budget.largeBytes <= LIMITS.largeBytesMax);
  const all = connections.reduce((sum, connection) => sum + sizeOf(connection), 0);
  assert.ok(all <= LIMITS.nodeBytesMax + LIMITS.largeBytesMax + connections.length * LIMITS.readBytesMin);
}

test("B1, B2, B3: shares hold for any order of reads, and a connection with nothing under way may always read some", () => {
  const step = fc.tuple(
    fc.nat(7),
    fc.constantFrom("take", "take large", "grow", "give", "release"),
    fc.integer({ min: 1, max: RECORD_BYTES_MAX }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const budget = new RecordsBudget(LIMITS);
      const connections = Array.from({ length: 8 }, () => connect(budget));
      for (const [at, what, bytes] of steps) {
        const connection = connections[at];
        if (connection === undefined) continue;
        const { grant, held } = connection;
        if (what === "take") {
          const room = grant.take(bytes);
          if (held.length === 0) assert.ok(room !== undefined, "nothing was under way");
          if (room !== undefined) held.push(room);
        } else if (what === "take large") {
          const room = grant.take(bytes, bytes);
          assert.ok(room === undefined || room.bytes >= bytes, "less room is of no use");
          if (room !== undefined) held.push(room);
        } else if (what === "grow") held[0]?.grow(bytes);
        else if (what === "give") held.shift()?.give();
        else {
          grant.release();
          connections[at] = connect(budget);
        }
        for (const one of connections) {
          if (!one.isTold) continue;
          one.isTold = false;
          const room = one.grant.take(1);
          if (room !== undefined) one.held.push(room);
          one.grant.settle();
        }
        assertWithin(budget, connections);
      }
      for (const { held, grant } of connections) {
        for (const room of held) room.give();
        grant.release();
      }
      assert.is(budget.usedBytes, 0);
      assert.is(budget.largeBytes, 0);
    }),
    { numRuns: 1_000 },
  );
});

test("connections that never read leave the least read to everybody else", () => {
  const budget = new RecordsBudget(LIMITS);
  for (let n = 0; n < 50; n += 1) assert.ok((budget.open().take(1_000)?.bytes ?? 0) >= 100);
  assert.ok(budget.usedBytes <= LIMITS.nodeBytesMax);
  const late = budget.open();
  const room = late.take(1_000);
  assert.is(room?.bytes, 100);
  assert.is(late.take(1_000), undefined);
  room?.give();
  assert.is(late.take(50)?.bytes, 50);
});

test("B3: however many connections never read, large records take no more than the node's room for them", () => {
  const budget = new RecordsBudget(LIMITS);
  let heldBytes = 0;
  for (let n = 0; n < 200; n += 1) heldBytes += budget.open().take(900, 900)?.bytes ?? 0;
  assert.ok(heldBytes <= LIMITS.nodeBytesMax + LIMITS.largeBytesMax, `held are ${heldBytes}`);
});

test("B3: a record larger than all the room for large ones is sent where it is alone", () => {
  const budget = new RecordsBudget(LIMITS);
  const room = budget.open().take(9_000, 9_000);
  assert.is(room?.bytes, 9_000);
  const waiting = connect(budget);
  assert.is(waiting.grant.take(9_000, 9_000), undefined);
  room?.give();
  assert.ok(waiting.isTold);
  assert.is(waiting.grant.take(1)?.bytes, 9_000);
});

test("B4, Q1: room goes to the connection that has waited longest, and the rest of it to the next", () => {
  const budget = new RecordsBudget(LIMITS);
  const holder = budget.open().take(2_000, 2_000);
  const [first, second] = [connect(budget), connect(budget)];
  assert.is(first.grant.take(1_200, 1_200), undefined);
  assert.is(second.grant.take(1_500, 1_500), undefined);
  assert.is(connect(budget).grant.take(1_100, 1_100), undefined, "no connection comes before those in line");
  holder?.give();
  assert.ok(first.isTold && !second.isTold);
  first.grant.settle(); // its subscription has ended
  assert.ok(second.isTold);
  assert.is(second.grant.take(1_500, 1_500)?.bytes, 1_500);
});

test("B4, Q2: the connection whose records were sent longest ago gives way to one that waits, but not within 5 s", () => {
  const budget = new RecordsBudget({ ...LIMITS, nodeBytesMax: 0 });
  const mute = connect(budget);
  mute.grant.take(1_200, 1_200)?.sent(1_200, 0);
  const later = connect(budget);
  later.grant.take(700, 700)?.sent(700, 2_000);
  const reader = connect(budget);
  assert.is(reader.grant.take(1_400, 1_400), undefined);
  reader.grant.press(4_999);
  assert.ok(!mute.isEnded, "it was sent records less than 5 s ago");
  reader.grant.press(5_000);
  assert.ok(mute.isEnded && !later.isEnded);
  mute.grant.release();
  assert.ok(!reader.isTold, "it needs more");
  reader.grant.press(7_000);
  assert.ok(later.isEnded);
  later.grant.release();
  assert.ok(reader.isTold);
});

test("B4: no connection gives way where none waits", () => {
  const budget = new RecordsBudget(LIMITS);
  const mute = connect(budget);
  mute.grant.take(1_200, 1_200)?.sent(1_200, 0);
  connect(budget).grant.press(60_000);
  assert.ok(!mute.isEnded);
});

test("B4: what a frame takes on the wire beyond the least read counts with the large records", () => {
  const budget = new RecordsBudget({ ...LIMITS, nodeBytesMax: 0 });
  const rooms = Array.from({ length: 10 }, () => budget.open().take(100));
  for (const room of rooms) room?.sent(400, 0);
  assert.is(budget.largeBytes, 3_000);
  const waiting = connect(budget);
  assert.is(waiting.grant.take(200, 200), undefined);
  for (const room of rooms) room?.give();
  assert.is(waiting.grant.take(1)?.bytes, 200);
  assert.is(budget.largeBytes, 200);
});

test.run();
