import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseEvents } from "../../../../actors/ingest/http/http_events.ts";
import { HttpIngest, type IngestRequest } from "../../../../actors/ingest/http/http_ingest.ts";
import type { Connect } from "../../../../protocols/connection.ts";
import { partitionOfKey } from "../../../../protocols/partitioner.ts";
import { UnreadableInput } from "../../../../protocols/values/unreadable.ts";
import type { HelloFrame } from "../../../../protocols/wire/frames.ts";
import { settle } from "../../../support/fakes/manual_clock.ts";
import { MemoryNetwork } from "../../../support/fakes/memory_connection.ts";
import { ModelNode } from "../../../support/fakes/model_node.ts";

const STREAMS = { readings: { partitions: 4, key: "/key", schemaVersions: [] } };

function setUp(answerWithinMs = 30_000, nowMs = Date.now) {
  const node = new ModelNode();
  const hellos: HelloFrame[] = [];
  const network = new MemoryNetwork((frame, bytes) => {
    if (frame.type === "hello") hellos.push(frame);
    return node.take(frame, bytes);
  });
  const directory = { describe: () => STREAMS };
  const principals: string[] = [];
  const connectFor = (principal: string) => {
    principals.push(principal);
    return network.connect;
  };
  const { connect } = network;
  const options = { node: "n", connect, connectFor, directory, newId: () => "instance", answerWithinMs, nowMs };
  const stored = () =>
    [...node.logs.values()]
      .flat()
      .map(({ event }) => event.n as number)
      .sort((left, right) => left - right);
  return { node, network, ingest: new HttpIngest(options), stored, principals, hellos, options };
}

/** Connections of which several may be open at a time. */
const connectTo =
  (node: ModelNode): Connect =>
  async (_address, events) => {
    let isOpen = true;
    const wireBytes = 100;
    return {
      bufferedBytes: 0,
      send: (frame) => {
        for (const answer of node.take(frame, wireBytes))
          queueMicrotask(() => isOpen && events.onFrame(answer, wireBytes));
        return wireBytes;
      },
      close: () => {
        isOpen = false;
      },
    };
  };

function requestOf(events: readonly object[], key?: string, owner?: string): IngestRequest {
  const payload = new TextEncoder().encode(JSON.stringify(events));
  const idempotency = key === undefined ? undefined : { key, subject: "me", owner, payload };
  return { stream: "readings", events: parseEvents("json", payload), traceparent: undefined, idempotency };
}

const numbered = (count: number) => Array.from({ length: count }, (_, n) => ({ n, key: `k${n}` }));
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);

const refusalOf = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => "taken",
    (error: { readonly code: string }) => error.code,
  );

test("K1: the key names the producer and the payload its instance, so another payload under the key is refused", async () => {
  const { ingest, stored, hellos } = setUp();
  await ingest.append(requestOf(numbered(2), "order-1"));
  assert.is((await ingest.append(requestOf(numbered(2), "order-1"))).isReplayed, true);
  assert.is(await refusalOf(ingest.append(requestOf(numbered(3), "order-1"))), "IDEMPOTENCY_KEY_REUSED");
  assert.equal(stored(), numbers(2));
  await refusalOf(ingest.append(requestOf(numbered(2), "order-2")));
  const [first, again, other, another] = hellos;
  assert.is(again?.producerId, first?.producerId);
  assert.is(other?.producerId, first?.producerId);
  assert.is(again?.instance, first?.instance);
  assert.is.not(other?.instance, first?.instance);
  assert.is.not(another?.producerId, first?.producerId);
  assert.is(another?.instance, first?.instance);
});

test("K3: requests with one key that run at the same time store each event once", async () => {
  const { node, stored, options } = setUp();
  const ingest = new HttpIngest({ ...options, connect: connectTo(node) });
  const answers = await Promise.all([1, 2, 3].map(() => ingest.append(requestOf(numbered(20), "order-1"))));
  assert.equal(
    answers.map(({ accepted }) => accepted),
    [20, 20, 20],
  );
  assert.equal(stored(), numbers(20));
});

test("K4: a node that stops answers the requests under way, and takes no new one", async () => {
  for (const key of ["order-1", undefined]) {
    const { node, ingest } = setUp();
    node.intercept = ({ stream, partition }) => ({ type: "moved", stream, partition });
    const underWay = ingest.append(requestOf(numbered(2), key));
    await settle();
    await ingest.close(50);
    assert.equal((await underWay).unknown, [0, 1]);
    assert.is(await refusalOf(ingest.append(requestOf(numbered(2), key))), "STOPPING");
  }
});

test("K2: a request with a partition that did not answer tells each partition's state, and a retry completes it once", async () => {
  const { node, ingest, stored } = setUp(100);
  const events = numbered(20);
  const away = partitionOfKey("k0", 4);
  const inAway = events.filter(({ key }) => partitionOfKey(key, 4) === away).map(({ n }) => n);
  node.intercept = ({ stream, partition }) => (partition === away ? { type: "moved", stream, partition } : undefined);
  const first = await ingest.append(requestOf(events, "order-1"));
  assert.equal(first.unknown, inAway);
  assert.is(first.accepted, 20 - inAway.length);
  assert.equal(
    first.partitions.map(({ partition, state }) => [partition, state]),
    [0, 1, 2, 3].map((partition) => [partition, partition === away ? "unknown" : "stored"]),
  );
  assert.is(first.isReplayed, false);
  node.intercept = () => undefined;
  const second = await ingest.append(requestOf(events, "order-1"));
  assert.is(second.accepted, 20);
  assert.is(second.isReplayed, false); // some of its events are new
  assert.equal(stored(), numbers(20));
  const third = await ingest.append(requestOf(events, "order-1"));
  assert.is(third.isReplayed, true);
  assert.equal({ ...third, isReplayed: false }, second);
  assert.equal(stored(), numbers(20));
});

