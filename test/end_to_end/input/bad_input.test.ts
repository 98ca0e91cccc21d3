/**
 * Bad input to a running node, over its public ports. Each input gets a clear error, and no event is lost. Meanwhile a
 * good producer on its own connection is acknowledged in time.
 */
import { connect as connectSocket } from "node:net";
import { gzipSync } from "node:zlib";
import { pack } from "msgpackr";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { SESSION_LIMITS } from "../../../actors/ingest/session/session_state.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import { encodeFrame } from "../../../protocols/wire/codec.ts";
import {
  type AppendFrame,
  type ErrorFrame,
  type NodeFrame,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from "../../../protocols/wire/frames.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { cpuTimeMs } from "../../support/cpu_time.ts";
import { eventually, nodeOfEachTest, runningNode, type TestNode } from "../../support/processes/running_node.ts";

const YAML = `
log: { type: memory }
streams:
  good: { partitions: 2, key: /n, durability: memory }
  bad: { partitions: 2, durability: memory }
limits: { connectionsPerAddressMax: 400 }
`;

/** Most ms of processor time between an event of the good producer and its ack, with all other clients in the same process. */
const ACK_WITHIN_MS = 2_000;
const MEMORY_GROWTH_MAX_BYTES = 400_000_000;

interface Steady {
  readonly acked: number;
  readonly slowestMs: number;
  /** Resolves once `count` more events are acknowledged. */
  more(count: number): Promise<void>;
  stop(): Promise<number>;
}

/** Sends one event after the other, each once the last is acknowledged. */
function beginSteady(node: TestNode): Steady {
  const producer = node.producer({ producerId: "steady", stream: "good", lingerMs: 1 });
  let acked = 0;
  let slowestMs = 0;
  let isRunning = true;
  const running = (async () => {
    while (isRunning) {
      const startedMs = cpuTimeMs();
      const { kind } = await producer.sendAndConfirm({ n: acked });
      assert.is(kind, "stored");
      slowestMs = Math.max(slowestMs, cpuTimeMs() - startedMs);
      acked += 1;
    }
  })();
  return {
    get acked() {
      return acked;
    },
    get slowestMs() {
      return slowestMs;
    },
    async more(count) {
      const wanted = acked + count;
      await eventually(() => (acked >= wanted ? true : undefined));
    },
    async stop() {
      isRunning = false;
      await running;
      const { inDoubt } = await producer.close();
      assert.is(inDoubt.length, 0);
      return acked;
    },
  };
}

const node = nodeOfEachTest(test, YAML);
let steady: Steady;
/** A node of its own: among a thousand connections, one that has not sent hello gives its place to others. */
const quietNode = await runningNode(YAML);
const silent = await RawClient.open(quietNode.endpoint);
const silentSinceMs = performance.now();
const silentForMs = silent.closed.then(() => performance.now() - silentSinceMs);

/** A test beside a good producer, which is acknowledged in time before, meanwhile and after. Each of its events is stored once. */
function badInput(name: string, act: () => Promise<void>): void {
  test(name, async () => {
    steady = beginSteady(node);
    await steady.more(20);
    const memoryBefore = process.memoryUsage().rss;
    await act().finally(() => steady.more(20));
    const acked = await steady.stop();
    assert.ok(steady.slowestMs < ACK_WITHIN_MS, `slowest ack took ${steady.slowestMs} ms of processor time`);
    assert.equal(
      await storedNumbers(),
      Array.from({ length: acked }, (_, n) => n),
    );
    assert.ok(process.memoryUsage().rss - memoryBefore < MEMORY_GROWTH_MAX_BYTES);
  });
}

/** The numbers of the good producer's events in the log, in ascending order. */
async function storedNumbers(): Promise<number[]> {
  const numbers: number[] = [];
  for (let partition = 0; partition < 2; partition += 1) {
    for (let from = 0; ; ) {
      const path = `/v1/streams/good/partitions/${partition}/records?limit=1000&from=${from}`;
      const { records, endOffset } = (await (await fetch(`${node.address}${path}`)).json()) as {
        records: { event: { n: number } }[];
        endOffset: number;
      };
      numbers.push(...records.map(({ event }) => event.n));
      from += records.length;
      if (from >= endOffset) break;
    }
  }
  return numbers.sort((left, right) => left - right);
}

const isError = (frame: NodeFrame | undefined): frame is ErrorFrame => frame?.type === "error";

/** The error of a connection that sends this first, and its close code. */
async function refusalOf(data: Uint8Array | string, subprotocol = SUBPROTOCOL_MSGPACK as never): Promise<string> {
  const client = await RawClient.open(node.endpoint, subprotocol);
  client.raw(data);
  const frame = await client.next();
  const code = await client.closed;
  return `${isError(frame) ? frame.code : frame?.type} ${code}`;
}

const JSON_TEXT = SUBPROTOCOL_JSON as never;

badInput("unknown frames, wrong types and frames of the other side", async () => {
  assert.is(await refusalOf(pack({ type: "dance" })), "UNKNOWN_FRAME 1008");
  assert.is(await refusalOf('{"type":"dance"}', JSON_TEXT), "UNKNOWN_FRAME 1008");
  assert.is(await refusalOf(pack({ type: "hello", client: 5 })), "MALFORMED_FRAME 1008");
  assert.is(await refusalOf(pack([1, 2, 3])), "MALFORMED_FRAME 1008");
  assert.is(await refusalOf("[]", JSON_TEXT), "MALFORMED_FRAME 1008");
  assert.is(await refusalOf("no json", JSON_TEXT), "MALFORMED_FRAME 1008");
  assert.is(
    await refusalOf(encodeFrame({ type: "moved", stream: "bad", partition: 0 }, SUBPROTOCOL_MSGPACK)),
    "UNKNOWN_FRAME 1008",
  );
  const early = encodeFrame({ type: "open", stream: "bad", partition: 0, producerEpoch: 1 }, SUBPROTOCOL_MSGPACK);
  assert.is(await refusalOf(early), "HELLO_REQUIRED 1008");
});

badInput("truncated MessagePack, length bombs, millions of empty maps, depth 10,000", async () => {
  const hello = encodeFrame({ type: "hello", client: "c" }, SUBPROTOCOL_MSGPACK) as Uint8Array;
  assert.is(await refusalOf(hello.subarray(0, hello.length - 1)), "MALFORMED_FRAME 1008");
  for (const bomb of [
    [0xdd, 0xff, 0xff, 0xff, 0xff],
    [0xdf, 0xff, 0xff, 0xff, 0xff],
    [0xc6, 0xff, 0xff, 0xff, 0xff],
  ]) {
    assert.match(await refusalOf(new Uint8Array(bomb)), /^(MALFORMED_FRAME|FRAME_TOO_COMPLEX) 1008$/);
  }
  const emptyMaps = new Uint8Array(4_000_000).fill(0x80);
  emptyMaps.set([0xdd, 0x00, 0x3d, 0x08, 0xfb]);
  assert.is(await refusalOf(emptyMaps), "FRAME_TOO_COMPLEX 1008");
  assert.is(await refusalOf(new Uint8Array(5_000_000).fill(0x80)), "undefined 1009");
  assert.is(await refusalOf(new Uint8Array(10_000).fill(0x91)), "FRAME_TOO_COMPLEX 1008");
  assert.is(await refusalOf("[".repeat(10_000), JSON_TEXT), "FRAME_TOO_COMPLEX 1008");
});

let names = 0;
async function appender(partition = 0) {
  names += 1;
  const client = await RawClient.open(node.endpoint);
  const producerEpoch = await client.produceTo(`raw-${names}`, "bad", partition);
  const append = (events: Uint8Array, first: number, count: number, change: Partial<AppendFrame> = {}) =>
    client.ask({
      type: "append",
      stream: "bad",
      partition,
      producerEpoch,
      previousSequence: first === 0 ? null : ([0, first - 1, 0] as Sequence),
      sequences: { first: [0, first, 0], count },
      events,
      ...change,
    });
  return { client, append, producerEpoch };
}

const plain = (...events: unknown[]) => encodeEvents(events, { asRecords: false });
const codeOf = (frame: NodeFrame | undefined) => (isError(frame) ? frame.code : frame?.type);

badInput("a bad event is set aside alone: the other events of its batch are stored", async () => {
  const { client, append } = await appender();
  const good = pack({ fine: true });
  const wrong: Record<string, Uint8Array> = {
    "not a number": new Uint8Array([0x81, 0xa1, 0x61, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]),
    infinity: new Uint8Array([0x81, 0xa1, 0x61, 0xca, 0x7f, 0x80, 0, 0]),
    "invalid UTF-8": new Uint8Array([0x81, 0xa1, 0x61, 0xa2, 0xff, 0xfe]),
    "a key twice": new Uint8Array([0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2]),
    "a key __proto__": pack(JSON.parse('{"__proto__":{"polluted":true}}')),
    "no map": pack([1]),
    "an unknown extension": new Uint8Array([0x81, 0xa1, 0x61, 0xd4, 0x55, 0x01]),
  };
  let first = 0;
  for (const [what, bytes] of Object.entries(wrong)) {
    const events = Buffer.concat([Buffer.from([0x93]), good, bytes, good]);
    const ack = await append(events, first, 3);
    assert.is(ack?.type, "ack", `${what}: ${JSON.stringify(ack)}`);
    const verdicts = ack?.type === "ack" ? ack.verdicts : [];
    assert.equal(
      verdicts?.map(({ code, sequence }) => [code, sequence[1]]),
      [["MALFORMED_EVENT", first + 1]],
      what,
    );
    first += 3;
  }
  assert.is(({} as { polluted?: boolean }).polluted, undefined);
  const large = await append(plain({ a: 1 }, { text: "x".repeat(1_100_000) }), first, 2);
  assert.is(large?.type === "ack" && large.verdicts?.[0]?.code, "EVENT_TOO_LARGE");
  client.end();
});

badInput("bad batches: empty, over the limit, miscounted, to an unknown partition, of a stale epoch", async () => {
  const { client, append, producerEpoch } = await appender();
  assert.is(codeOf(await append(plain(), 0, 0)), "EMPTY_BATCH");
  const many = plain(...Array.from({ length: 10_001 }, () => ({})));
  assert.is(codeOf(await append(many, 0, 10_001)), "BATCH_TOO_LARGE");
  assert.is(codeOf(await append(plain({}), 0, 2)), "MALFORMED_FRAME");
  assert.is(codeOf(await append(new Uint8Array([0x91]), 0, 1)), "MALFORMED_FRAME");
  assert.is(codeOf(await append(plain({}), 0, 1, { stream: "nowhere" })), "UNKNOWN_STREAM");
  assert.is(codeOf(await append(plain({}), 0, 1, { stream: "__proto__" })), "UNKNOWN_STREAM");
  assert.is(codeOf(await append(plain({}), 0, 1, { partition: 2 })), "UNKNOWN_PARTITION");
  assert.is(codeOf(await append(plain({}), 0, 1, { partition: 1 })), "UNKNOWN_PRODUCER");
  assert.is(codeOf(await append(plain({}), 0, 1, { producerEpoch: producerEpoch - 1 })), "STALE_PRODUCER_EPOCH");
  assert.is(codeOf(await append(plain({}), 0, 1, { schemaVersion: 99 })), "ack"); // a stream without a schema has no versions
  assert.is(codeOf(await append(plain({}), 1, 1)), "ack");
  client.end();
});

badInput("gaps, repeated and reordered sequences: nothing is stored twice, nothing is skipped", async () => {
  const { client, append } = await appender(1);
  const one = (n: number) => plain({ n });
  assert.is(codeOf(await append(one(0), 0, 1)), "ack");
  const gap = await append(one(2), 2, 1);
  assert.equal(gap?.type === "gap" && gap.storedSequence, [0, 0, 0]);
  assert.is(codeOf(await append(one(1), 1, 1)), "ack");
  assert.is(codeOf(await append(one(2), 2, 1)), "ack");
  for (const n of [2, 0, 1]) assert.is(codeOf(await append(one(n), n, 1)), "ack");
  const overlap = await append(plain({ n: 2 }, { n: 3 }), 2, 2);
  assert.is(overlap?.type, "gap");
  const path = `/v1/streams/bad/partitions/1/records?limit=1000`;
  const { records } = (await (await fetch(`${node.address}${path}`)).json()) as {
    records: { event: { n: number }; producerId: string }[];
  };
  const own = records.filter(({ producerId }) => producerId === `raw-${names}`);
  assert.equal(
    own.map(({ event }) => event.n),
    [0, 1, 2],
  );
  client.end();
});

badInput("a client that sends beyond its credit, and one that never reads its acks", async () => {
  const { client, producerEpoch } = await appender();
  const events = plain({ text: "x".repeat(900_000) });
  client.socket.pause(); // from here on it reads nothing
  for (let n = 0; n < 40; n += 1) {
    client.send({
      type: "append",
      stream: "bad",
      partition: 0,
      producerEpoch,
      previousSequence: n === 0 ? null : [0, n - 1, 0],
      sequences: { first: [0, n, 0], count: 1 },
      events,
    });
  }
  await steady.more(50);
  client.end();
});

badInput("a thousand connections at once: each is taken or told to come back", async () => {
  const outcomes = await Promise.all(
    Array.from(
      { length: 1_000 },
      () =>
        new Promise<string>((resolve) => {
          const socket = new WebSocket(node.endpoint, SUBPROTOCOL_MSGPACK);
          socket.on("unexpected-response", (_request, response) => {
            resolve(`${response.statusCode} ${response.headers["retry-after"]}`);
            response.destroy();
          });
          socket.on("error", (error) => resolve(error.message));
          socket.on("open", () => {
            resolve("open");
            setTimeout(() => socket.terminate(), 200);
          });
        }),
    ),
  );
  const counts = new Map<string, number>();
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const unclear = [...counts.keys()].filter((outcome) => outcome !== "open" && outcome !== "503 2");
  assert.equal(unclear, []);
  await eventually(async () => {
    const client = await RawClient.open(node.endpoint).catch(() => undefined);
    client?.end();
    return client === undefined ? undefined : true;
  });
});

const upgradeWith = (headers: Readonly<Record<string, string>>, protocols: string | undefined = SUBPROTOCOL_MSGPACK) =>
  new Promise<string>((resolve) => {
    const socket = new WebSocket(node.endpoint, protocols, { headers });
    socket.on("unexpected-response", (_request, response) => {
      let body = "";
      response.on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve(`${response.statusCode} ${JSON.parse(body).code}`));
    });
    socket.on("error", (error) => resolve(error.message));
    socket.on("open", () => {
      socket.terminate();
      resolve("open");
    });
  });

