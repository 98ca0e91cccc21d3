import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SendCredit } from "../../../../actors/transport/peer/peer_credit.ts";
import { InvariantError, RejectedError } from "../../../../protocols/errors.ts";

const LIMITS = { targetBytesMax: 100, targetMessagesMax: 4, linkBytesMax: 250 };
const settle = () => new Promise((resolve) => setImmediate(resolve));

function fixture() {
  const credit = new SendCredit(LIMITS);
  const written: string[] = [];
  const results: string[] = [];
  const sendBy = (write: (name: string) => void) => (to: string, weightBytes: number, name: string) =>
    void credit
      .send(
        to,
        weightBytes,
        () => write(name),
        (error) => void results.push(`${name} dropped${error instanceof Error ? ` as ${error.message}` : ""}`),
      )
      .then((isSent) => void results.push(`${name} ${isSent}`));
  const send = sendBy((name) => void written.push(name));
  const fail = sendBy(() => {
    throw new Error("not to be encoded");
  });
  return { credit, written, results, send, fail };
}

test("W1: no message, however light, overtakes one that waits for the same actor", () => {
  const { credit, written, send } = fixture();
  send("x", 80, "x1");
  send("x", 80, "x2");
  send("x", 1, "x3");
  assert.not(credit.trySend("x", 1, () => void written.push("x4")));
  assert.equal(written, ["x1"]);
  credit.returned("x", 80, 1);
  assert.equal(written, ["x1", "x2", "x3"]);
});

test("an actor gets its share of messages and bytes, and returned credit lets every message go that fits", () => {
  const { credit, written, send } = fixture();
  for (let n = 0; n < 9; n += 1) send("x", 1, `x${n}`);
  assert.is(written.length, 4);
  credit.returned("x", 3, 3);
  assert.is(written.length, 7);
  credit.returned("x", 4, 4);
  assert.is(written.length, 9);
  credit.returned("x", 2, 2);
  assert.equal([credit.targets, credit.bytesUnderWay], [0, 0]);
});

test("W2: actors that wait for the link's credit take turns", () => {
  const { credit, written, send } = fixture();
  send("x", 100, "x1");
  send("y", 100, "y1");
  for (const name of ["a1", "a2", "a3"]) send("a", 30, name);
  for (const name of ["b1", "b2", "b3"]) send("b", 30, name);
  assert.equal(written, ["x1", "y1", "a1"]);
  credit.returned("x", 100, 1);
  assert.equal(written, ["x1", "y1", "a1", "a2", "b1", "a3", "b2"]);
  send("c", 1, "c1");
  assert.is(written.length, 7, "a newcomer does not overtake");
  credit.returned("y", 100, 1);
  assert.equal(written.slice(7), ["b3", "c1"]);
});

test("W2: a light newcomer does not overtake a heavy one that waits for the link's credit", () => {
  const { credit, written, send } = fixture();
  for (const name of ["x", "y"]) send(name, 100, name);
  send("z", 40, "z");
  send("heavy", 20, "heavy");
  send("light", 5, "light");
  assert.equal(written, ["x", "y", "z"]);
  credit.returned("z", 40, 1);
  assert.equal(written, ["x", "y", "z", "heavy", "light"]);
});

test("W3: a message heavier than the whole share goes alone", () => {
  const { credit, written, send } = fixture();
  send("x", 1, "x1");
  send("x", 5_000, "x2");
  assert.equal(written, ["x1"]);
  credit.returned("x", 1, 1);
  assert.equal(written, ["x1", "x2"]);
  send("x", 1, "x3");
  assert.is(credit.bytesUnderWay, 100);
  credit.returned("x", 100, 1);
  assert.equal(written, ["x1", "x2", "x3"]);
});

test("while the socket is full no data is added, and afterwards all of it goes", () => {
  const { credit, written, send } = fixture();
  credit.setSocketFull(true);
  send("x", 10, "x1");
  send("y", 10, "y1");
  assert.not(credit.trySend("z", 10, () => void written.push("z1")));
  assert.equal([written, credit.targets], [[], 2]);
  credit.setSocketFull(false);
  assert.equal(written, ["x1", "y1"]);
});

