import { test } from "uvu";
import * as assert from "uvu/assert";
import { CountedClient } from "../../../../actors/sinks/delivery/counted_client.ts";

interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

function deferred(): Deferred {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((onDone, onFailed) => {
    resolve = onDone;
    reject = onFailed;
  });
  return { promise, resolve, reject };
}

/** A sink's `connect` whose calls end when the test says so. */
function clients(closeWithinMs = 5_000) {
  const connects: Deferred[] = [];
  const closes: Deferred[] = [];
  const troubles: unknown[] = [];
  const shared = new CountedClient(
    async () => {
      const connect = deferred();
      connects.push(connect);
      const number = connects.length;
      await connect.promise;
      const close = () => {
        closes.push(deferred());
        return closes.at(-1)!.promise;
      };
      return { number, close };
    },
    (error) => troubles.push(error),
    closeWithinMs,
  );
  return { shared, connects, closes, troubles };
}

/** Lets every promise that can settle do so. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "it was made",
    (error: Error) => error.message,
  );

test("C1: openings at once wait for one client, and later ones get the same", async () => {
  const { shared, connects } = clients();
  const acquiring = [shared.acquire(), shared.acquire()];
  await settle();
  assert.is(connects.length, 1);
  connects[0]!.resolve();
  const leases = [...(await Promise.all(acquiring)), await shared.acquire()];
  assert.equal(
    leases.map(({ client }) => client.number),
    [1, 1, 1],
  );
  assert.is(connects.length, 1);
});

test("C2: a rejected connect rejects those that wait, and the next opening connects again", async () => {
  const { shared, connects, closes } = clients();
  const failures = Promise.all([failureOf(shared.acquire()), failureOf(shared.acquire())]);
  await settle();
  connects[0]!.reject(new Error("refused"));
  assert.equal(await failures, ["refused", "refused"]);
  const next = shared.acquire();
  await settle();
  assert.is(connects.length, 2);
  connects[1]!.resolve();
  const { client, release } = await next;
  assert.is(client.number, 2);
  release();
  await settle();
  assert.is(closes.length, 1, "only the second client was ever made");
});

test("C2: whoever opens again at once gets no client of the rejected connect, though others have yet to hear of it", async () => {
  const { shared, connects } = clients();
  const again = shared.acquire().catch(() => shared.acquire());
  const slower = failureOf(shared.acquire(new AbortController().signal));
  await settle();
  connects[0]!.reject(new Error("refused"));
  assert.is(await slower, "refused");
  connects[1]!.resolve();
  assert.is((await again).client.number, 2);
});

test("C3: the client is closed after its last user, once, and the next is made after that close", async () => {
  const { shared, connects, closes } = clients();
  const acquiring = [shared.acquire(), shared.acquire()];
  await settle();
  connects[0]!.resolve();
  const [first, second] = await Promise.all(acquiring);
  first!.release();
  first!.release(); // does not end the other's use
  await settle();
  assert.is(closes.length, 0);
  second!.release();
  await settle();
  assert.is(closes.length, 1);
  const next = shared.acquire();
  await settle();
  assert.is(connects.length, 1, "the former client is still being closed");
  closes[0]!.resolve();
  await settle();
  assert.is(connects.length, 2);
  connects[1]!.resolve();
  assert.is((await next).client.number, 2);
});

test("C3: a close that never ends holds the next client back for a bounded time, and a failed one is told", async () => {
  const { shared, connects, closes, troubles } = clients(5);
  const first = shared.acquire();
  await settle();
  connects[0]!.resolve();
  (await first).release();
  const second = shared.acquire(); // the close of the first never ends
  await shared.closed();
  await settle();
  connects[1]!.resolve();
  (await second).release();
  await settle();
  closes[1]!.reject(new Error("reset"));
  await shared.closed();
  assert.equal(
    troubles.map((error) => (error as Error).message),
    ["reset"],
  );
});

test("C4: openings that are given up while the client is being made leave none behind", async () => {
  const { shared, connects, closes } = clients();
  const controller = new AbortController();
  const failure = failureOf(shared.acquire(controller.signal));
  await settle();
  controller.abort(new Error("given up"));
  assert.is(await failure, "given up");
  connects[0]!.resolve();
  await settle();
  assert.is(closes.length, 1);
});

test("C4: an opening that is given up leaves the client to the others", async () => {
  const { shared, connects, closes } = clients();
  const controller = new AbortController();
  const failure = failureOf(shared.acquire(controller.signal));
  const other = shared.acquire();
  await settle();
  controller.abort(new Error("given up"));
  assert.is(await failure, "given up");
  connects[0]!.resolve();
  assert.is((await other).client.number, 1);
  assert.is(closes.length, 0);
});

test.run();
