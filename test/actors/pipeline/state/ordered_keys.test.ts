import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { OrderedKeys } from "../../../../actors/pipeline/state/ordered_keys.ts";

const key = fc.oneof(
  fc.nat(3_000).map((n) => `k${n}`),
  fc.string({ unit: "binary", maxLength: 3 }),
);

/** All keys from `from` on, by the calls of a scan. */
function listed(keys: OrderedKeys, from = ""): string[] {
  const found: string[] = [];
  for (let next = keys.from(from); next !== undefined; next = keys.after(next)) found.push(next);
  return found;
}

test("keys come in the order of a sort by UTF-16 code units, after any additions and removals", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { maxLength: 2_000 }),
      fc.array(fc.tuple(key, fc.boolean()), { maxLength: 600 }),
      key,
      (first, changes, from) => {
        const keys = new OrderedKeys(first);
        const plain = new Set(first);
        for (const [name, isAdded] of changes) {
          if (isAdded && !plain.has(name)) keys.add(name);
          if (!isAdded) keys.remove(name);
          if (isAdded) plain.add(name);
          else plain.delete(name);
        }
        const expected = [...plain].sort();
        assert.equal(listed(keys), expected);
        assert.equal(
          listed(keys, from),
          expected.filter((name) => name >= from),
        );
      },
    ),
    { numRuns: 200 },
  );
});

test("a scan goes on behind a key that was removed, past keys that were removed, and to keys that were added", () => {
  const keys = new OrderedKeys(Array.from({ length: 2_000 }, (_, n) => `k${n + 10_000}`));
  assert.is(keys.from("k10700"), "k10700");
  keys.remove("k10700");
  assert.is(keys.after("k10700"), "k10701");
  for (let n = 702; n < 1_900; n++) keys.remove(`k${n + 10_000}`);
  assert.is(keys.after("k10701"), "k11900");
  keys.add("k11900a");
  assert.is(keys.after("k11900"), "k11900a");
  keys.add("k11900+");
  assert.is(keys.after("k11900a"), "k11901");
  assert.is(keys.after("k11999"), undefined);
});

test("chunks that have shrunk are joined, so that a list of few keys is short", () => {
  const names = Array.from({ length: 20_000 }, (_, n) => `k${n + 10_000}`);
  const keys = new OrderedKeys(names);
  const before = keys.chunkCount;
  for (const [n, name] of names.entries()) if (n % 100 !== 0) keys.remove(name);
  assert.ok(before > 50 && keys.chunkCount < 5, `${before} chunks, then ${keys.chunkCount}`);
  for (const name of names) if (keys.from(name) !== name) keys.add(name);
  assert.equal(listed(keys), names);
});

test.run();
