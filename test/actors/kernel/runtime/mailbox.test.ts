import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Mailbox } from "../../../../actors/kernel/runtime/mailbox.ts";

const COUNTERS = 7;
const make = (messagesMax: number, weightBytesMax: number) => {
  const counters = new Float64Array(COUNTERS);
  return { mailbox: new Mailbox({ messagesMax, weightBytesMax }, counters), counters };
};

test("M1: control is taken before data, each lane in the order of the calls", () => {
  const { mailbox } = make(10, 10);
  mailbox.trySend("d1", 1);
  mailbox.tell("c1");
  mailbox.trySend("d2", 1);
  mailbox.tell("c2");
  const taken = [];
  while (mailbox.size > 0) {
    taken.push(mailbox.take());
    mailbox.release();
  }
  assert.equal(taken, ["c1", "c2", "d1", "d2"]);
});

test("M2: a message heavier than the whole bound is let in alone", () => {
  const { mailbox } = make(10, 10);
  assert.is(mailbox.trySend("heavy", 1_000), true);
  assert.is(mailbox.trySend("light", 1), false);
  mailbox.take();
  assert.is(mailbox.trySend("light", 1), false, "the message in hand still holds its memory");
  mailbox.release();
  assert.is(mailbox.trySend("light", 1), true);
});

test("a weight that is no number of bytes is refused", () => {
  const { mailbox } = make(10, 10);
  assert.throws(() => mailbox.trySend("bad", Number.NaN), /weight must be a number of bytes/);
  assert.throws(() => mailbox.trySend("bad", -1), /weight must be a number of bytes/);
});

test("whatever is sent, data leaves in its order, within the bound, and each message leaves once (M2, M3, M4)", async () => {
  const command = fc.oneof(
    fc.record({ type: fc.constant("send" as const), weightBytes: fc.integer({ min: 0, max: 8 }) }),
    fc.record({ type: fc.constant("trySend" as const), weightBytes: fc.integer({ min: 0, max: 8 }) }),
    fc.record({ type: fc.constant("tell" as const), weightBytes: fc.constant(0) }),
    fc.record({ type: fc.constant("handle" as const), weightBytes: fc.constant(0) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 20 }),
      async (commands, messagesMax, weightBytesMax) => {
        const { mailbox, counters } = make(messagesMax, weightBytesMax);
        const sentData: number[] = [];
        const sentControl: number[] = [];
        const outData: number[] = [];
        const outControl: number[] = [];
        const answers: Promise<boolean>[] = [];
        let held = 0;
        const out = (message: unknown) => {
          const { lane, id } = message as { lane: string; id: number };
          (lane === "data" ? outData : outControl).push(id);
        };
        for (const [id, { type, weightBytes }] of commands.entries()) {
          if (type === "tell") {
            sentControl.push(id);
            mailbox.tell({ lane: "control", id });
          } else if (type === "send") {
            sentData.push(id);
            answers.push(mailbox.send({ lane: "data", id }, weightBytes));
          } else if (type === "trySend") {
            if (mailbox.trySend({ lane: "data", id }, weightBytes)) sentData.push(id);
          } else if (mailbox.size > 0) {
            const isControlDue = sentControl.length > outControl.length;
            out(mailbox.take());
            if (isControlDue) assert.is(outControl.length > 0 && outControl.at(-1), sentControl[outControl.length - 1]);
            mailbox.release();
          }
          held = mailbox.size - (sentControl.length - outControl.length);
          assert.ok(held <= messagesMax);
          assert.ok((counters[6] ?? 0) <= weightBytesMax || held === 1);
        }
        mailbox.close(out);
        const taken = await Promise.all(answers);
        assert.equal(outData, sentData);
        assert.equal(outControl, sentControl);
        assert.ok(taken.lastIndexOf(true) < (taken.indexOf(false) === -1 ? taken.length : taken.indexOf(false)));
        assert.equal([counters[5], counters[6]], [0, 0]);
      },
    ),
  );
});

test.run();
