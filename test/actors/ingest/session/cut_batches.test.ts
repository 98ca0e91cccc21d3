import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { cutBatches } from "../../../../actors/ingest/session/cut_batches.ts";
import type { RecordBatch } from "../../../../actors/log/log.ts";
import { recordsOf } from "../../../../actors/log/stored_records.ts";
import { readRecords } from "../../../../protocols/client/consumer/read_records.ts";
import { epoch, offset } from "../../../../protocols/position.ts";
import { sequenceAt } from "../../../../protocols/sequence.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";
import type { RecordsFrame } from "../../../../protocols/wire/frames.ts";

interface Sketch {
  readonly sizes: readonly number[];
  readonly rejected: readonly boolean[];
  readonly asRecords: boolean;
}

/** Batches one after the other, of events with these sizes. */
function batchesOf(sketches: readonly Sketch[]): RecordBatch[] {
  let next = 0;
  let event = 0;
  return sketches.map(({ sizes, rejected, asRecords }): RecordBatch => {
    const bits = new Uint8Array((sizes.length + 7) >> 3);
    for (const [index] of sizes.entries()) if (rejected[index]) bits[index >> 3]! |= 1 << (index & 7);
    const count = sizes.filter((_, index) => !rejected[index]).length;
    const firstOffset = offset(next);
    const first = event;
    next += count;
    event += sizes.length;
    const events = sizes.map((size, index) => ({ n: first + index, pad: "x".repeat(size) }));
    return {
      ...{ epoch: epoch(1), firstOffset, count, appendedAtMs: 7, schemaVersion: 2, producerId: "p" },
      sequences: { first: [0, first, 0], count: sizes.length },
      ...(rejected.includes(true) ? { rejected: bits } : {}),
      events: encodeEvents(events, { asRecords }),
    };
  });
}

const sketches = fc.array(
  fc.record({
    sizes: fc.array(fc.nat(300), { minLength: 1, maxLength: 6 }),
    rejected: fc.array(fc.boolean(), { maxLength: 6 }),
    asRecords: fc.boolean(),
  }),
  { minLength: 1, maxLength: 5 },
);

const roomsOfReads = fc.array(
  fc.record(
    { bytesMax: fc.nat(900), recordsMax: fc.integer({ min: 1, max: 9 }) },
    { requiredKeys: ["bytesMax"] }, // most readers have no bound of records
  ),
  { minLength: 1, maxLength: 8 },
);

/** Each record with its place and its sequence. */
const told = (batches: readonly RecordBatch[], fromOffset = 0) =>
  [...recordsOf(batches, fromOffset)].map(({ position, event, batch, index }) => ({
    ...{ position, event, sequence: sequenceAt(batch.sequences, index) },
    about: [batch.appendedAtMs, batch.schemaVersion, batch.producerId],
  }));

test("parts that are read one after the other hold every record once, in order and as stored", () => {
  fc.assert(
    fc.property(sketches, roomsOfReads, fc.nat(10), (drawn, rooms, from) => {
      const batches = batchesOf(drawn);
      const endOffset = batches.reduce((sum, { count }) => sum + count, 0);
      const begin = Math.min(from, endOffset);
      const parts: RecordBatch[] = [];
      for (let at = begin, turn = 0; at < endOffset; turn += 1) {
        const left = batches.filter(({ firstOffset, count }) => firstOffset + count > at);
        const { bytesMax = 0, recordsMax } = rooms[turn % rooms.length] ?? {};
        const { batches: kept, sizeBytes, isCut } = cutBatches(left, at, bytesMax, recordsMax);
        const records = kept.reduce((sum, { count }) => sum + count, 0);
        assert.ok(records > 0, "one record at least is sent");
        assert.ok(records <= (recordsMax ?? records));
        assert.ok(sizeBytes <= bytesMax || records === 1, "only a single record may exceed the room");
        at += records;
        assert.is(isCut, at < endOffset);
        parts.push(...kept);
      }
      assert.equal(told(parts), told(batches, begin));
      const frame = { batches: parts, endOffset } as unknown as RecordsFrame;
      assert.equal(
        readRecords(frame, begin).map(({ position }) => Number(position.offset)),
        Array.from({ length: endOffset - begin }, (_, index) => begin + index),
      );
    }),
    { numRuns: 500 },
  );
});

test("a batch that fits its room is left as it is", () => {
  const batches = batchesOf([{ sizes: [10, 20], rejected: [true], asRecords: true }]);
  const { batches: kept } = cutBatches(batches, 0, 1_000);
  assert.is(kept[0], batches[0]);
});

test("a batch of rejected events alone moves the reader on and takes no room", () => {
  const batches = batchesOf([{ sizes: [500, 500], rejected: [true, true], asRecords: false }]);
  const { batches: kept, sizeBytes, isCut } = cutBatches(batches, 0, 10);
  assert.equal([kept.length, kept[0]?.count, sizeBytes, isCut], [1, 0, 0, false]);
});

test.run();
