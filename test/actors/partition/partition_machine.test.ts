import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Channel } from "../../../actors/log/log.ts";
import type { ReplyTo } from "../../../actors/partition/partition.ts";
import { endLife, stepPartition } from "../../../actors/partition/partition_machine.ts";
import {
  createPartition,
  type PartitionEffect,
  type PartitionMessage,
  type Suspects,
} from "../../../actors/partition/partition_messages.ts";
import { suspect } from "../../../actors/partition/suspect_batches.ts";
import { FencedError, UnavailableError } from "../../../protocols/errors.ts";
import { epoch, offset } from "../../../protocols/position.ts";
import {
  answersIn,
  batch,
  claim,
  GRANT,
  kinds,
  partition,
  partitionUnderTest,
  refusedIn,
  replyTo,
  requestsIn,
  written,
} from "../../support/fakes/partition_under_test.ts";

test("a claim that waits for its next attempt is made at once when the store answers, and never twice at a time", () => {
  const { tell } = partitionUnderTest();
  assert.equal(kinds(tell({ type: "start" })), ["claim", "wait"]);
  assert.equal(tell({ type: "store_answers" }), []); // it is under way
  const away = new UnavailableError("STORE_UNAVAILABLE", "away");
  assert.equal(kinds(tell({ type: "claim_failed", error: away })), ["blocked", "wait"]);
  assert.equal(kinds(tell({ type: "store_answers" })), ["claim"]);
  assert.equal(tell({ type: "claim_due" }), []);
  assert.ok(kinds(tell({ type: "claimed", claim: claim(1) })).includes("owned"));
  assert.equal(tell({ type: "store_answers" }), []);
});

test("P10: a batch of a producer's former life is refused once a later life opened its chain, even if the log lost that", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(1) });
  assert.equal(kinds(append(0)), ["append"]); // slow
  const request = {
    type: "open_chain",
    requestId: 9,
    producerId: "p",
    producerEpoch: 2,
    replyTo: {} as ReplyTo,
  } as const;
  const call = { requestId: 9, replyTo: request.replyTo, request };
  assert.equal(kinds(tell(request)), ["call_chain"]);
  append(1);
  const outcome = { kind: "opened", lastSequence: undefined } as const;
  const opened = answersIn(tell({ type: "chain_answered", call, answer: { kind: "opened", requestId: 9, outcome } }));
  assert.equal(
    opened.map(({ requestId, kind }) => [requestId, kind]),
    [
      [1, "refused"],
      [9, "opened"],
    ],
  );
  // The store has lost its tail, with the later life's opening.
  const doubted = tell({ type: "append_failed", epoch: epoch(1), error: new UnavailableError("TIMEOUT", "silent") });
  assert.equal(
    answersIn(doubted).map((one) => one.kind === "refused" && [one.requestId, one.error.code]),
    [[0, "STALE_PRODUCER_EPOCH"]],
  );
  assert.equal(kinds(tell({ type: "claimed", claim: claim(2) })), ["owned"]);
  assert.equal(
    answersIn(append(2)).map(({ kind }) => kind),
    ["refused"],
  );
  assert.equal(
    answersIn(tell({ ...request, requestId: 3, producerEpoch: 1 })).map(({ kind }) => kind),
    ["refused"],
  );
});

test("P3: after an unknown outcome it claims first, then writes the batches in flight before later ones", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "claimed", claim: claim(5) });
  append(0);
  append(1);
  const error = new UnavailableError("STORE_UNAVAILABLE", "away");
  assert.equal(kinds(tell({ type: "append_failed", epoch: epoch(5), error })), ["disowned", "claim"]);
  assert.equal(append(2), [], "nothing is written without an ownership");
  assert.equal(
    kinds(tell({ type: "appended", epoch: epoch(5), result: written(0) })),
    [],
    "a late answer counts for nothing",
  );
  const effects = tell({ type: "claimed", claim: claim(6) });
  const again = effects.find((effect) => effect.type === "append");
  assert.equal(again?.type === "append" && again.batches.map((one) => one.previousSequence?.[1]), [undefined, 0, 1]);
});

