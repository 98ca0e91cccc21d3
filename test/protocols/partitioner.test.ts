import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { formatPointer, keyOf, murmur3, parsePointer, partitionOfKey } from "../../protocols/partitioner.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

test("murmur3 gives the published values", () => {
  assert.is(murmur3(bytes("")), 0);
  assert.is(murmur3(bytes(""), 1), 0x514e28b7);
  assert.is(murmur3(bytes("test")), 0xba6bd213);
  assert.is(murmur3(bytes("Hello, world!")), 0xc0363e43);
  assert.is(murmur3(bytes("The quick brown fox jumps over the lazy dog")), 0x2e4ff723);
});

test("a key's bytes are UTF-8, and the partition lies in the stream", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 1000 }), (key, partitions) => {
      const partition = partitionOfKey(key, partitions);
      assert.is(partition, murmur3(bytes(key)) % partitions);
      assert.ok(partition >= 0 && partition < partitions);
    }),
  );
});

test("a key is text as it is, a number or boolean by its JSON text, and nothing else", () => {
  const event = {
    user: { "a/b": "x", "m~n": 1.5 },
    list: ["p", "q"],
    yes: true,
    none: null,
    big: 2n ** 60n,
    nan: Number.NaN,
  };
  const key = (pointer: string) => keyOf(event, parsePointer(pointer));
  assert.is(key("/user/a~1b"), "x");
  assert.is(key("/user/m~0n"), "1.5");
  assert.is(key("/list/1"), "q");
  assert.is(key("/yes"), "true");
  assert.is(key("/big"), "1152921504606846976");
  for (const pointer of ["/none", "/user", "/missing/deeper", "/list", "/nan", "", "/constructor"])
    assert.is(key(pointer), undefined);
});

test("pointers are formatted so that they parse to the same parts", () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1 }), (parts) => {
      assert.equal(parsePointer(formatPointer(parts)), parts);
    }),
  );
  assert.throws(() => parsePointer("user"), /begin with/);
});

test.run();
