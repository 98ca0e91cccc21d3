import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { WebSocket, WebSocketServer } from "ws";
import {
  type ClientFrame,
  ConfigurationError,
  type ConnectionState,
  Consumer,
  connectWebSocket,
  decodeFrame,
  encodeFrame,
  FencedError,
  type NodeFrame,
  Producer,
  RejectedError,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
  type Subprotocol,
  UnavailableError,
  type WebSocketConstructor,
  wireBytes,
} from "../../../protocols/mod.ts";
import { ModelNode } from "../../support/fakes/model_node.ts";
import { ModelStream } from "../../support/fakes/model_stream.ts";

const webSocket = WebSocket as unknown as WebSocketConstructor;
const NO_EVENTS = { onFrame: () => undefined, onClose: () => undefined };

async function serve(answer: (frame: ClientFrame, bytes: number) => NodeFrame[]) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
  await once(server, "listening");
  server.on("connection", (socket) => {
    const subprotocol = socket.protocol as Subprotocol;
    socket.on("message", (data: Buffer) => {
      const frame = decodeFrame(data, subprotocol) as ClientFrame;
      for (const reply of answer(frame, data.length)) socket.send(encodeFrame(reply, subprotocol));
    });
  });
  const { port } = server.address() as AddressInfo;
  const cut = () => {
    for (const socket of server.clients) socket.terminate();
  };
  const close = async () => {
    cut();
    server.close();
    await once(server, "close");
  };
  return { server, address: `ws://127.0.0.1:${port}/v1/connect`, cut, close };
}

for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
  test(`a producer stores every event once over ${subprotocol}, though connections break`, async () => {
    const node = new ModelNode();
    const { address, cut, close } = await serve((frame, bytes) => node.take(frame, bytes));
    const producer = new Producer({
      connect: connectWebSocket({ subprotocol, webSocket }),
      addresses: [address],
      producerId: "p",
      stream: "readings",
      batchEventsMax: 20,
      lingerMs: 1,
    });
    for (let n = 0; n < 2_000; n++) {
      await producer.send({ n, key: `k${n % 7}`, big: 2n ** 60n });
      if (n % 500 === 250) {
        cut();
        await producer.flush();
      }
    }
    const { inDoubt } = await producer.close();
    assert.equal(inDoubt, []);
    const stored = [...node.logs.values()].map((log) => log.map(({ event }) => event.n as number));
    assert.equal(
      stored.flat().sort((left, right) => left - right),
      Array.from({ length: 2_000 }, (_, n) => n),
    );
    for (const log of stored)
      assert.equal(
        log,
        [...log].sort((left, right) => left - right),
      );
    assert.is(node.logs.values().next().value?.[0]?.event.big, 2n ** 60n);
    await close();
  });

  test(`a consumer reads everything once over ${subprotocol}, though connections break`, async () => {
    const stream = new ModelStream(2);
    for (let n = 0; n < 1_000; n += 5)
      stream.append(
        (n / 5) % 2,
        Array.from({ length: 5 }, (_, index) => ({ n: n + index })),
      );
    const { address, cut, close } = await serve((frame) => stream.take(frame));
    const consumer = new Consumer({ connect: connectWebSocket({ subprotocol, webSocket }), addresses: [address] });
    const seen: number[] = [];
    for await (const item of consumer.subscribe({ stream: "readings", from: "earliest", windowBytes: 5_000 })) {
      if (item.kind === "records") seen.push(...item.records.map(({ event }) => event.n as number));
      if (seen.length === 300) cut();
      if (seen.length >= 1_000) break;
    }
    assert.equal(
      seen.sort((left, right) => left - right),
      Array.from({ length: 1_000 }, (_, n) => n),
    );
    consumer.close();
    await close();
  });
}