test("a failure of an epoch that has ended does not end the next one", () => {
  const { tell } = partitionUnderTest();
  tell({ type: "claimed", claim: claim(6) });
  const error = new FencedError("STALE_EPOCH", "old");
  assert.equal(tell({ type: "ownership_doubted", epoch: epoch(5), error }), []);
});

test("P6: a partition whose claim is refused for a higher grant stands down and refuses all waiting requests", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  append(0);
  const effects = tell({ type: "claim_failed", error: new FencedError("STALE_GRANT", "someone else") });
  const [answer] = answersIn(effects);
  assert.is(answer?.kind === "refused" && answer.error.code, "NOT_OWNER");
  assert.is(answersIn(append(1))[0]?.kind, "refused");
});

test("while the store is away claims are repeated with growing delays, and waiting requests are kept", () => {
  const { tell, append, state } = partitionUnderTest();
  tell({ type: "start" });
  append(0);
  const away = { type: "claim_failed", error: new UnavailableError("STORE_UNAVAILABLE", "away") } as const;
  const delays = Array.from({ length: 8 }, () => {
    const wait = tell(away).find((effect) => effect.type === "wait");
    return wait?.type === "wait" ? wait.delayMs : -1;
  });
  assert.equal(delays, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
  assert.is(state.pending.length, 1);
});

test("a sink whose fence is higher makes the partition claim an epoch above it", () => {
  const { tell } = partitionUnderTest();
  tell({ type: "claimed", claim: claim(5) });
  const effects = tell({ type: "fence_seen", epoch: epoch(40) });
  assert.equal(kinds(effects), ["disowned", "claim"]);
  assert.is(effects[1]?.type === "claim" && effects[1].atLeast, 41);
});

test("P5: retention takes no record that a configured consumer has not handled, even before its first report", () => {
  const { tell } = partitionUnderTest({ bytesMax: 100, consumers: ["sink/a"] });
  tell({ type: "claimed", claim: claim(5, 200) });
  assert.not(kinds(tell({ type: "sweep_due" })).includes("trim"));
  tell({ type: "consumer_at", consumer: "sink/a", channel: "records", offset: offset(30) });
  const trim = tell({ type: "sweep_due" }).find((effect) => effect.type === "trim");
  assert.is(trim?.type === "trim" && trim.beforeOffset, 30);
});

test("a partition that a lagging sink keeps full refuses appends, and the error names the sink", () => {
  const { tell, append } = partitionUnderTest({ bytesMax: 100, consumers: ["sink/slow"] });
  tell({ type: "claimed", claim: claim(5, 200) });
  tell({ type: "sweep_due" });
  const [answer] = answersIn(append(0));
  assert.match(answer?.kind === "refused" ? answer.error.message : "", /sink\/slow has not read/);
});

test("a stream that trims when full trims records that a lagging sink has not read, and accepts appends", () => {
  const { tell, append } = partitionUnderTest({ bytesMax: 100, onFull: "trim", consumers: ["sink/slow"] });
  tell({ type: "claimed", claim: claim(5, 200) });
  const trim = tell({ type: "sweep_due" }).find((effect) => effect.type === "trim");
  assert.is(trim?.type === "trim" && trim.beforeOffset, 100);
  assert.equal(kinds(append(0)), ["append"]);
});

test("P5: a consumer's report under an earlier claim does not count, because that tail may be lost", () => {
  const { state, tell } = partitionUnderTest({ bytesMax: 50, consumers: ["sink/a"] });
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(5, 100) });
  const report = { type: "consumer_at", consumer: "sink/a", channel: "records", offset: offset(90) } as const;
  tell({ ...report, epoch: epoch(5) });
  assert.ok(kinds(tell({ type: "sweep_due" })).includes("trim"));
  tell({ type: "ownership_doubted", epoch: epoch(5), error: new UnavailableError("STORE_UNAVAILABLE", "gone") });
  tell({ type: "claimed", claim: claim(6, 100) });
  tell({ ...report, epoch: epoch(5) });
  assert.not.ok(kinds(tell({ type: "sweep_due" })).includes("trim"));
  assert.is(state.consumers.size, 0);
});

