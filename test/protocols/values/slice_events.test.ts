import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeSlice } from "../../../protocols/values/event_codec.ts";
import { sliceEvents, slicesFrom } from "../../../protocols/values/slice_events.ts";

/** Records of two shapes under the same few ids, which are defined anew again and again, between plain maps. */
function handmade(kinds: readonly number[], padBytes: number): { bytes: Uint8Array; events: unknown[] } {
  const text = (value: string) => [0xd9, value.length, ...Buffer.from(value)];
  const defined = new Map<number, readonly string[]>();
  const events: unknown[] = [];
  const body: number[] = [];
  for (const [n, kind] of kinds.entries()) {
    const id = 0x40 + (kind % 3);
    const pad = "x".repeat(padBytes);
    const keys = defined.get(id);
    if (kind < 3) {
      body.push(0x82, 0xa1, 0x6e, 0xcd, n >> 8, n & 255, 0xa1, 0x70, ...text(pad));
      events.push({ n, p: pad });
    } else if (kind < 6 || keys === undefined) {
      const fresh = kind % 2 === 0 ? ["n", `p${kind}`] : [`p${kind}`, "n"];
      body.push(0xd4, 0x72, id, 0x92, ...fresh.flatMap(text));
      defined.set(id, fresh);
      values(fresh);
    } else {
      body.push(id);
      values(keys);
    }
    function values(of: readonly string[]): void {
      for (const key of of) body.push(...(key === "n" ? [0xcd, n >> 8, n & 255] : text(pad)));
      events.push(Object.fromEntries(of.map((key) => [key, key === "n" ? n : pad])));
    }
  }
  return { bytes: Uint8Array.from([0xdc, kinds.length >> 8, kinds.length & 255, ...body]), events };
}

test("slices from any event on are those of the whole batch, whichever were asked for before", () => {
  const kinds = fc.array(fc.nat(8), { minLength: 300, maxLength: 600 });
  const begins = fc.array(fc.nat(599), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(kinds, begins, fc.nat(8), (drawn, from, counts) => {
      const { bytes, events } = handmade(drawn, 200);
      for (const first of from) {
        const found: unknown[] = [];
        for (const slice of slicesFrom(bytes, first)) {
          found.push(decodeSlice(slice));
          if (found.length > counts * 40) break;
        }
        assert.equal(found, events.slice(first, first + found.length));
        assert.ok(found.length > 0 || first >= events.length);
      }
      const all = [...events.keys()];
      assert.equal(sliceEvents(bytes, all).map(decodeSlice), events);
    }),
    { numRuns: 60 },
  );
});

test("events that were walked once are not walked again: the last events of a batch cost no more than the first", () => {
  const { bytes } = handmade(Array(60_000).fill(0), 60);
  const reads = { count: 0 };
  // Counts the bytes that are looked at; the walk reads them one by one.
  const counted = new Proxy(bytes, {
    get: (target, name) => {
      if (typeof name === "string" && /^\d+$/.test(name)) reads.count += 1;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const readsOf = (first: number) => {
    reads.count = 0;
    for (const _ of slicesFrom(counted, first)) break;
    return reads.count;
  };
  const walked = readsOf(59_999);
  assert.ok(readsOf(59_998) < walked / 50, `${readsOf(59_998)} of ${walked}`);
});

test.run();
