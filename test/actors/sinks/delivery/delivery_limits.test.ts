import { test } from "uvu";
import * as assert from "uvu/assert";
import { BATCH_BOUNDS, batchLimits, deliveryLimits } from "../../../../actors/sinks/delivery/delivery_limits.ts";
import { DELIVERY_LIMITS } from "../../../../actors/sinks/delivery/delivery_messages.ts";
import type { SinkBatchLimits } from "../../../../actors/sinks/sink.ts";
import { ConfigurationError } from "../../../../protocols/errors.ts";

const MIB = 1_048_576;
const sinkOf = (batch: Partial<SinkBatchLimits>) => ({ batch: () => batch });

test("a batch has the bounds of the configuration, else of the sink, else of the house", () => {
  assert.equal(batchLimits({}, {}), { recordsMax: 5_000, bytesMax: 4 * MIB, lingerMs: 0, gatherMs: 10 });
  const sink = sinkOf({ recordsMax: 7, lingerMs: 50 });
  assert.equal(batchLimits(sink, {}), { recordsMax: 7, bytesMax: 4 * MIB, lingerMs: 50, gatherMs: 10 });
  assert.equal(batchLimits(sink, {}, { lingerMs: 0 }), { recordsMax: 7, bytesMax: 4 * MIB, lingerMs: 0, gatherMs: 10 });
});

test("a bound beyond the allowed ones is refused, whether the sink or the configuration asks for it", () => {
  for (const [name, { min, max }] of Object.entries(BATCH_BOUNDS)) {
    for (const value of [min, max]) {
      const isTaken = batchLimits({}, {}, { [name]: value })[name as keyof SinkBatchLimits] === value;
      assert.ok(isTaken, `${name} ${value}`);
    }
    for (const value of [min - 1, max + 1, min + 0.5, Number.NaN]) {
      for (const refuse of [
        () => batchLimits(sinkOf({ [name]: value }), {}),
        () => batchLimits({}, {}, { [name]: value }),
      ]) {
        assert.throws(
          refuse,
          (error: Error) => error instanceof ConfigurationError && error.message.endsWith(`current value is ${value}`),
          `${name} ${value}`,
        );
      }
    }
  }
});

test("delivery reads twice a named bound of bytes ahead, and the house's bound without one", () => {
  assert.is(deliveryLimits({}, {}).readAheadBytesMax, DELIVERY_LIMITS.readAheadBytesMax);
  assert.is(deliveryLimits({}, {}, { bytesMax: 16 * MIB }).readAheadBytesMax, 32 * MIB);
  assert.is(deliveryLimits(sinkOf({ bytesMax: 5 * MIB }), {}).readAheadBytesMax, 10 * MIB);
  assert.is(deliveryLimits({}, {}, { bytesMax: 100 }).readAheadBytesMax, DELIVERY_LIMITS.readAheadBytesMax);
});

test.run();
