import { test } from "uvu";
import * as assert from "uvu/assert";
import { HttpMemory } from "../../../../actors/ingest/http/http_memory.ts";
import { OverloadedError } from "../../../../protocols/errors.ts";

const STILL_MS = 5_000;

/** A memory of 1,600: 1,500 for large requests, and 100 for those of at most 10. */
function steps() {
  const clock = { nowMs: 0 };
  const terms = { bytesMax: 1_600, reserveBytes: 100, smallBytesMax: 10, stillMs: STILL_MS, retryAfterMs: 1_000 };
  const memory = new HttpMemory({ ...terms, action: "read", things: "bodies" }, () => clock.nowMs);
  const gone: string[] = [];
  const begin = (client: string, connection: object = {}) => {
    const hold = memory.hold({ client, connection }, 0, (reason) => {
      assert.ok(reason instanceof OverloadedError && reason.code === "OUT_OF_CREDIT");
      gone.push(client);
    });
    hold.waits();
    return hold;
  };
  const isRefused = (act: () => unknown) => {
    try {
      act();
      return false;
    } catch (error) {
      assert.ok(error instanceof OverloadedError);
      return true;
    }
  };
  return { clock, memory, gone, begin, isRefused };
}

test("H2: a small request finds room in the reserve, whatever the large ones hold", () => {
  const { memory, begin, gone, isRefused } = steps();
  const large = ["a", "b", "c"].map((client) => begin(client));
  while (large.every((hold) => !isRefused(() => hold.take(25))));
  for (let n = 0; n < 10; n += 1) begin("small").take(10);
  assert.equal(gone, []);
  assert.ok(memory.usedBytes <= 1_600);
  for (let n = 0; n < 20; n += 1) begin(`small ${n}`).take(10);
  assert.ok(gone.length > 0, "with the reserve full, those that hold more give way");
  assert.not.ok(gone.some((client) => client.startsWith("small")));
});

test("H3: one client takes three quarters, and another finds room beside it", () => {
  const { begin, isRefused, gone, memory } = steps();
  const one = begin("one");
  while (!isRefused(() => one.take(25)));
  assert.is(memory.usedBytes, 1_125);
  one.settles();
  begin("other").take(275);
  assert.equal(gone, []);
});

test("H4: a request of the client that holds most gives way, on the connection of it that holds most", () => {
  const { begin, gone, memory } = steps();
  const connection = {};
  begin("greedy").take(300);
  begin("greedy", connection).take(250);
  begin("greedy", connection).take(200);
  begin("modest").take(400);
  begin("asker").take(200);
  assert.equal(gone, [], "1,350 of 1,500");
  const late = begin("late");
  late.take(140);
  assert.equal(gone, ["greedy"]);
  assert.is(memory.usedBytes, 1_350 - 250 + 140, "of the connection with 450, and not the request with 300");
});

test("H4: a request never displaces a holder of less than the asker would hold, at its first try or at a later one", () => {
  const { begin, gone, isRefused, clock } = steps();
  const honest = begin("honest");
  honest.take(400);
  for (let n = 0; n < 20; n += 1) {
    clock.nowMs += 1_800;
    honest.take(1);
    const asking = Array.from({ length: 4 }, () => begin("asker"));
    for (const hold of asking) isRefused(() => hold.take(450));
    assert.not.ok(gone.includes("honest"));
    for (const hold of asking) hold.release();
  }
});

test("H4: within one client, the connections that hold most are refused, and a moderate one is served", () => {
  const { begin, gone, isRefused } = steps();
  const honest = begin("address");
  let refused = 0;
  let sent = 0;
  const greedy = Array.from({ length: 8 }, () => ({ hold: begin("address"), bytes: 0 }));
  for (let step = 0; step < 40; step += 1) {
    for (const one of greedy) {
      if (isRefused(() => one.hold.take(100))) {
        refused += 1;
        one.hold.release();
        one.hold = begin("address"); // at once, anew
        one.bytes = 0;
      }
    }
    honest.take(5);
    sent += 5;
  }
  assert.is(sent, 200);
  assert.ok(refused > 0 && gone.length > 0);
});

test("H5: a request of which no byte moves gives way to any other; a slow one does not", () => {
  const { begin, clock, isRefused, memory } = steps();
  const slow = begin("slow");
  slow.take(50);
  for (const client of ["a", "b", "c", "d", "e"]) begin(client).take(230);
  const asker = begin("asker");
  assert.ok(isRefused(() => asker.take(240)));
  clock.nowMs = STILL_MS - 1;
  slow.moves();
  assert.ok(isRefused(() => asker.take(240)));
  clock.nowMs = STILL_MS;
  asker.take(240);
  slow.take(1);
  assert.is(memory.usedBytes, 50 + 1 + 4 * 230 + 240);
});

test("H6: spare memory displaces no request, and one client gets at most half of it", () => {
  const { begin, gone, isRefused } = steps();
  const bombs = Array.from({ length: 8 }, () => begin("bomber"));
  for (let round = 0; round < 50; round += 1) for (const bomb of bombs) isRefused(() => bomb.takeSpare(25));
  for (const bomb of bombs) bomb.settles();
  begin("honest").take(375);
  begin("honest").take(90);
  assert.equal(gone, []);
  assert.ok(isRefused(() => begin("bomber").takeSpare(25)));
});

test("H7: a request that does not wait for its client gives way to no other", () => {
  const { begin, gone, isRefused, memory, clock } = steps();
  const whole = begin("whole");
  whole.take(1_100);
  whole.settles();
  clock.nowMs = 10 * STILL_MS;
  const another = begin("another");
  another.take(300);
  another.settles();
  clock.nowMs += 10 * STILL_MS;
  assert.ok(isRefused(() => begin("late").take(200)));
  assert.equal(gone, []);
  whole.release();
  whole.release();
  assert.is(memory.usedBytes, 300);
});

test("H1: the held bytes never exceed the memory, and no client counts any once all are given back", () => {
  const { begin, memory, isRefused } = steps();
  let seed = 7;
  const next = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  const connections = Array.from({ length: 6 }, () => ({}));
  const holds: ReturnType<typeof begin>[] = [];
  for (let step = 0; step < 20_000; step += 1) {
    if (holds.length < 30) holds.push(begin(`client ${next(4)}`, connections[next(6)]));
    const hold = holds[next(holds.length)];
    const act = next(8);
    if (act < 4) isRefused(() => hold?.take(next(120)));
    else if (act === 4) isRefused(() => hold?.takeSpare(next(200)));
    else if (act === 5) isRefused(() => hold?.resize(next(200)));
    else if (act === 6) hold?.settles();
    else hold?.release();
    if (act === 7) holds.splice(holds.indexOf(hold as never), 1);
    assert.ok(memory.usedBytes >= 0 && memory.usedBytes <= 1_600, `step ${step}: ${memory.usedBytes}`);
  }
  for (const hold of holds) hold.release();
  assert.is(memory.usedBytes, 0);
});

test.run();
