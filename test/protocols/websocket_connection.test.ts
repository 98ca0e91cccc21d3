import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { WebSocket, WebSocketServer } from "ws";
import {
  type ClientFrame,
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
} from "../../protocols/mod.ts";
import { ModelNode } from "../support/model_node.ts";
import { ModelStream } from "../support/model_stream.ts";

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

test("the wire's bytes are what credit is counted in", async () => {
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

test("a close says by its reason what may be tried again", async () => {
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

test("what a node sends that is no frame ends the connection, an unknown frame does not", async () => {
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

test.run();
