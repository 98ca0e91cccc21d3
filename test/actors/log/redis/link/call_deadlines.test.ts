/** One timer for the deadlines of many calls: each times out in its order, and none that has settled. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CallDeadlines } from "../../../../../actors/log/redis/link/call_deadlines.ts";

const never = (): Promise<never> => new Promise(() => undefined);
const failureOf = (call: Promise<unknown>): Promise<Error & { code?: string }> =>
  call.then(
    () => assert.unreachable("it must reject"),
    (error) => error,
  );

test("a call that settles in time settles with its own outcome", async () => {
  const deadlines = new CallDeadlines(60_000);
  assert.is(await deadlines.within(Promise.resolve(7), "answer"), 7);
  const failure = await failureOf(deadlines.within(Promise.reject(new Error("refused")), "answer"));
  assert.is(failure.message, "refused");
});

test("calls without an answer time out in the order they were made, also those made while the first waits", async () => {
  const keepAlive = setInterval(() => undefined, 1_000); // a connection would keep the process alive
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

test("a call made after the last one timed out has a deadline too", async () => {
  const keepAlive = setInterval(() => undefined, 1_000);
  const deadlines = new CallDeadlines(20);
  await failureOf(deadlines.within(never(), "answer"));
  await deadlines.within(new Promise((resolve) => setTimeout(resolve, 10)), "wait");
  assert.is((await failureOf(deadlines.within(never(), "answer again"))).code, "TIMEOUT");
  clearInterval(keepAlive);
});

test("however many calls are made, one timer waits for them", async () => {
  const { setTimeout: real } = globalThis;
  let timers = 0;
  globalThis.setTimeout = ((...args: Parameters<typeof real>) => {
    timers += 1;
    return real(...args);
  }) as typeof real;
  try {
    const deadlines = new CallDeadlines(60_000);
    const calls = Array.from({ length: 1_000 }, (_, n) => deadlines.within(Promise.resolve(n), "answer"));
    assert.is((await Promise.all(calls)).length, 1_000);
  } finally {
    globalThis.setTimeout = real;
  }
  assert.is(timers, 1);
});

test.run();