test("credit counts the bytes on the wire", async () => {
  let received = 0;
  const { address, close } = await serve((_frame, bytes) => {
    received = bytes;
    return [{ type: "credit", creditBytes: 5 }];
  });
  for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
    const answered = new Promise<number>((resolve) => {
      const events = { onFrame: (_frame: NodeFrame, bytes: number) => resolve(bytes), onClose: () => undefined };
      void connectWebSocket({ subprotocol, webSocket })(address, events, new AbortController().signal).then(
        (connection) => {
          const sent = connection.send({ type: "hello", client: "größe" });
          void answered.then(() => {
            assert.is(received, sent);
            connection.close();
          });
        },
      );
    });
    assert.is(await answered, wireBytes(encodeFrame({ type: "credit", creditBytes: 5 }, subprotocol)));
  }
  await close();
});

test("no answer within the time is a timeout, an abort ends the attempt, no listener is unavailable", async () => {
  const { createServer } = await import("node:net");
  const mute = createServer(() => undefined);
  mute.listen(0, "127.0.0.1");
  await once(mute, "listening");
  const { port } = mute.address() as AddressInfo;
  const address = `ws://127.0.0.1:${port}/v1/connect`;
  const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket, connectTimeoutMs: 50 });
  const refusal = (attempt: Promise<unknown>) =>
    attempt.then(
      () => "connected",
      (error: { code: string }) => error.code,
    );
  assert.is(await refusal(connect(address, NO_EVENTS, new AbortController().signal)), "TIMEOUT");
  assert.is(await refusal(connect(address, NO_EVENTS, AbortSignal.abort())), "CONNECTION_LOST");
  mute.close();
  assert.is(await refusal(connect("ws://127.0.0.1:1/", NO_EVENTS, new AbortController().signal)), "CONNECTION_LOST");
});

test("the reason of a close tells whether the client may try again", async () => {
  const cases = [
    [4000, "PRODUCER_FENCED: another instance", FencedError],
    [4000, "UNAUTHENTICATED: token expired", RejectedError],
    [1008, "policy", RejectedError],
    [1001, "going away", UnavailableError],
    [4000, "STOPPING: node is stopping", UnavailableError],
  ] as const;
  for (const [code, reason, expected] of cases) {
    const { server, address, close } = await serve(() => []);
    server.on("connection", (socket) => socket.close(code, reason));
    const error = await new Promise<Error | undefined>((resolve) => {
      const events = { onFrame: () => undefined, onClose: resolve };
      void connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket })(
        address,
        events,
        new AbortController().signal,
      );
    });
    assert.instance(error, expected, reason);
    await close();
  }
});

test("a message that is no frame ends the connection, an unknown frame does not", async () => {
  const { server, address, close } = await serve(() => []);
  server.on("connection", (socket) => {
    socket.send(Uint8Array.from(Buffer.from("81a474797065a573686f7574", "hex")));
    socket.send(encodeFrame({ type: "credit", creditBytes: 1 }, SUBPROTOCOL_MSGPACK));
    socket.send(Uint8Array.from([0xc1]));
  });
  const seen: string[] = [];
  const error = await new Promise<Error | undefined>((resolve) => {
    void connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket })(
      address,
      { onFrame: ({ type }) => seen.push(type), onClose: resolve },
      new AbortController().signal,
    );
  });
  assert.equal(seen, ["credit"]);
  assert.instance(error, UnavailableError);
  await close();
});

