import { test } from "uvu";
import * as assert from "uvu/assert";
import { CreditPool } from "../../../../actors/ingest/session/credit_pool.ts";
import { createInspect } from "../../../../actors/ingest/session/inspection.ts";
import { RecordsBudget } from "../../../../actors/ingest/session/records_budget.ts";
import { stepSession } from "../../../../actors/ingest/session/session_machine.ts";
import type { SessionEffect, SessionMessage } from "../../../../actors/ingest/session/session_messages.ts";
import { createSession } from "../../../../actors/ingest/session/session_state.ts";
import type { Permissions } from "../../../../actors/ingest/session.ts";
import { EVENT_LIMITS } from "../../../../protocols/values/event_codec.ts";
import type { ClientFrame } from "../../../../protocols/wire/frames.ts";

const STREAM = { partitions: 1, schemaVersions: [] };

function sessionUnderTest(shown: readonly string[]) {
  const credit = new CreditPool({ totalBytes: 1_000_000, connectionsMax: 1, connectionBytesMax: 100_000 }).take();
  const streams = { orders: STREAM, payments: STREAM };
  const directory = { describe: () => streams, describeWithOwners: () => streams, partition: () => undefined };
  const limits = { frameBytesMax: 1e6, eventBytesMax: 1e6, batchEventsMax: 50, dedupeWindowMs: 1_000 };
  const inspect = createInspect(new Map(), EVENT_LIMITS);
  const state = createSession({ node: "n", limits, directory, inspect }, credit, new RecordsBudget().open());
  const tell = (message: SessionMessage): readonly SessionEffect[] =>
    stepSession(state, message, 1_000)[1].filter((effect) => effect.type !== "charge");
  const take = (frame: ClientFrame) => tell({ type: "frame", frame, wireBytes: 100 });
  const permissions: Permissions = {
    subject: "one",
    mayProduce: () => false,
    mayConsume: () => false,
    mayObserve: (stream) => shown.includes(stream),
  };
  const greet = () => {
    take({ type: "hello", client: "c" });
    return tell({ type: "authenticated", permissions });
  };
  return { tell, take, greet };
}

const codeOf = (effects: readonly SessionEffect[]) =>
  effects.map((effect) =>
    effect.type === "send" && effect.frame.type === "error"
      ? effect.frame.code
      : effect.type === "close"
        ? effect.code
        : effect.type,
  );

test("N8: a connection ends once with its grant, in any phase, and later frames are ignored", () => {
  for (const isGreeted of [false, true]) {
    const { tell, take, greet } = sessionUnderTest([]);
    if (isGreeted) greet();
    assert.equal(codeOf(tell({ type: "grant_ended" })), ["UNAUTHENTICATED", 1008]);
    assert.equal(tell({ type: "grant_ended" }), []);
    assert.equal(take({ type: "open", stream: "orders", partition: 0, producerEpoch: 1 }), []);
  }
});

test("a welcome and an error name the streams that the token shows, and no other", () => {
  const { take, greet } = sessionUnderTest(["orders"]);
  const [welcome] = greet();
  assert.equal(welcome?.type === "send" && welcome.frame.type === "welcome" && Object.keys(welcome.frame.streams), [
    "orders",
  ]);
  const partitions = [{ partition: 0, from: "earliest" }] as const;
  const told = [
    take({ type: "open", stream: "nothing", partition: 0, producerEpoch: 1 }),
    take({ type: "subscribe", subscription: 1, stream: "nothing", channel: "records", partitions, creditBytes: 1 }),
  ];
  // `payments` exists, but the token may not observe it: the refusal is the same, whichever partition is asked for.
  for (const partition of [0, 7]) {
    told.push(take({ type: "open", stream: "payments", partition, producerEpoch: 1 }));
    const hidden = { subscription: 1, stream: "payments", partitions: [{ partition, from: "earliest" as const }] };
    told.push(take({ type: "subscribe", ...hidden, creditBytes: 1 }));
  }
  assert.equal(codeOf(take({ type: "open", stream: "orders", partition: 0, producerEpoch: 1 })), ["FORBIDDEN"]);
  for (const effects of told) {
    assert.equal(codeOf(effects), ["UNKNOWN_STREAM"]);
    assert.not.match(JSON.stringify(effects), /one of \[[^\]]*payments/);
    assert.match(JSON.stringify(effects), /one of \[orders\]/);
  }
});

test.run();
