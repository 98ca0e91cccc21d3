/**
 * The node ignores an upgrade that it does not take, and answers the request: over raw sockets, with the bytes that
 * clients send.
 */
import { connect, type Socket } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const node = nodeOfEachTest(test, "log: { type: memory }\nstreams: { s: { partitions: 1, durability: memory } }\n");

const WISH = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n";
const HOST = "Host: 127.0.0.1\r\n";
const BODY = '{"n":1}';
const get = (wish = "", path = "/healthz") => `GET ${path} HTTP/1.1\r\n${HOST}${wish}\r\n`;
const postHead = `POST /v1/streams/s/events HTTP/1.1\r\n${HOST}${WISH}Content-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n`;

/** A connection whose answers are taken one by one. */
function opened() {
  const socket: Socket = connect(node.port, "127.0.0.1");
  let text = "";
  let onMore = () => {};
  let isOver = false;
  socket.setEncoding("latin1");
  socket.on("data", (more) => {
    text += more;
    onMore();
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    isOver = true;
    onMore();
  });
  const answer = async (): Promise<{ status: number; body: string }> => {
    for (;;) {
      const head = /^HTTP\/1\.1 (\d+)[\s\S]*?\r\n\r\n/.exec(text);
      const length = Number(/content-length: (\d+)/i.exec(head?.[0] ?? "")?.[1] ?? 0);
      const end = (head?.[0].length ?? 0) + length;
      if (head !== null && text.length >= end) {
        const body = text.slice(head[0].length, end);
        text = text.slice(end);
        return { status: Number(head[1]), body };
      }
      if (isOver) throw new Error(`the connection ended after ${JSON.stringify(text)}`);
      await new Promise<void>((resolve) => {
        onMore = resolve;
      });
    }
  };
  return { socket, answer };
}

test("a GET that asks for HTTP/2 is answered, and so are those after it on its connection, pipelined or not", async () => {
  const { socket, answer } = opened();
  for (let at = 0; at < 20; at += 1) {
    socket.write(get(WISH));
    assert.is((await answer()).status, 200);
    socket.write(get());
    assert.is((await answer()).status, 200);
  }
  socket.write(get(WISH, "/metrics"));
  const counts = [...(await answer()).body.matchAll(/^headrace_connections\{.*\} (\d+)/gm)].map(([, count]) =>
    Number(count),
  );
  assert.is(
    counts.reduce((sum, count) => sum + count, 0),
    1,
    "a connection that is read anew counts once",
  );
  socket.write(get("", "/openapi.json") + get(WISH) + get("", "/none"));
  assert.equal([(await answer()).status, (await answer()).status, (await answer()).status], [200, 200, 404]);
  socket.destroy();
});

test("a POST that asks for HTTP/2 keeps its body, in one write or in later ones", async () => {
  const { socket, answer } = opened();
  const stored = async () => {
    const { status, body } = await answer();
    assert.is(status, 200, body);
  };
  socket.write(postHead + BODY);
  await stored();
  socket.write(postHead);
  await new Promise((resolve) => socket.write(BODY.slice(0, 3), resolve));
  socket.write(BODY.slice(3));
  await stored();
  socket.write(get());
  await stored();
  socket.destroy();
});

test("an upgrade to a WebSocket is taken, and one at another path is refused with a reason", async () => {
  const taken = new WebSocket(node.endpoint, "headrace.v1.json");
  await new Promise((resolve, reject) => taken.once("open", resolve).once("error", reject));
  taken.terminate();
  const { socket, answer } = opened();
  socket.write(get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "/elsewhere"));
  const { status, body } = await answer();
  assert.is(status, 404);
  assert.is(JSON.parse(body).code, "NOT_FOUND");
});

test("a head with more headers than the server reads is refused: its body could be taken for a further request", async () => {
  const { socket, answer } = opened();
  socket.write(get(`${WISH}${"a:b\r\n".repeat(1_100)}`));
  const { status, body } = await answer();
  assert.is(status, 431);
  assert.is(JSON.parse(body).code, "FRAME_TOO_LARGE");
});

test("a client that ends its side after asking for HTTP/2 gets all its answers", async () => {
  const { socket, answer } = opened();
  socket.end(get("", "/openapi.json") + get(WISH));
  assert.equal([(await answer()).status, (await answer()).status], [200, 200]);
});

test("an unknown expectation and a malformed handshake are refused with a code", async () => {
  for (const [wish, path, wanted] of [
    ["Expect: foo\r\n", "/healthz", 417],
    [
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: headrace.v1.json\r\nSec-WebSocket-Key: bad\r\n",
      "/v1/connect",
      400,
    ],
  ] as const) {
    const { socket, answer } = opened();
    socket.write(get(wish, path));
    const { status, body } = await answer();
    assert.is(status, wanted);
    assert.is(JSON.parse(body).code, "MALFORMED_FRAME");
    socket.destroy();
  }
});

test("a request of HTTP/1.1 without a host is refused with a code, and its connection ends", async () => {
  const handshake =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  for (const [request, fields] of [
    ["GET /healthz", ""],
    ["GET /no/such/route", ""],
    ["GET /healthz", WISH],
    ["GET /v1/connect", handshake],
    ["POST /v1/streams/s/events", `Content-Type: application/json\r\nContent-Length: ${BODY.length}\r\n`],
  ] as const) {
    const { socket, answer } = opened();
    const ended = new Promise((resolve) => socket.once("close", resolve));
    socket.write(`${request} HTTP/1.1\r\n${fields}\r\n${request.startsWith("POST") ? BODY : ""}`);
    const { status, body } = await answer();
    assert.is(status, 400, request);
    const { code, message } = JSON.parse(body) as { code: string; message: string };
    assert.is(code, "MALFORMED_FRAME");
    assert.match(message, /header Host: it has none/);
    await ended;
  }
});

test("a request with two hosts is refused, as a proxy before the node may have used the other one", async () => {
  for (const [head, reason] of [
    [`GET /healthz HTTP/1.1\r\n${HOST}Host: evil.example\r\n`, /one header Host: it has 2/],
    [`GET http://evil.example/healthz HTTP/1.1\r\n${HOST}`, /target must be a path/],
  ] as const) {
    const { socket, answer } = opened();
    socket.write(`${head}\r\n`);
    const { status, body } = await answer();
    assert.is(status, 400);
    assert.match((JSON.parse(body) as { message: string }).message, reason);
    socket.destroy();
  }
});

test.run();