/** Answers every upgrade with a status, until `status` is undefined: then the model node answers. */
async function serveStatus(first: number) {
  const node = new ModelNode();
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer();
  const state: { status: number | undefined; upgrades: number } = { status: first, upgrades: 0 };
  server.on("upgrade", (request, socket: Duplex, head) => {
    state.upgrades += 1;
    if (state.status !== undefined) {
      socket.end(`HTTP/1.1 ${state.status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (open) => {
      open.on("message", (data: Buffer) => {
        const frame = decodeFrame(data, SUBPROTOCOL_MSGPACK) as ClientFrame;
        for (const reply of node.take(frame, data.length)) open.send(encodeFrame(reply, SUBPROTOCOL_MSGPACK));
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    for (const open of sockets.clients) open.terminate();
    server.close();
    await once(server, "close");
  };
  return { address: `ws://127.0.0.1:${port}/v1/connect`, state, close };
}

for (const [status, code] of [
  [400, "UNSUPPORTED_PROTOCOL"],
  [401, "UNAUTHENTICATED"],
  [403, "FORBIDDEN"],
  [404, "UNSUPPORTED_PROTOCOL"],
] as const) {
  test(`an upgrade answered with ${status} ends the producer and the consumer with the reason`, async () => {
    const { address, state, close } = await serveStatus(status);
    const states: ConnectionState[] = [];
    const onState = (state: ConnectionState) => states.push(state);
    const about = {
      ...{ connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket }), addresses: [address], onState },
    };
    const producer = new Producer({ ...about, producerId: "p", stream: "readings" });
    await producer.send({ n: 0 });
    const error = await producer.flush().catch((reason: unknown) => reason);
    assert.ok(error instanceof RejectedError && error.code === code);
    assert.match(error.message, new RegExp(`answered ${status}`));
    const { inDoubt } = await producer.close();
    assert.equal(
      inDoubt.map(({ wasSent }) => wasSent),
      [false],
    );
    assert.is(states.at(-1)?.lastError, error);
    const items = new Consumer(about).subscribe({ stream: "readings" });
    assert.is(((await items.next().catch((reason: { code: string }) => reason)) as { code: string }).code, code);
    assert.is(state.upgrades, 2);
    await close();
  });
}

test("an upgrade answered with 503 is tried again until the node takes it", async () => {
  const { address, state, close } = await serveStatus(503);
  const states: ConnectionState[] = [];
  const producer = new Producer({
    connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket }),
    ...{ addresses: [address], producerId: "p", stream: "readings" },
    onState: (told) => {
      states.push(told);
      if (told.state === "waiting" && told.attempt === 2) state.status = undefined;
    },
  });
  assert.is((await producer.sendAndConfirm({ n: 0, key: "k" })).kind, "stored");
  assert.match(String(states[1]?.lastError), /Unexpected server response: 503/);
  await producer.close();
  await close();
});

test("options of a connection that can never work fail when the client is made", () => {
  const make =
    (address: string, options: Partial<Parameters<typeof connectWebSocket>[0]> = {}) =>
    () =>
      new Producer({
        connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket, ...options }),
        ...{ addresses: [address], producerId: "p" },
      });
  const cases: readonly (readonly [() => unknown, RegExp])[] = [
    [make("localhost:7070"), /must be a URL of ws:\/\/ or wss:\/\/ .*: current value is localhost:7070/],
    [make("http://localhost:7070"), /current value is http:/],
    [make(""), /must be a URL/],
    [make("ws://"), /must be a URL/],
    [make("ws://node/v1/connect#part"), /without a fragment/],
    [make("ws://node", { subprotocol: "headrace.v9" as never }), /subprotocol must be one of headrace.v1.msgpack/],
  ];
  for (const [attempt, reason] of cases)
    assert.throws(attempt, (error: Error) => error instanceof ConfigurationError && reason.test(error.message));
  const consumer = () =>
    new Consumer({ connect: connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK, webSocket }), addresses: ["node"] });
  assert.throws(consumer, (error: Error) => error instanceof ConfigurationError);
});

test("a runtime without a WebSocket constructor is told when the client is made", () => {
  const own = globalThis.WebSocket;
  try {
    Reflect.deleteProperty(globalThis, "WebSocket");
    const connect = connectWebSocket({ subprotocol: SUBPROTOCOL_MSGPACK });
    const make = () => new Producer({ connect, addresses: ["ws://node/v1/connect"], producerId: "p" });
    assert.throws(make, /a WebSocket constructor must be given/);
  } finally {
    if (own !== undefined) globalThis.WebSocket = own;
  }
});

test.run();
