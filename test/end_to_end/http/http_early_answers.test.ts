/** Requests that are answered before their body has come: the client gets the answer, and the connection ends. */
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const node = nodeOfEachTest(test, "log: { type: memory }\nstreams: { s: { partitions: 1, durability: memory } }\n");

const BODY_BYTES = 40_000_000;
const PIECE = Buffer.alloc(100_000, 0x20);

/** Sends a head and a body of spaces, and answers what came back until the connection ended. */
async function exchange(head: string, bodyBytes: number, isChunked = false): Promise<string> {
  const socket = connect(node.port, "127.0.0.1");
  let answer = "";
  socket.on("data", (bytes) => (answer += bytes));
  let failure: Error | undefined;
  socket.on("error", (error) => (failure = error));
  const closed = once(socket, "close");
  socket.write(
    `${head}\r\nHost: localhost\r\n${isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${BODY_BYTES}`}\r\n\r\n`,
  );
  for (let sent = 0; sent < bodyBytes && !socket.destroyed; sent += PIECE.length) {
    if (isChunked) socket.write(`${PIECE.length.toString(16)}\r\n`);
    const isTaken = socket.write(PIECE);
    if (isChunked) socket.write("\r\n");
    if (!isTaken) await Promise.race([once(socket, "drain"), closed]);
  }
  if (isChunked) socket.write("0\r\n\r\n");
  await closed;
  assert.is(failure?.message, undefined, answer);
  return answer;
}

const JSON_TYPE = "Content-Type: application/json";
const REFUSED = {
  "a body that is too large": ["POST /v1/streams/s/events", JSON_TYPE, 413],
  "a media type that is not taken": ["POST /v1/streams/s/events", "Content-Type: image/png", 415],
  "a route that is not there": ["POST /nowhere", JSON_TYPE, 413],
} as const;
for (const [what, [route, type, status]] of Object.entries(REFUSED)) {
  test(`a client that sends 40 MB reads the answer to ${what}`, async () => {
    for (const isChunked of [false, true]) {
      const answer = await exchange(`${route} HTTP/1.1\r\n${type}`, BODY_BYTES, isChunked);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(answer, /connection: close/i);
    }
  });
}

test("a client that was answered and never sends the rest is left after some seconds", async () => {
  const answer = await exchange(`POST /v1/streams/s/events HTTP/1.1\r\n${JSON_TYPE}`, PIECE.length);
  assert.match(answer, /^HTTP\/1\.1 413 /);
});

test("a client that ends its side after its request gets the answer, though that takes time", async () => {
  const body = '{"n":1}';
  for (const [request, shown] of [
    [`POST /v1/streams/s/events HTTP/1.1\r\n${JSON_TYPE}\r\nContent-Length: ${body.length}`, /"accepted":1/],
    ["GET /openapi.json HTTP/1.1", /"openapi":"3/],
  ] as const) {
    const socket = connect(node.port, "127.0.0.1");
    let answer = "";
    socket.on("data", (bytes) => (answer += bytes));
    socket.end(`${request}\r\nHost: localhost\r\n\r\n${request.startsWith("POST") ? body : ""}`);
    await once(socket, "close");
    assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.match(answer, shown);
  }
});

test.run();