test("K2: a retry is answered with the stored verdicts, not with newer ones", async () => {
  const { node, ingest } = setUp();
  node.rejects = ({ n }) => n === 3;
  const first = await ingest.append(requestOf(numbered(6), "k"));
  assert.equal(
    first.rejected.map(({ index }) => index),
    [3],
  );
  node.rejects = () => true;
  const again = await ingest.append(requestOf(numbered(6), "k"));
  assert.equal({ ...again, isReplayed: false }, first);
});

test("K2: the request's key gives events without a routing key their partition, so that a retry meets the same chain", async () => {
  const { node, ingest } = setUp();
  const events = numbers(10).map((n) => ({ n }));
  for (const _try of [1, 2]) await ingest.append(requestOf(events, "same"));
  const used = [...node.logs.values()].filter((log) => log.length > 0);
  assert.is(used.length, 1);
  assert.is(used[0]?.length, 10);
});

test("a partition's refusal is told at once, and the partition is not asked again until the time that it named", async () => {
  let nowMs = 0;
  const { node, ingest, stored } = setUp(30_000, () => nowMs);
  const events = numbered(20);
  const full = partitionOfKey("k0", 4);
  const inFull = events.filter(({ key }) => partitionOfKey(key, 4) === full).map(({ n }) => n);
  node.intercept = ({ stream, partition }) =>
    partition === full
      ? { type: "error", code: "STORE_FULL", message: "sink/a lags", retryAfterMs: 1_000, stream, partition }
      : undefined;
  const first = await ingest.append(requestOf(events, "order-1"));
  assert.equal([first.refused, first.unknown, first.accepted], [inFull, [], 20 - inFull.length]);
  assert.is(first.refusal?.code, "STORE_FULL");
  assert.is(first.partitions[full]?.state, "refused");
  const refusal = (request: IngestRequest) =>
    ingest.append(request).then(
      () => "taken",
      (error: { code: string; message: string }) => `${error.code} ${error.message}`,
    );
  const { appends } = node;
  assert.is(await refusal(requestOf(events, "order-1")), "STORE_FULL sink/a lags");
  assert.is(await refusal(requestOf([{ n: 100, key: "k0" }])), "STORE_FULL sink/a lags");
  assert.is(node.appends, appends, "nothing was sent");
  nowMs = 1_001;
  assert.equal((await ingest.append(requestOf(events, "order-1"))).refused, inFull);
  assert.ok(node.appends > appends, "asked again");
  nowMs = 2_002;
  node.intercept = () => undefined;
  assert.is((await ingest.append(requestOf(events, "order-1"))).accepted, 20);
  assert.equal(stored(), numbers(20));
});

test("a principal without a free place for its request with a key holds up no other request", async () => {
  const { node, ingest, stored, principals } = setUp();
  const [event] = numbered(1);
  const place = { stream: "readings", partition: partitionOfKey("k0", 4) };
  const refusal = { type: "error", code: "TOO_MANY_PRODUCERS", message: "its share", retryAfterMs: 5_000 } as const;
  node.intercept = () => ({ ...refusal, ...place });
  const refused = await ingest
    .append(requestOf([event!], "order-1", "alice"))
    .catch((error: { code: string }) => error);
  assert.is("code" in refused && refused.code, "TOO_MANY_PRODUCERS");
  node.intercept = () => undefined;
  assert.is((await ingest.append(requestOf([event!], "order-2", "bob"))).accepted, 1);
  assert.is((await ingest.append(requestOf([event!]))).accepted, 1);
  assert.equal(principals, ["alice", "bob"]);
  assert.equal(stored(), [0, 0]);
  await ingest.close();
});

test("lines are judged one by one, a list as a whole", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const lines = parseEvents("ndjson", bytes('{"a":1}\r\n\n{"a":1,"a":2}\n[1]\n{"b":{"$int":"x"}}\nnull\n{"c":2}'));
  assert.equal(
    lines.map(({ fault }) => fault?.code),
    [undefined, "MALFORMED_EVENT", "MALFORMED_EVENT", "MALFORMED_EVENT", "MALFORMED_EVENT", undefined],
  );
  assert.equal(
    lines[1]?.event,
    new UnreadableInput("a map must not have a key twice: current value is a", bytes('{"a":1,"a":2}')),
  );
  for (const text of ["", "[]", "{", '{"a":1}{"a":2}', `${"[".repeat(10_000)}1${"]".repeat(10_000)}`]) {
    assert.throws(() => parseEvents("json", bytes(text)), undefined, text.slice(0, 20));
  }
  assert.throws(() => parseEvents("json", new Uint8Array([0x22, 0xff, 0x22])), /UTF-8/);
});

test("an event with many values shares no batch with other events", () => {
  const small = { a: 1 };
  const large = { list: Array.from({ length: 2_000 }, (_, n) => n) };
  const text = JSON.stringify([small, large]);
  assert.equal(
    parseEvents("json", new TextEncoder().encode(text)).map(({ isBulky }) => isBulky),
    [false, true],
  );
});

test.run();