badInput("upgrades with a wrong subprotocol, a foreign Host or Origin", async () => {
  assert.is(await upgradeWith({}, "mqtt"), "400 UNSUPPORTED_PROTOCOL");
  assert.is(await upgradeWith({ host: "evil.example" }), "403 HOST_REFUSED");
  assert.is(await upgradeWith({ origin: "https://evil.example" }), "403 ORIGIN_REFUSED");
  assert.is(await upgradeWith({}), "open");
  const { status } = await fetch(`${node.address}/v1/streams`, { headers: { origin: "https://evil.example" } });
  assert.is(status, 403);
});

badInput("a producer that calls itself by a name of the node's own parts", async () => {
  for (const producerId of ["source/metrics", "http/key", "pipeline/derive/good/0", "sink/files/0", "ingest/test/0"]) {
    const client = await RawClient.open(node.endpoint);
    const answer = await client.ask({ type: "hello", client: "c", producerId, instance: "i" });
    assert.is(codeOf(answer), "FORBIDDEN", producerId);
    client.end();
  }
});

badInput("requests that never end, cut-off requests, compressed bombs", async () => {
  const sockets = Array.from({ length: 50 }, () => {
    const socket = connectSocket(node.port, "127.0.0.1");
    socket.on("error", () => undefined); // the test expects its end
    socket.write("POST /v1/streams/bad/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
    return socket;
  });
  for (const [index, socket] of sockets.entries()) if (index % 2 === 0) socket.write('Content-Length: 100\r\n\r\n{"a"');
  const bomb = gzipSync(Buffer.alloc(100_000_000));
  const send = async () => {
    const response = await fetch(`${node.address}/v1/streams/bad/events`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
      body: bomb as never,
    });
    return response.status;
  };
  assert.is(await send(), 413);
  // Together they exceed the bytes that one client may inflate at a time (http memory H6): some are told to come later.
  for (const status of await Promise.all([send(), send(), send()])) assert.ok([413, 429].includes(status), `${status}`);
  await steady.more(20);
  for (const socket of sockets) socket.destroy();
});

