import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { copyEvents } from "../../../protocols/values/copy_events.ts";
import { decodeEvents, decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { DEFINITIONS_MAX } from "../../../protocols/values/scan.ts";

const records = (events: readonly object[]): Uint8Array => encodeEvents(events, { asRecords: true });
const all = (batch: Uint8Array) => decodeTrustedEvents(batch).map((_, index) => ({ batch, index }));

/** Decodes a batch as a node does with bytes of a stranger: every rule of the scan holds. */
function judged(bytes: Uint8Array | undefined): readonly unknown[] {
  if (bytes === undefined) return assert.unreachable("nothing was copied") as never;
  const { events, verdicts } = decodeEvents(bytes);
  assert.equal(verdicts, []);
  return events;
}

/** Integers of 64 to 127 are written in one byte, as an encoder without records may write them. */
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));

test("a whole batch is copied byte for byte, behind the header of its array", () => {
  const batch = records([{ a: 1, b: { c: "x" } }, { a: 2, b: { c: "y" } }, { a: 1.5 }, { z: [{ a: 3, b: 4 }] }]);
  const copied = copyEvents(all(batch));
  assert.equal([...(copied ?? []).slice(5)], [...batch.slice(1)]);
});

test("events picked from several batches decode by themselves, as each did in its own batch", () => {
  const value: fc.Arbitrary<unknown> = fc.oneof(
    fc.integer({ min: 60, max: 130 }),
    fc.string({ maxLength: 5 }),
    fc.constantFrom(-0, 1e300, 2n ** 60n, null, true),
    fc.dictionary(fc.constantFrom("a", "b", "c"), fc.integer({ min: 60, max: 130 }), { maxKeys: 3 }),
  );
  const event = fc.dictionary(fc.constantFrom("a", "b", "c", "n"), value, { minKeys: 1, maxKeys: 4 });
  const batches = fc.array(fc.array(event, { minLength: 2, maxLength: 40 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(batches, fc.infiniteStream(fc.nat(3)), (drawn, chances) => {
      const wanted: unknown[] = [];
      const picked = drawn.map(records).flatMap((batch) =>
        decodeTrustedEvents(batch).flatMap((one, index) => {
          if (chances.next().value === 0) return [];
          wanted.push(one);
          return [{ batch, index }];
        }),
      );
      const copied = copyEvents(picked);
      if (copied !== undefined) assert.equal(judged(copied), wanted);
    }),
    { numRuns: 300 },
  );
});

test("an id that two batches define in different ways is defined anew, and one with the same keys is not", () => {
  const [first, same, other] = [
    records([{ a: 1 }, { a: 2 }]),
    records([{ a: 3 }, { a: 4 }]),
    records([{ b: 5 }, { b: 6 }]),
  ];
  const copied = copyEvents([...all(first), ...all(same), ...all(other), ...all(first)]);
  assert.equal(judged(copied), [{ a: 1 }, { a: 2 }, { a: 3 }, { a: 4 }, { b: 5 }, { b: 6 }, { a: 1 }, { a: 2 }]);
  const definitions =
    Buffer.from(copied ?? [])
      .toString("hex")
      .split("d472").length - 1;
  assert.is(definitions, 3);
});

test("an event behind the one that defined its record brings the definition along", () => {
  const batch = records([{ a: 1 }, { a: 2 }, { a: 3 }]);
  assert.equal(
    judged(
      copyEvents([
        { batch, index: 1 },
        { batch, index: 2 },
      ]),
    ),
    [{ a: 2 }, { a: 3 }],
  );
  assert.equal(
    judged(
      copyEvents([
        { batch, index: 2 },
        { batch, index: 0 },
      ]),
    ),
    [{ a: 3 }, { a: 1 }],
  );
});

test("an integer whose byte is the id of a record in another batch stays an integer", () => {
  const first = hex("92 d47240 91a161 01  40 02");
  const second = hex("92 d47241 91a162 40  81a163 40"); // b: 64, c: 64
  assert.equal(decodeTrustedEvents(second), [{ b: 64 }, { c: 64 }]);
  const copied = copyEvents([...all(first), ...all(second)]);
  assert.equal(judged(copied), [{ a: 1 }, { a: 2 }, { b: 64 }, { c: 64 }]);
});

test("plain maps, events far apart and too many definitions are left to the encoder", () => {
  assert.is(copyEvents(all(encodeEvents([{ a: 1 }, { a: 2 }], { asRecords: false }))), undefined);
  const long = records(Array.from({ length: 100 }, (_, n) => ({ n })));
  assert.is(
    copyEvents([
      { batch: long, index: 0 },
      { batch: long, index: 99 },
    ]),
    undefined,
  );
  assert.is(judged(copyEvents(all(long).slice(70))).length, 30);
  const shapes = (count: number) =>
    Array.from({ length: count }, (_, n) => records([{ [`k${n}`]: 1 }, { [`k${n}`]: 2 }])).flatMap(all);
  assert.is(judged(copyEvents(shapes(DEFINITIONS_MAX))).length, 2 * DEFINITIONS_MAX);
  assert.is(copyEvents(shapes(DEFINITIONS_MAX + 1)), undefined);
});

test("the last events of a large batch are copied in parts, from where the part before has ended", () => {
  const batch = records(Array.from({ length: 5_000 }, (_, n) => ({ n, text: "some twenty letters" })));
  const found: unknown[] = [];
  for (let from = 0; from < 5_000; from += 500) found.push(...judged(copyEvents(all(batch).slice(from, from + 500))));
  assert.equal(found, decodeTrustedEvents(batch));
});

test.run();
