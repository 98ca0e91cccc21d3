import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputWatermark } from "../../../actors/pipeline/watermark.ts";

const SETTINGS = { outOfOrderMs: 10, skewMs: 100, idleAfterMs: 1_000 };

test("W1: the watermark lies behind the greatest event time by the time that records may be out of order", () => {
  const watermark = new InputWatermark(SETTINGS);
  assert.is(watermark.ms, Number.NEGATIVE_INFINITY);
  watermark.see(500, 1_000);
  watermark.see(200, 1_000);
  assert.is(watermark.ms, 490);
});

test("W2: a record from the future moves nothing, and one within the skew does", () => {
  const watermark = new InputWatermark(SETTINGS, 490);
  assert.is(watermark.see(1_101, 1_000), false);
  assert.is(watermark.ms, 490);
  assert.is(watermark.see(1_100, 1_000), true);
  assert.is(watermark.ms, 1_090);
});

test("W3: a tick moves the watermark to the clock, less the time that records may be out of order", () => {
  const watermark = new InputWatermark(SETTINGS, 490);
  watermark.tick(2_000);
  assert.is(watermark.ms, 1_990);
});

test("the watermark never goes back, whatever is read and wherever it is restored", () => {
  const one = fc.record({ timeMs: fc.integer({ min: 0, max: 1_000 }), isTick: fc.boolean(), restores: fc.boolean() });
  fc.assert(
    fc.property(fc.array(one), (all) => {
      let watermark = new InputWatermark(SETTINGS);
      for (const { timeMs, isTick, restores } of all) {
        const before = watermark.ms;
        if (restores) watermark = new InputWatermark(SETTINGS, before);
        if (isTick) watermark.tick(timeMs);
        else watermark.see(timeMs, 500);
        assert.ok(watermark.ms >= before);
      }
    }),
  );
});

test.run();
