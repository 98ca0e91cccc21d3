/** A connection's greeting: which producers are welcomed, and the words of each refusal. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CreditPool } from "../../../../actors/ingest/session/credit_pool.ts";
import { RecordsBudget } from "../../../../actors/ingest/session/records_budget.ts";
import { stepSession } from "../../../../actors/ingest/session/session_machine.ts";
import type { SessionEffect, SessionMessage } from "../../../../actors/ingest/session/session_messages.ts";
import { createSession } from "../../../../actors/ingest/session/session_state.ts";
import type { Permissions } from "../../../../actors/ingest/session.ts";
import type { WelcomeOutcome } from "../../../../actors/log/log.ts";

function connected() {
  const describe = () => ({});
  const state = createSession(
    {
      node: "n",
      limits: { frameBytesMax: 1e6, eventBytesMax: 1e6, batchEventsMax: 50, dedupeWindowMs: 1_000 },
      directory: { describe, describeWithOwners: describe, partition: () => undefined },
      inspect: () => ({ schemaVersion: 0, hasDefinitions: false }),
    },
    new CreditPool({ totalBytes: 1_000_000, connectionsMax: 1, connectionBytesMax: 100_000 }).take(),
    new RecordsBudget().open(),
  );
  return (message: SessionMessage): readonly SessionEffect[] => stepSession(state, message, 1_000)[1];
}

const HELLO = { type: "hello", client: "c", producerId: "p", instance: "i", producerEpoch: 9 } as const;

function greeted(permissions: Pick<Permissions, "subject" | "owner" | "quota">) {
  const step = connected();
  step({ type: "frame", frame: HELLO, wireBytes: 0 });
  const all = { ...permissions, mayProduce: () => true, mayConsume: () => true, mayObserve: () => true };
  return { asked: step({ type: "authenticated", permissions: all }), step };
}

test("N1: any frame but hello before the welcome ends the connection", () => {
  const open = { type: "open", stream: "readings", partition: 0, producerEpoch: 1 } as const;
  for (const isHelloSent of [false, true]) {
    const step = connected();
    if (isHelloSent) step({ type: "frame", frame: HELLO, wireBytes: 0 }); // its token is still being looked at
    const [told, closed, ...others] = step({ type: "frame", frame: open, wireBytes: 0 });
    assert.is(told?.type === "send" && told.frame.type === "error" && told.frame.code, "HELLO_REQUIRED");
    assert.is(closed?.type, "close");
    assert.equal(others, []);
  }
});

test("a producer is welcomed in the name of the principal that its token belongs to", () => {
  const greeting = { subject: "plant", owner: "plant" };
  const { asked } = greeted(greeting);
  assert.equal(
    asked.map((effect) => effect.type === "welcome_producer" && effect.owner),
    [{ subject: "plant" }],
  );
  const bounded = { ...greeting, quota: { hasRates: true, take: () => 0, admit: () => undefined, producersMax: 7 } };
  assert.equal(
    greeted(bounded).asked.map((effect) => (effect.type === "welcome_producer" ? effect.owner : effect)),
    [
      { type: "meter", quota: bounded.quota, events: 0, sizeBytes: 0 },
      { subject: "plant", producersMax: 7 },
    ],
  );
  assert.equal(
    greeted({ subject: "anybody" }).asked.map((effect) => effect.type === "welcome_producer" && effect.owner),
    [undefined],
  );
});

const REFUSALS: readonly (readonly [WelcomeOutcome, code: string, message: RegExp])[] = [
  [{ kind: "fenced", current: 12 }, "PRODUCER_FENCED", /another instance holds 12, current value is 9/],
  [{ kind: "unknown_epoch", max: 5 }, "UNKNOWN_EPOCH", /must be one that a node gave, at most 5: current value is 9/],
  [{ kind: "owned" }, "FORBIDDEN", /name must belong to the token's subject/],
  [{ kind: "crowded", max: 3 }, "QUOTA_EXCEEDED", /its principal may have 3 names of producers/],
];

for (const [outcome, code, message] of REFUSALS) {
  test(`${outcome.kind}: the connection ends with ${code}`, () => {
    const effects = greeted({ subject: "plant", owner: "plant" }).step({ type: "welcomed", outcome });
    const [told, closed] = effects;
    assert.is(told?.type === "send" && told.frame.type === "error" && told.frame.code, code);
    assert.match(told?.type === "send" && told.frame.type === "error" ? told.frame.message : "", message);
    assert.is(closed?.type, "close");
  });
}

test.run();