test("a message that cannot be written costs no credit and holds up no other", async () => {
  const { credit, written, results, send, fail } = fixture();
  const fails = () => {
    throw new Error("not to be encoded");
  };
  assert.throws(() => credit.trySend("x", 10, fails), /not to be encoded/);
  assert.throws(() => credit.send("x", 10, fails, fails), /not to be encoded/);
  assert.equal([credit.targets, credit.bytesUnderWay], [0, 0]);
  send("x", 100, "x1");
  fail("x", 10, "x2");
  send("x", 10, "x3");
  credit.returned("x", 100, 1);
  await settle();
  assert.equal(written, ["x1", "x3"]);
  assert.equal(results, ["x2 dropped as not to be encoded", "x1 true", "x2 false", "x3 true"]);
});

test("credit that is not under way cannot come back", () => {
  const { credit, send } = fixture();
  send("x", 10, "x1");
  for (const [to, bytes, messages] of [
    ["y", 1, 1],
    ["x", 11, 1],
    ["x", 1, 2],
  ] as const) {
    assert.throws(
      () => credit.returned(to, bytes, messages),
      (error: Error) => error instanceof RejectedError,
    );
  }
});

test("a weight that is no number of bytes is the sender's bug, and costs no credit", () => {
  const { credit, send } = fixture();
  for (const weight of [-1, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(
      () => send("x", weight, "x1"),
      (error: Error) => error instanceof InvariantError,
    );
  assert.equal([credit.targets, credit.bytesUnderWay], [0, 0]);
});

test("when an actor ends, senders that wait for it get false, and others go on", async () => {
  const { credit, written, results, send } = fixture();
  send("x", 100, "x1");
  send("x", 100, "x2");
  send("y", 100, "y1");
  send("x", 10, "x3");
  credit.endTarget("x");
  await settle();
  assert.equal(written, ["x1", "y1"]);
  assert.equal(
    results.filter((result) => /x[23]/.test(result)),
    ["x2 dropped", "x3 dropped", "x2 false", "x3 false"],
  );
  credit.returned("x", 100, 1);
  credit.returned("y", 100, 1);
  assert.equal([credit.targets, credit.bytesUnderWay], [0, 0]);
});

test("at the end of the link senders that wait get false, in order", async () => {
  const { credit, results, send } = fixture();
  for (const name of ["x1", "x2", "x3"]) send("x", 100, name);
  credit.close();
  await settle();
  assert.equal(results.sort(), ["x1 true", "x2 dropped", "x2 false", "x3 dropped", "x3 false"]);
  assert.equal([credit.targets, credit.bytesUnderWay], [0, 0]);
});

test("whatever is sent and comes back, order and bounds hold, everything goes, and the credit is whole at the end", () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant("send" as const), to: fc.nat(3), weight: fc.nat(150) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("return" as const), of: fc.nat(30) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("full" as const), isFull: fc.boolean() }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const credit = new SendCredit(LIMITS);
      const underWay: { to: number; bytes: number }[] = [];
      const asked: number[] = [0, 0, 0, 0, 0];
      const written: number[] = [0, 0, 0, 0, 0];
      const giveBack = (index: number): void => {
        const [back] = underWay.splice(index % Math.max(1, underWay.length), 1);
        if (back !== undefined) credit.returned(back.to + 1, back.bytes, 1);
      };
      const send = (to: number, weight: number): void => {
        const n = asked[to] ?? 0;
        asked[to] = n + 1;
        const write = (): void => {
          assert.is(written[to], n, "in the order of the calls");
          written[to] = n + 1;
          underWay.push({ to, bytes: Math.min(weight, LIMITS.targetBytesMax) });
          const own = underWay.filter((one) => one.to === to);
          const sum = (of: typeof underWay) => of.reduce((total, { bytes }) => total + bytes, 0);
          assert.ok(own.length <= LIMITS.targetMessagesMax && sum(own) <= LIMITS.targetBytesMax, "an actor's share");
          assert.ok(sum(underWay) <= LIMITS.linkBytesMax, "the link's");
        };
        void credit.send(to + 1, weight, write, () => assert.unreachable());
      };
      for (const one of steps) {
        if (one.do === "send") send(one.to, one.weight);
        else if (one.do === "return") giveBack(one.of);
        else credit.setSocketFull(one.isFull);
      }
      credit.setSocketFull(false);
      while (underWay.length > 0) giveBack(0);
      assert.equal(written, asked);
      assert.equal([credit.targets, credit.bytesUnderWay], [0, 0]);
    }),
    { numRuns: 2_000 },
  );
});

test.run();
