import { test } from "uvu";
import * as assert from "uvu/assert";
import { settledWithin } from "../../../actors/kernel/settled_within.ts";

test("work that ends in time is settled, whether it succeeds or fails", async () => {
  assert.ok(await settledWithin(Promise.resolve(), 10_000));
  assert.ok(await settledWithin(Promise.reject(new Error("failed")), 10_000));
});

test("work that goes on is not settled, and a later failure of it is nobody's rejection", async () => {
  let fail: (error: Error) => void = () => {};
  const work = new Promise((_resolve, reject) => (fail = reject));
  assert.not(await settledWithin(work, 1));
  const unhandled: unknown[] = [];
  const listen = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", listen);
  fail(new Error("late"));
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", listen);
  assert.equal(unhandled, []);
});

test.run();
