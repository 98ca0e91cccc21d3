/** Writes that wait for replicas: in order, gathered behind the WAIT under way, each judged by its own number of replicas. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ReplicatedWrites } from "../../../../../actors/log/redis/link/replicated_writes.ts";
import { UnavailableError } from "../../../../../protocols/errors.ts";

/** A connection whose answers come, in order, when the test lets them. */
function connection() {
  const sent: string[] = [];
  const open: { resolve(value: never): void; reject(error: Error): void }[] = [];
  const send = (what: string) =>
    new Promise<never>((resolve, reject) => {
      sent.push(what);
      open.push({ resolve, reject });
    });
  const writes = new ReplicatedWrites<string, string>(send, (replicas) => send(`wait ${replicas}`), 1_000);
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const answer = async (...values: (string | number | Error)[]) => {
    for (const value of values) {
      const one = open.shift();
      if (value instanceof Error) one?.reject(value);
      else one?.resolve(value as never);
    }
    await settled();
  };
  return { sent, writes, answer };
}

test("writes that come while a WAIT is under way share the next WAIT", async () => {
  const { sent, writes, answer } = connection();
  const first = writes.write("a", 1);
  const others = ["b", "c", "d"].map((command) => writes.write(command, 1));
  assert.equal(sent, ["a", "wait 1"]);
  await answer("A", 1);
  assert.is(await first, "A");
  assert.equal(sent, ["a", "wait 1", "b", "c", "d", "wait 1"]);
  await answer("B", "C", "D", 1);
  assert.equal(await Promise.all(others), ["B", "C", "D"]);
});

test("a write that asks for fewer replicas does not wait for one that asks for more, nor fail with it", async () => {
  const { sent, writes, answer } = connection();
  const begin = writes.write("begin", 1);
  const [two, one] = [writes.write("two", 2), writes.write("one", 1)];
  const failed = two.catch((error: unknown) => error);
  await answer("", 1);
  await begin;
  assert.equal(sent.slice(2), ["two", "one", "wait 1", "wait 2"]);
  await answer("2", "1", 1);
  assert.is(await one, "1");
  await answer(1);
  const error = (await failed) as UnavailableError;
  assert.instance(error, UnavailableError);
  assert.is(error.code, "NOT_DURABLE");
});

test("a refused write fails alone, a broken connection fails its writes, and the next writes go", async () => {
  const { sent, writes, answer } = connection();
  const [refused, taken] = [writes.write("a", 1).catch(String), writes.write("b", 1).catch(String)];
  await answer(new Error("refused"), 1);
  assert.is(await refused, "Error: refused");
  await answer(new Error("broken"), new Error("broken"));
  assert.is(await taken, "Error: broken");
  const next = writes.write("c", 1);
  assert.is(sent.at(-2), "c");
  await answer("C", 1);
  assert.is(await next, "C");
});

test.run();