test("P12: small events with long headers count with the bytes that the log stores for them", () => {
  const { tell, append } = partitionUnderTest({ bytesMax: 1_000 });
  tell({ type: "claimed", claim: claim(5) });
  append(0, 1);
  tell({ type: "appended", epoch: epoch(5), result: written(0, 1) });
  assert.not(kinds(tell({ type: "sweep_due" })).includes("trim"), "200 bytes of events");
  const stored = { epochs: [], firstOffset: offset(0), endOffset: offset(2), sizeBytes: 2_000 };
  const trim = (channels: object): unknown =>
    tell({ type: "described", epoch: epoch(5), ...channels } as PartitionMessage);
  assert.equal(trim({ channels: new Map([["records", stored]]) }), [
    { type: "trim", ownership: claim(5).ownership, channel: "records", beforeOffset: 1 },
  ]);
  assert.equal(trim({ channels: new Map([["rejected", stored]]), epoch: epoch(4) }), [], "of a former ownership");
  tell({
    type: "trimmed",
    epoch: epoch(5),
    channel: "records",
    bounds: { ...stored, firstOffset: offset(1), sizeBytes: 900 },
  });
  assert.equal(trim({ channels: new Map([["records", stored]]) }), [], "an answer from before the trim");
});

test("P12: the channel of rejected events is trimmed by size too, though the owner does not count its events", () => {
  const { tell } = partitionUnderTest({ bytesMax: 1_000 });
  tell({ type: "claimed", claim: claim(5) });
  const rejected = { epochs: [], firstOffset: offset(0), endOffset: offset(10), sizeBytes: 4_000 };
  const effects = tell({ type: "described", epoch: epoch(5), channels: new Map([["rejected", rejected]]) });
  assert.equal(effects, [{ type: "trim", ownership: claim(5).ownership, channel: "rejected", beforeOffset: 8 }]);
});

test("P12: the state of a pipeline is trimmed neither by size nor by age, and does not make the partition full", () => {
  const { tell, append, state } = partitionUnderTest({ bytesMax: 1_000, consumers: ["pipeline/count"] });
  tell({ type: "claimed", claim: claim(5) });
  tell({ type: "consumer_at", consumer: "pipeline/count", channel: "records", offset: offset(0) });
  const stored = { epochs: [], firstOffset: offset(0), endOffset: offset(10), sizeBytes: 4_000 };
  const channels = new Map([["state/count", stored] as const, ["rejected", stored] as const]);
  const trimmed = (effects: readonly PartitionEffect[]) =>
    effects.flatMap((effect) => (effect.type === "trim" ? [effect.channel] : []));
  assert.equal(trimmed(tell({ type: "described", epoch: epoch(5), channels })), ["rejected"]);
  assert.equal(trimmed(tell({ type: "sweep_due" })), ["rejected"]);
  const aged = (channel: Channel) => tell({ type: "aged", channel, beforeOffset: offset(10) });
  assert.equal([aged("rejected"), aged("state/count")].map(trimmed), [["rejected"], []]);
  assert.is(state.fullBecauseOf, undefined);
  assert.equal(kinds(append(0)), ["append"]);
});

test("P4: the answer to a trim never moves a channel's end back", () => {
  const { state, tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(5) });
  append(0, 1);
  tell({ type: "appended", epoch: epoch(5), result: written(0, 1) });
  const epochs = [{ epoch: epoch(5), firstOffset: offset(0) }];
  const bounds = { epochs, firstOffset: offset(1), endOffset: offset(1), sizeBytes: 0 };
  tell({ type: "trimmed", epoch: epoch(5), channel: "records", bounds });
  assert.is(state.channels.get("records")?.firstOffset, 1);
  assert.is(state.channels.get("records")?.endOffset, 2);
});

