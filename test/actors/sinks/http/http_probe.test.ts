import { createServer } from "node:http";
import { type AddressInfo, createServer as createSocketServer } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { judgeProbe, probeEndpoint } from "../../../../actors/sinks/http/http_probe.ts";
import { httpSink } from "../../../../actors/sinks/http/http_sink.ts";

const CONTEXT = { folder: "/", name: "out", nowMs: () => 0, log: () => {} };

const failureOf = (promise: Promise<void> | undefined): Promise<string> =>
  Promise.resolve(promise).then(
    () => "reached",
    (error: Error) => `${error.name}: ${error.message}`,
  );

async function withEndpoint(status: number, body: (url: string, seen: string[]) => Promise<void>): Promise<void> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization} ${request.headers["content-length"]}`);
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}/in`, seen);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("an endpoint is tried with OPTIONS and the configuration's headers; an answer that knows no OPTIONS counts as reached", () =>
  withEndpoint(405, async (url, seen) => {
    const headers = { authorization: "Bearer t" };
    assert.is(await failureOf(httpSink.test?.({ url, headers }, CONTEXT)), "reached");
    assert.equal(seen, ["OPTIONS /in Bearer t undefined"]);
  }));

test("an endpoint that refuses this node, or is out of order, is told with its answer", async () => {
  await withEndpoint(401, async (url) => {
    const { host } = new URL(url);
    const reason = `ConfigurationError: Cannot post to ${host} as it must let this node in: the answer to OPTIONS is 401`;
    assert.is(await failureOf(httpSink.test?.({ url }, CONTEXT)), reason);
  });
  await withEndpoint(503, async (url) => {
    assert.match(await failureOf(httpSink.test?.({ url }, CONTEXT)), /^UnavailableError: .* is 503$/);
  });
});

test("statuses that say nothing of posts count as reached", () => {
  for (const status of [200, 204, 301, 400, 404, 405, 415, 429, 501]) assert.is(judgeProbe(status), "reached");
  for (const status of [401, 403, 407, 511]) assert.is(judgeProbe(status), "refused");
  for (const status of [500, 502, 503, 504]) assert.is(judgeProbe(status), "unavailable");
});

test("an address where nobody listens, a silent one and one given up are told apart", async () => {
  const server = createSocketServer((socket) => socket.resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const probe = { url: `http://127.0.0.1:${port}/`, headers: {}, timeoutMs: 20 };
  assert.match(await failureOf(probeEndpoint(probe)), /must answer: no answer within 20 ms$/);
  const signal = AbortSignal.abort(new Error("given up"));
  const call = { signal, progressed: () => {} };
  assert.match(await failureOf(probeEndpoint({ ...probe, timeoutMs: 60_000 }, call)), /must answer: .+/);
  await new Promise((resolve) => server.close(resolve));
  assert.match(await failureOf(probeEndpoint(probe)), /ECONNREFUSED/);
});

test("a certificate that cannot be verified, or a port without TLS, is told", () =>
  withEndpoint(200, async (url) => {
    const secure = url.replace("http:", "https:");
    assert.match(
      await failureOf(httpSink.test?.({ url: secure }, CONTEXT)),
      /^UnavailableError: .*must answer: .*SSL/i,
    );
  }));

test.run();
