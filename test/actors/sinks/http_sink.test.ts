import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type HttpSinkOptions, httpSink, retryAfterMs } from "../../../actors/sinks/http_sink.ts";
import type { SinkBatch, WriteOutcome } from "../../../actors/sinks/sink.ts";
import { stdoutSinkTo } from "../../../actors/sinks/stdout_sink.ts";
import { fakeCheckpoint, fakeSinkContext, sinkBatch } from "../../support/fake_sink_context.ts";

interface Received {
  readonly key: string;
  readonly body: string;
}

type Answer = (received: Received, response: ServerResponse, count: number) => void;

async function withServer(
  answer: Answer,
  body: (
    write: (batch: SinkBatch, options?: Partial<HttpSinkOptions>) => Promise<WriteOutcome>,
    seen: Received[],
  ) => Promise<void>,
): Promise<void> {
  const seen: Received[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const received = { key: String(request.headers["idempotency-key"]), body: text };
    seen.push(received);
    answer(received, response, seen.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`;
  const write = async (batch: SinkBatch, options: Partial<HttpSinkOptions> = {}) => {
    const sink = await httpSink.open({ url, ...options }, fakeSinkContext(fakeCheckpoint(), 1));
    return sink.write(batch);
  };
  try {
    await body(write, seen);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const ok: Answer = (_received, response) => response.end();
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.unreachable() as never,
    (error: { name: string; code: string; retryAfterMs?: number }) => error,
  );

test("by default each record has its own key, however it was batched", () =>
  withServer(ok, async (write, seen) => {
    await write(sinkBatch(1, 0, 3));
    await write(sinkBatch(1, 2, 3));
    const keys = seen.map(({ key }) => key);
    assert.is(keys[0], "readings/0/1/0.0-0.0");
    assert.equal(keys.slice(2, 4), keys.slice(4));
  }));

test("with more records a request, keys follow fixed offsets and bodies are lines", () =>
  withServer(ok, async (write, seen) => {
    assert.equal(await write(sinkBatch(1, 0, 19), { recordsPerRequest: 10 }), { kind: "written" });
    const keys = seen.map(({ key }) => key);
    assert.equal(keys, ["readings/0/1/0.0-9.0", "readings/0/1/10.0-19.0"]);
    assert.is(seen[0]?.body.split("\n")[3], '{"at":3,"ofEpoch":1}');
    await write(sinkBatch(1, 10, 19), { recordsPerRequest: 10 });
    assert.is(seen[2]?.key, keys[1]);
  }));

test("records of two epochs never share a key", () =>
  withServer(ok, async (write, seen) => {
    await write(sinkBatch(1, 5, 6));
    await write(sinkBatch(2, 5, 6));
    assert.is.not(seen[0]?.key, seen[1]?.key);
  }));

test("a chunk that is refused is sent record by record, and only the bad ones are rejected", () =>
  withServer(
    ({ body }, response) => {
      response.statusCode = body.includes('"at":3,') ? 422 : 200;
      response.end("no threes");
    },
    async (write) => {
      const outcome = await write(sinkBatch(1, 0, 5), { recordsPerRequest: 10 });
      assert.equal(outcome, { kind: "rejected", records: [{ at: 3, code: "SINK_REJECTED", reason: "422 no threes" }] });
    },
  ));

for (const status of [408, 425, 500, 502, 504]) {
  test(`${status} is worth another try`, () =>
    withServer(
      (_received, response) => {
        response.statusCode = status;
        response.end();
      },
      async (write) => assert.is((await failure(write(sinkBatch(1, 0, 1)))).code, "SINK_UNAVAILABLE"),
    ));
}

test("429 is waited for as long as it says", () =>
  withServer(
    (_received, response) => {
      response.writeHead(429, { "retry-after": "7" }).end();
    },
    async (write) => {
      const error = await failure(write(sinkBatch(1, 0, 1)));
      assert.is(error.name, "OverloadedError");
      assert.is(error.retryAfterMs, 7_000);
    },
  ));

test("Retry-After may be a date, and is bounded", () => {
  const nowMs = Date.parse("2026-01-01T00:00:00Z");
  assert.is(retryAfterMs("Thu, 01 Jan 2026 00:00:30 GMT", nowMs), 30_000);
  assert.is(retryAfterMs("Wed, 31 Dec 2025 00:00:00 GMT", nowMs), 0);
  assert.is(retryAfterMs("999999999", nowMs), 300_000);
  assert.is(retryAfterMs("soon", nowMs), 1_000);
});

test("an endpoint that never answers, or hangs up, is unavailable", async () => {
  await withServer(
    () => {},
    async (write) => assert.is((await failure(write(sinkBatch(1, 0, 1), { timeoutMs: 50 }))).code, "SINK_UNAVAILABLE"),
  );
  await withServer(
    (_received, response) => response.destroy(),
    async (write) => assert.is((await failure(write(sinkBatch(1, 0, 1)))).code, "SINK_UNAVAILABLE"),
  );
});

test("stdout prints a line for each record", async () => {
  const printed: string[] = [];
  const sink = await stdoutSinkTo(async (text) => void printed.push(text)).open(
    {},
    fakeSinkContext(fakeCheckpoint(), 1),
  );
  await sink.write(sinkBatch(1, 0, 1));
  assert.equal(printed, ['{"at":0,"ofEpoch":1}\n{"at":1,"ofEpoch":1}\n']);
});

test.run();
