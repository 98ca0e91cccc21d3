import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HttpClient } from "../../../../actors/sinks/http/http_client.ts";
import { type Exchange, HttpPoster, type Post } from "../../../../actors/sinks/http/http_exchange.ts";

const client = new HttpClient();
const BOUNDS = { client, timeoutMs: 10_000, bodyBytesMax: 1_000, bodyWithinMs: 10_000 };
const POST: Post = { body: '{"price":"5 €"}', headers: { "content-type": "application/json" }, ownHeaders: {} };

interface Endpoint {
  readonly url: string;
  /** The bytes of each request, decoded as Latin-1. */
  readonly requests: readonly string[];
  readonly connectionCount: () => number;
}

/** An endpoint that answers each request with bytes, over a connection that stays open. */
async function withEndpoint(answer: string | Buffer, body: (endpoint: Endpoint) => Promise<void>): Promise<void> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let text = "";
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      const [head = "", content] = text.split("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
      if (content === undefined || content.length < length) return;
      requests.push(text);
      text = "";
      socket.write(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`;
  try {
    await body({ url, requests, connectionCount: () => sockets.size });
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

const headed = (head: string, body: string | Buffer = ""): Buffer =>
  Buffer.concat([Buffer.from(`HTTP/1.1 ${head}\r\ncontent-length: ${body.length}\r\n\r\n`), Buffer.from(body)]);

const answerOf = (exchange: Exchange): readonly unknown[] =>
  exchange.kind === "answered" ? [exchange.status, exchange.body, exchange.isBodyWhole] : [exchange];

for (const interim of ["100 Continue", "102 Processing", "103 Early Hints\r\nlink: </a>; rel=preload"]) {
  test(`an interim answer of ${interim.slice(0, 3)} is skipped, and the connection is kept`, () =>
    withEndpoint(
      Buffer.concat([Buffer.from(`HTTP/1.1 ${interim}\r\n\r\n`), headed("200 OK", "fine")]),
      async ({ url, requests, connectionCount }) => {
        const poster = new HttpPoster({ url, ...BOUNDS });
        for (let count = 0; count < 3; count += 1) assert.equal(answerOf(await poster.post(POST)), [200, "fine", true]);
        assert.equal([requests.length, connectionCount()], [3, 1]);
      },
    ));
}

test("the body of a redirect leaves its connection for later posts", () =>
  withEndpoint(headed("307 Here\r\nlocation: /in", "elsewhere"), async ({ url, requests, connectionCount }) => {
    const poster = new HttpPoster({ url, ...BOUNDS });
    for (let count = 0; count < 3; count += 1) assert.is((await poster.post(POST)).kind, "misdirected");
    assert.equal([requests.length, connectionCount()], [18, 1]);
  }));

test("a request has a length, the given headers unchanged, and its body as UTF-8", () =>
  withEndpoint(headed("200 OK"), async ({ url, requests }) => {
    const ownHeaders = { "X-Name": "Zoë\n", "USER-AGENT": "mine" };
    await new HttpPoster({ url, ...BOUNDS }).post({ ...POST, ownHeaders });
    const [head = "", body = ""] = requests[0]?.split("\r\n\r\n") ?? [];
    assert.is(Buffer.from(body, "latin1").toString("utf8"), POST.body);
    const lines = head.split("\r\n").map((line) => line.toLowerCase());
    assert.is(lines[0], "post /in http/1.1");
    for (const line of ["x-name: zoë", "user-agent: mine", "content-type: application/json", "content-length: 17"])
      assert.is(lines.filter((one) => one === line).length, 1, line);
    assert.is(lines.filter((line) => /^(transfer-encoding|expect):/.test(line)).length, 0);
  }));

test("a body that comes compressed is read", () =>
  withEndpoint(headed("422 No\r\ncontent-encoding: gzip", gzipSync("no threes")), async ({ url, connectionCount }) => {
    const poster = new HttpPoster({ url, ...BOUNDS });
    for (let count = 0; count < 2; count += 1)
      assert.equal(answerOf(await poster.post(POST)), [422, "no threes", true]);
    assert.is(connectionCount(), 1);
  }));

test("a compressed body is bounded by its bytes once it is decompressed", () =>
  withEndpoint(headed("200 OK\r\ncontent-encoding: gzip", gzipSync("x".repeat(10_000_000))), async ({ url }) => {
    const exchange = await new HttpPoster({ url, ...BOUNDS }).post(POST);
    assert.equal(answerOf(exchange), [200, "x".repeat(1_000), false]);
  }));

test("an empty body whose header names a compression is whole", () =>
  withEndpoint(headed("200 OK\r\ncontent-encoding: gzip"), async ({ url }) =>
    assert.equal(answerOf(await new HttpPoster({ url, ...BOUNDS }).post(POST)), [200, "", true]),
  ));

test("an answer keeps its status though its body is not compressed as its header says", () =>
  withEndpoint(headed("200 OK\r\ncontent-encoding: gzip", "plain"), async ({ url }) => {
    const exchange = await new HttpPoster({ url, ...BOUNDS }).post(POST);
    assert.equal([answerOf(exchange)[0], answerOf(exchange)[2]], [200, false]);
  }));

test("an invalid answer, and one that changes the protocol, count as no answer", async () => {
  for (const answer of [
    "SSH-2.0-x\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
  ])
    await withEndpoint(answer, async ({ url }) =>
      assert.is((await new HttpPoster({ url, ...BOUNDS }).post(POST)).kind, "unanswered", answer),
    );
});

test("interim answers without an end are bounded in time", () =>
  withEndpoint("HTTP/1.1 100 Continue\r\n\r\n", async ({ url }) => {
    const exchange = await new HttpPoster({ url, ...BOUNDS, timeoutMs: 50 }).post(POST);
    assert.equal(exchange, { kind: "unanswered", reason: "no answer within 50 ms" });
  }));

test("for a host that takes no connection, the reason is that of its first address", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const exchange = await new HttpPoster({ url: `http://localhost:${port}/`, ...BOUNDS }).post(POST);
  assert.match(exchange.kind === "unanswered" ? exchange.reason : "", "ECONNREFUSED");
});

test.run();
