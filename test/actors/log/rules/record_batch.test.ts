import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeEntry, encodeEntry } from "../../../../actors/log/rules/record_batch.ts";
import type { StoredBatch } from "../../../../actors/log/stored_batches.ts";
import { epoch } from "../../../../protocols/position.ts";
import { tracesOf } from "../../../../protocols/traceparent.ts";
import { VERSION_1_ENTRY, VERSION_2_ENTRY } from "../samples.ts";

const stored: StoredBatch = {
  count: 1,
  appendedAtMs: 1_700_000_000_123,
  schemaVersion: 7,
  producerId: "sensor-1",
  sequences: { first: [0, 41, 0], count: 2 },
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  rejected: Uint8Array.of(0b10),
  events: Uint8Array.of(0x92, 0x80, 0x80),
};

const plainOf = (batch: object) =>
  JSON.parse(
    JSON.stringify(batch, (_, value) =>
      value instanceof Uint8Array
        ? Buffer.from(value).toString("hex")
        : value?.type === "Buffer"
          ? Buffer.from(value.data).toString("hex")
          : value,
    ),
  );

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "none";
};

/** Of format version 2: its events have different trace contexts. */
const traced: StoredBatch = {
  ...{ count: 3, appendedAtMs: 1_700_000_000_123, schemaVersion: 7, producerId: "sensor-1" },
  sequences: { first: [0, 41, 0], count: 3 },
  traces: [
    { index: 0, traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
    { index: 1 },
    { index: 2, traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".replace("01", "00") },
  ],
  events: Uint8Array.of(0x93, 0x80, 0x80, 0x80),
};

test("an entry of format version 2 decodes to the batch that was stored", () => {
  const [batch] = decodeEntry(Buffer.from(VERSION_2_ENTRY, "hex"), epoch(9), 102);
  assert.equal(plainOf(batch ?? {}), plainOf({ epoch: 9, firstOffset: 100, ...traced }));
});

test("an entry of format version 1 decodes to the batch that was stored", () => {
  const [batch] = decodeEntry(Buffer.from(VERSION_1_ENTRY, "hex"), epoch(9), 100);
  assert.equal(plainOf(batch ?? {}), plainOf({ epoch: 9, firstOffset: 100, ...stored }));
});

test("a batch with one trace context or none is written as format version 1, with several as version 2, byte for byte", () => {
  assert.is(encodeEntry([stored]).toString("hex"), VERSION_1_ENTRY);
  assert.is(encodeEntry([traced]).toString("hex"), VERSION_2_ENTRY);
});

test("B1: an entry of a newer format is refused", () => {
  const bytes = encodeEntry([stored]);
  bytes[0] = 3;
  assert.is(
    codeOf(() => decodeEntry(bytes, epoch(1), 0)),
    "FORMAT_TOO_NEW",
  );
});

test("B3: any flipped bit of an entry is noticed", () => {
  const bytes = encodeEntry([stored, stored]);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = Buffer.from(bytes);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.ok(
      ["STORE_CORRUPT", "FORMAT_TOO_NEW"].includes(codeOf(() => decodeEntry(damaged, epoch(1), 9))),
      `bit ${bit}`,
    );
  }
});

test("B3: an entry that is cut short is noticed", () => {
  const bytes = encodeEntry([stored]);
  for (const length of [1, 20, bytes.length - 1]) {
    assert.is(
      codeOf(() => decodeEntry(bytes.subarray(0, length), epoch(1), 0)),
      "STORE_CORRUPT",
    );
  }
});

test("batches decode as they were encoded, with the same event bytes, alone or among others (B1, B2)", () => {
  const sequence = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat(), fc.nat());
  const batch = fc
    .record({
      listed: fc.option(fc.array(sequence, { minLength: 1, maxLength: 9 })),
      first: sequence,
      count: fc.integer({ min: 1, max: 500 }),
      producerId: fc.string({ unit: "binary", maxLength: 40 }).map((text) => text.replace(/[\ud800-\udfff]/g, "")),
      events: fc.uint8Array({ maxLength: 300 }),
      appendedAtMs: fc.maxSafeNat(),
      traceparent: fc.option(fc.constant("00-aa-bb-01"), { nil: undefined }),
      starts: fc.option(
        fc.uniqueArray(fc.nat(400), { minLength: 1, maxLength: 9 }).map((list) => list.sort((a, b) => a - b)),
        { nil: undefined },
      ),
    })
    .map(
      ({ listed, first, count, traceparent, starts, ...rest }): StoredBatch => ({
        ...rest,
        count: listed?.length ?? count,
        schemaVersion: 1,
        sequences: listed === null ? { first, count } : { list: listed },
        ...(starts === undefined
          ? tracesOf({ ...(traceparent === undefined ? {} : { traceparent }) })
          : {
              traces: starts.map((index, at) => ({ index, ...(at % 2 === 0 ? { traceparent: `00-aa-${at}` } : {}) })),
            }),
      }),
    );
  fc.assert(
    fc.property(fc.array(batch, { minLength: 1, maxLength: 5 }), (batches) => {
      const total = batches.reduce((sum, { count }) => sum + count, 0);
      const decoded = decodeEntry(encodeEntry(batches), epoch(3), total - 1);
      let firstOffset = 0;
      for (const [at, one] of batches.entries()) {
        assert.equal(plainOf(decoded[at] ?? {}), plainOf({ epoch: 3, firstOffset, ...one }));
        firstOffset += one.count;
      }
    }),
  );
});

test.run();
