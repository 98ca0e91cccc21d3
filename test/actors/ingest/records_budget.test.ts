import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RecordsBudget } from "../../../actors/ingest/records_budget.ts";

const LIMITS = { connectionBytesMax: 1_000, nodeBytesMax: 2_500, readBytesMin: 100, readsMax: 3 };

test("B1, B2: shares hold for any order of reads, and a connection with nothing under way may always read", () => {
  const step = fc.tuple(
    fc.nat(3),
    fc.constantFrom("take", "give", "grow", "release"),
    fc.integer({ min: 1, max: 1_500 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const budget = new RecordsBudget(LIMITS);
      const connections = Array.from({ length: 4 }, () => ({ grant: budget.open(), held: [] as number[] }));
      for (const [at, what, bytes] of steps) {
        const connection = connections[at];
        if (connection === undefined) continue;
        const { grant, held } = connection;
        if (what === "take") {
          const taken = grant.take(bytes);
          if (held.length === 0) assert.ok(taken > 0, "nothing was under way");
          assert.ok(taken <= bytes);
          if (taken > 0) held.push(taken);
        } else if (what === "grow") {
          const taken = held.shift();
          const size = (taken ?? 0) + bytes;
          const grown = taken === undefined ? 0 : grant.grow(taken, size);
          if (held.length === 0 && taken !== undefined) assert.is(grown, size, "nothing else was under way");
          if (grown > 0) held.push(grown);
          else if (taken !== undefined) held.push(taken);
        } else if (what === "give") {
          const taken = held.shift();
          if (taken !== undefined) grant.give(taken);
        } else {
          grant.release();
          connections[at] = { grant: budget.open(), held: [] };
        }
        for (const one of connections) {
          assert.ok(one.held.length <= LIMITS.readsMax);
          const heldBytes = one.held.reduce((sum, taken) => sum + taken, 0);
          assert.ok(one.held.length === 1 || heldBytes <= LIMITS.connectionBytesMax);
        }
        assert.ok(budget.usedBytes >= 0 && budget.usedBytes <= LIMITS.nodeBytesMax);
      }
      for (const { grant, held } of connections) for (const taken of held) grant.give(taken);
      assert.is(budget.usedBytes, 0);
    }),
    { numRuns: 1_000 },
  );
});

test("connections that never read leave the least read to everybody else", () => {
  const budget = new RecordsBudget(LIMITS);
  for (let n = 0; n < 50; n += 1) assert.ok(budget.open().take(1_000) >= 100);
  assert.ok(budget.usedBytes <= LIMITS.nodeBytesMax);
  const late = budget.open();
  assert.is(late.take(1_000), 100);
  assert.is(late.take(1_000), 0);
  late.give(100);
  assert.is(late.take(50), 50);
});

test.run();
