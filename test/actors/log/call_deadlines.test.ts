/** One timer for the deadlines of many calls: each is told in its turn, and none that has settled. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CallDeadlines } from "../../../actors/log/call_deadlines.ts";

const never = (): Promise<never> => new Promise(() => undefined);
const failureOf = (call: Promise<unknown>): Promise<Error & { code?: string }> =>
  call.then(
    () => assert.unreachable("it must reject"),
    (error) => error,
  );

test("a call that settles in time settles so", async () => {
  const deadlines = new CallDeadlines(60_000);
  assert.is(await deadlines.within(Promise.resolve(7), "answer"), 7);
  const failure = await failureOf(deadlines.within(Promise.reject(new Error("refused")), "answer"));
  assert.is(failure.message, "refused");
});

test("calls without an answer time out in the order they were made, also those made while the first waits", async () => {
  const keepAlive = setInterval(() => undefined, 1_000); // as a connection does while a call is under way
  const deadlines = new CallDeadlines(30);
  const told: number[] = [];
  const begun = performance.now();
  const call = (n: number) => failureOf(deadlines.within(never(), `answer ${n}`)).finally(() => told.push(n));
  const first = call(1);
  await deadlines.within(new Promise((resolve) => setTimeout(resolve, 10)), "wait");
  const failures = await Promise.all([first, call(2), call(3)]);
  clearInterval(keepAlive);
  assert.equal(told, [1, 2, 3]);
  assert.ok(performance.now() - begun >= 38);
  assert.equal(
    failures.map(({ code, message }) => [code, message]),
    [1, 2, 3].map((n) => ["TIMEOUT", `Cannot go on as Redis must answer ${n} within 30 ms`]),
  );
});

test.run();
