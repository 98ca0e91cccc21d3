/** One table by examples; pipeline_state.test.ts has random calls beside a plain list. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { STATE_LIMITS, type StateLimits } from "../../../../actors/pipeline/keyed_state.ts";
import { StateTable } from "../../../../actors/pipeline/state/state_table.ts";

const keysOf = (table: StateTable): string => Array.from(table.scan(), ([key]) => key).join(" ");
const tableOf = (limits: Partial<StateLimits> = {}) => new StateTable("counts", { ...STATE_LIMITS, ...limits });

function rejectionOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    const { name, code, message } = error as Error & { code: string };
    return `${name} ${code}: ${message}`;
  }
  return "none";
}

test("keyed K3: a value that was put or answered shares nothing with the state", () => {
  const table = tableOf();
  const put = { counts: [1], bytes: Uint8Array.of(1) };
  table.put("b", { other: new Uint8Array(200) });
  table.put("a", put);
  put.counts.push(2);
  put.bytes[0] = 9;
  const answered = table.get("a") as typeof put;
  assert.equal([answered.counts, [...answered.bytes]], [[1], [1]]);
  table.get("b");
  assert.equal([...answered.bytes], [1], "an answer of before is not written over");
  answered.counts.push(3);
  answered.bytes[0] = 8;
  const again = table.get("a") as typeof put;
  assert.equal([again.counts, [...again.bytes]], [[1], [1]]);
});

test("T2: a full table forgets the keys whose last put is the oldest, by keys and by bytes", () => {
  const byKeys = tableOf({ keysMax: 3, whenFull: "forget_oldest" });
  for (const key of ["c", "a", "b"]) byKeys.put(key, 1);
  byKeys.get("c");
  byKeys.put("c", 2);
  byKeys.put("d", 1);
  assert.is(keysOf(byKeys), "b c d");
  const byBytes = tableOf({ bytesMax: 100, whenFull: "forget_oldest" });
  for (const key of ["a", "b", "c"]) byBytes.put(key, "v".repeat(29));
  assert.is(byBytes.keys.sizeBytes, 96);
  byBytes.put("a", "v".repeat(60));
  assert.is(keysOf(byBytes), "a c", "the key itself is not forgotten, although its former put was the oldest");
  assert.is(byBytes.keys.sizeBytes, 32 + 64);
});

test("T4: a full table that refuses keeps all that it has, and takes a put that fits", () => {
  const table = tableOf({ keysMax: 2, bytesMax: 70 });
  table.put("a", "v".repeat(29));
  table.put("b", 1);
  const full = /^RejectedError STATE_FULL: Cannot put into the state of counts as its (keys|bytes) must be at most/;
  assert.match(
    rejectionOf(() => table.put("c", 1)),
    full,
  );
  assert.match(
    rejectionOf(() => table.put("a", "v".repeat(66))),
    full,
  );
  assert.equal([table.get("a"), table.get("b"), table.size, table.keys.sizeBytes], ["v".repeat(29), 1, 2, 35]);
  table.put("a", "v".repeat(30));
  table.remove("b");
  table.put("c", 1);
  assert.is(keysOf(table), "a c");
});

test("T4: a key or a value beyond its own bound is refused in every table, and forgets nothing", () => {
  const table = tableOf({ whenFull: "forget_oldest", bytesMax: 2_000_000 });
  table.put("a", 1);
  table.put("é".repeat(512), "v".repeat(1_048_571));
  const { keyBytesMax, valueBytesMax } = STATE_LIMITS;
  const refusals = [
    [
      () => table.put(`${"é".repeat(512)}k`, 1),
      `the bytes of its key must be at most ${keyBytesMax}: current value is 1025`,
    ],
    [
      () => table.put("k".repeat(5_000), 1),
      `the bytes of its key must be at most ${keyBytesMax}: current value is 5000`,
    ],
    [
      () => table.put("b", "v".repeat(1_048_572)),
      `the bytes of its value must be at most ${valueBytesMax}: current value is 1048577`,
    ],
    [
      () => tableOf({ bytesMax: 9, whenFull: "forget_oldest" }).put("b", "v".repeat(8)),
      "the bytes of one key and its value must be at most 9",
    ],
  ] as const;
  for (const [put, reason] of refusals) assert.ok(rejectionOf(put).includes(reason), rejectionOf(put));
  assert.is(table.size, 2);
});

test("keyed K4: a key is as good as removed once its last put is older than the time to live", () => {
  const table = tableOf({ timeToLiveMs: 10 });
  table.at(100);
  for (const key of ["a", "b", "c", "d"]) table.put(key, 1);
  table.at(110);
  assert.is(table.get("a"), 1, "10 ms are not older than 10 ms");
  table.put("a", 2);
  table.at(111);
  table.at(50); // a late record
  assert.is(table.size, 4, "no call has met the expired keys");
  assert.is(table.get("b"), undefined);
  assert.is(table.size, 3);
  assert.is(keysOf(table), "a");
  assert.is(table.size, 1);
});

test("T3: puts remove the oldest expired keys, two at a time, so that keys which no call asks for expire too", () => {
  const table = tableOf({ timeToLiveMs: 10 });
  table.at(0);
  for (let n = 0; n < 100; n++) table.put(`old ${n}`, n);
  for (let n = 0; n < 20; n++) table.put(`older ${n}`, n);
  table.at(100);
  const sizes = Array.from({ length: 70 }, (_, n) => {
    table.put(`new ${n}`, n);
    return table.size;
  });
  assert.equal(sizes.slice(0, 3), [119, 118, 117]);
  assert.is(sizes.at(-1), 70);
});

test("expired keys make room in a table that refuses, as many as the put needs", () => {
  const table = tableOf({ timeToLiveMs: 10, bytesMax: 100 });
  table.at(0);
  for (let n = 0; n < 10; n++) table.put(`k${n}`, "v".repeat(6));
  table.at(11);
  table.put("large", "v".repeat(60));
  assert.is(keysOf(table), "large");
  table.at(20);
  assert.match(
    rejectionOf(() => table.put("other", "v".repeat(60))),
    /STATE_FULL/,
  );
});

test("U1, U2: a rollback brings back values, the order of puts, the time and the counts", () => {
  const table = tableOf({ keysMax: 4, whenFull: "forget_oldest", timeToLiveMs: 1_000 });
  table.at(10);
  for (const key of ["a", "b", "c", "d"]) table.put(key, key);
  table.keys.commit(0, () => undefined);
  const before = [keysOf(table), table.keys.sizeBytes, table.keys.timeMs];
  table.at(500);
  table.put("c", 1);
  table.put("a", 1);
  table.remove("c");
  table.put("e", 1);
  table.put("f", 1);
  table.remove("f");
  table.put("c", 2);
  table.put("a", 3);
  assert.is(keysOf(table), "a c d e");
  table.keys.rollback();
  assert.equal([keysOf(table), table.keys.sizeBytes, table.keys.timeMs], before);
  assert.equal(
    ["a", "b", "c", "d"].map((key) => table.get(key)),
    ["a", "b", "c", "d"],
  );
  const left = ["w", "x", "y", "z"].map((key) => {
    table.put(key, 1);
    return keysOf(table);
  });
  assert.equal(left, ["b c d w", "c d w x", "d w x y", "w x y z"]);
});

test("a scan is ascending within its range, and sees puts and removals that happen meanwhile", () => {
  const table = tableOf();
  for (const key of ["d", "b", "\uffff", "\u{1f600}", "a", "c"]) table.put(key, 1);
  assert.equal(
    Array.from(table.scan("b", "d"), ([key]) => key),
    ["b", "c"],
  );
  const seen: string[] = [];
  for (const [key] of table.scan("b")) {
    seen.push(key);
    if (key === "b") {
      table.remove("b");
      table.remove("c");
      table.put("bb", 1);
      table.put("a0", 1);
    }
  }
  assert.equal(seen, ["b", "bb", "d", "\u{1f600}", "\uffff"]);
});

test("a key that was cut out of a large text does not keep that text in memory", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heapBytes = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const table = tableOf();
  const before = heapBytes();
  for (let n = 0; n < 200; n++) {
    const text = Buffer.alloc(200_000, `${n} of a batch, `).toString("latin1");
    table.put(text.slice(n, n + 30), n);
    table.put(text.slice(2, 40), text.slice(3, 50));
  }
  const grownBytes = heapBytes() - before;
  assert.ok(grownBytes < 10_000_000, `${grownBytes} bytes for ${table.size} keys of 40 MB of text`);
});

test("half of a surrogate pair is one key in all calls", () => {
  const table = tableOf();
  table.put("\ud800", 1);
  table.put("\udbff", 2);
  assert.equal([table.get("\ud800"), table.get("\ufffd"), table.size], [2, 2, 1]);
  table.remove("\udc00");
  assert.is(table.size, 0);
});

test.run();