test("P8: the append in flight is answered before a partition is handed over, and new requests are refused", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(5) });
  append(0);
  append(1); // waits for the one in flight
  const leaving = tell({ type: "hand_over" });
  assert.equal(
    answersIn(leaving).map(({ requestId }) => requestId),
    [1],
  );
  assert.not(kinds(leaving).includes("handed_over"));
  const refused = answersIn(append(2))[0];
  assert.is(refused?.kind === "refused" && refused.error.code, "NOT_OWNER");
  const last = tell({ type: "appended", epoch: epoch(5), result: written(0) });
  assert.equal(kinds(last), ["committed", "reply", "disowned", "handed_over"]);
  assert.is(answersIn(last)[0]?.kind, "appended");
  assert.equal(tell({ type: "hand_over" }), []);
});

test("P8: an append whose outcome is unknown when its partition is handed over is answered NOT_OWNER", () => {
  const { tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(5) });
  append(0);
  tell({ type: "hand_over" });
  const error = new UnavailableError("TIMEOUT", "no answer");
  assert.equal(tell({ type: "append_failed", epoch: epoch(4), error }), []); // of an ownership before this one
  const effects = tell({ type: "append_failed", epoch: epoch(5), error });
  assert.equal(kinds(effects), ["disowned", "reply", "handed_over"]);
  const refused = answersIn(effects)[0];
  assert.is(refused?.kind === "refused" && refused.error.code, "NOT_OWNER");
  assert.equal(kinds(tell({ type: "claim_due" })), []);
});

test("P8: a claim that is answered after the partition was handed over makes no owner", () => {
  const { tell } = partitionUnderTest();
  tell({ type: "start" });
  assert.equal(kinds(tell({ type: "hand_over" })), ["disowned", "handed_over"]);
  assert.equal(tell({ type: "claimed", claim: claim(5) }), []);
});

test("P9: requests to a partition before its grant wait, and go in order once it is claimed", () => {
  const { tell, append } = partitionUnderTest({ grant: undefined });
  assert.equal(kinds(tell({ type: "start" })), ["wait"]);
  assert.equal(append(0), []);
  append(1);
  assert.equal(tell({ type: "granted", grant: { leaderEpoch: 3, tableVersion: 9 } }), [
    { type: "claim", grant: { leaderEpoch: 3, tableVersion: 9 }, atLeast: epoch(1) },
  ]);
  assert.equal(tell({ type: "granted", grant: { leaderEpoch: 3, tableVersion: 9 } }), []);
  const effects = tell({ type: "claimed", claim: claim(5) });
  const written = effects.find((effect) => effect.type === "append");
  assert.equal(written?.type === "append" && written.batches.map(({ sequences }) => sequences), [
    batch(0).sequences,
    batch(1).sequences,
  ]);
});

test("P9: a partition that was expected and is not granted refuses its waiting requests", () => {
  const { tell, append } = partitionUnderTest({ grant: undefined });
  tell({ type: "start" });
  append(0);
  const answer = answersIn(tell({ type: "hand_over" }))[0];
  assert.is(answer?.kind === "refused" && answer.error.code, "NOT_OWNER");
});

test("P11: a suspect batch stays suspect over the lives of the partition's actor", () => {
  const suspects: Suspects = new Map();
  suspect(suspects, [{ batch: batch(0) }, { batch: batch(1) }]);
  suspect(suspects, [{ batch: batch(1) }]);
  const state = createPartition(partition, { bytesMax: 1e9, ageMaxMs: 1e9, onFull: "refuse" }, [], GRANT, suspects);
  const tell = (message: PartitionMessage) => stepPartition(state, message, 1_000)[1];
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(1) });
  const items = [0, 1, 2].map((n) => ({ requestId: n, batch: batch(n) }));
  const effects = tell({ type: "append", items, replyTo });
  assert.equal(refusedIn(effects), [[1, "INVARIANT_VIOLATED"]]);
  assert.equal(requestsIn(effects), [[0]]);
  assert.equal(requestsIn(tell({ type: "appended", epoch: epoch(1), result: written(0) })), [[2]]);
});

test("requests that wait when the life of a partition's actor ends are answered NOT_READY", () => {
  const { state, tell, append } = partitionUnderTest();
  tell({ type: "start" });
  tell({ type: "claimed", claim: claim(1) });
  append(0);
  append(1);
  assert.equal(refusedIn(endLife(state)), [
    [0, "NOT_READY"],
    [1, "NOT_READY"],
  ]);
});

test.run();
