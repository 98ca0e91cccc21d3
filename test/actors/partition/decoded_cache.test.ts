import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RecordBatch } from "../../../actors/log/log.ts";
import { DecodedCache } from "../../../actors/partition/decoded_cache.ts";
import { epoch, offset } from "../../../protocols/position.ts";

const batch = (firstOffset: number, sizeBytes = 10): RecordBatch => ({
  ...{
    epoch: epoch(1),
    firstOffset: offset(firstOffset),
    count: 1,
    appendedAtMs: 0,
    schemaVersion: 0,
    producerId: "p",
  },
  sequences: { first: [0, 0, 0], count: 1 },
  events: new Uint8Array(sizeBytes),
});

test("each of several readers is given the same decoded batch, which is forgotten after the last one", () => {
  const cache = new DecodedCache();
  const one = batch(0);
  const first = cache.take(one, 3);
  assert.is(cache.take(one, 3), first);
  assert.is(cache.take(one, 3), first);
  assert.is.not(cache.take(one, 3), first, "a reader that reads again decodes again");
});

test("a batch of a single reader is not kept", () => {
  const cache = new DecodedCache();
  const one = batch(0);
  assert.is.not(cache.take(one, 1), cache.take(one, 1));
});

test("a reader that lags keeps no more than the bound in memory: the oldest batches are forgotten", () => {
  const cache = new DecodedCache(25);
  const batches = [batch(0), batch(1), batch(2), batch(3, 26)];
  const decoded = batches.map((one) => cache.take(one, 2));
  const isKept = (at: number) => cache.take(batches[at] as RecordBatch, 2) === decoded[at];
  assert.equal([isKept(1), isKept(2), isKept(0), isKept(3)], [true, true, false, false]);
});

test.run();