badInput("a clock that is set back by an hour changes nothing", async () => {
  const real = Date.now;
  Date.now = () => real() - 3_600_000;
  try {
    await steady.more(50);
    for (const life of [1, 2]) {
      const producer = node.producer({ producerId: "clock", stream: "bad" });
      for (let n = 0; n < 50; n += 1) assert.is((await producer.sendAndConfirm({ life, n })).kind, "stored");
      await producer.close();
    }
  } finally {
    Date.now = real;
  }
});

test("a connection without a token is refused when it sends hello", async () => {
  const closed = await runningNode(
    `${YAML}\nsecurity: { tokens: [{ name: w, valueEnv: W, scopes: ["produce:good"] }] }\n`,
    { secrets: { W: "w".repeat(32) } },
  );
  const client = await RawClient.open(closed.endpoint);
  assert.is(codeOf(await client.ask({ type: "hello", client: "c" })), "UNAUTHENTICATED");
  const bearer = await RawClient.open(closed.endpoint, SUBPROTOCOL_MSGPACK, {
    authorization: `Bearer ${"w".repeat(32)}`,
  });
  assert.is(codeOf(await bearer.ask({ type: "hello", client: "c", producerId: "p", instance: "i" })), "welcome");
  const welcome = await bearer.ask({ type: "open", stream: "bad", partition: 0, producerEpoch: 1 });
  assert.is(codeOf(welcome), "UNKNOWN_STREAM", "it shows nothing of the stream");
  client.end();
  bearer.end();
  await closed.end();
});

test("a connection that never sends hello is told so and ended", async () => {
  assert.is(codeOf(await silent.next()), "TIMEOUT");
  assert.is(await silent.closed, 1013);
  const afterMs = await silentForMs;
  const limitMs = SESSION_LIMITS.helloWithinMs;
  assert.ok(afterMs > limitMs - 100 && afterMs < limitMs + 5_000, `ended after ${afterMs} ms, its limit is ${limitMs}`);
  await quietNode.end();
});

test.run();
