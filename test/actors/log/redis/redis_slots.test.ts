import { test } from "uvu";
import * as assert from "uvu/assert";
import { SLOT_COUNT, slotOf, tagOf } from "../../../../actors/log/redis/redis_slots.ts";

test("a key's slot is that of its hash tag, or of the whole key where it has none", () => {
  // The slots that CLUSTER KEYSLOT of Redis 7 answers.
  assert.is(slotOf("123456789"), 12_739);
  assert.is(slotOf("foo"), 12_182);
  assert.is(slotOf("headrace:{foo}:meta"), slotOf("foo"));
  assert.is(slotOf("headrace:{}foo"), slotOf("headrace:{}foo"));
  assert.is.not(slotOf("{}foo"), slotOf(""));
  assert.is(slotOf("{a}{b}"), slotOf("a"));
  assert.is(slotOf("a{b"), slotOf("a{b"));
  assert.is(slotOf("straße"), slotOf("{straße}"));
});

test("every slot has a hash tag", () => {
  for (let slot = 0; slot < SLOT_COUNT; slot += 127) assert.is(slotOf(tagOf(slot)), slot);
  assert.is(slotOf(`headrace:probe:{${tagOf(SLOT_COUNT - 1)}}`), SLOT_COUNT - 1);
});

test.run();
