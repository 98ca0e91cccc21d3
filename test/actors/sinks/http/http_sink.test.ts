import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HttpClient } from "../../../../actors/sinks/http/http_client.ts";
import { type HttpSinkOptions, httpSink } from "../../../../actors/sinks/http/http_sink.ts";
import type { SinkBatch, SinkCall, TakenOutcome, WriteOutcome } from "../../../../actors/sinks/sink.ts";
import { ConfigurationError } from "../../../../protocols/errors.ts";
import { fakeCheckpoint, fakeSinkContext, sinkBatch } from "../../../support/fakes/fake_sink_context.ts";

interface Received {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly key: string;
  readonly body: string;
}

type Answer = (received: Received, response: ServerResponse, count: number) => void;
type Write = (batch: SinkBatch, options?: Partial<HttpSinkOptions>, call?: SinkCall) => Promise<WriteOutcome>;

async function withServer(
  answer: Answer,
  body: (write: Write, seen: Received[], port: number) => Promise<void>,
): Promise<void> {
  const seen: Received[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { url: path = "", headers } = request;
    const received = { path, headers, key: String(headers["idempotency-key"]), body: text };
    seen.push(received);
    answer(received, response, seen.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/in`;
  const client = new HttpClient();
  const write: Write = async (batch, options = {}, call) => {
    const context = { ...fakeSinkContext(fakeCheckpoint(), 1), client };
    const sink = await httpSink.open({ url, ...options }, context);
    return sink.write(batch, call);
  };
  try {
    await body(write, seen, port);
  } finally {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const ok: Answer = (_received, response) => response.end();
const answering =
  (status: number, headers: Readonly<Record<string, string>> = {}, text = ""): Answer =>
  (_received, response) =>
    response.writeHead(status, headers).end(text);

/** The batch's records in requests of the given sizes. */
const cut = (batch: SinkBatch, ...requests: number[]): SinkBatch => ({ ...batch, requests });

function takenOf(outcome: WriteOutcome): TakenOutcome {
  if (outcome.kind !== "taken") throw new Error(`outcome ${outcome.kind}`);
  return outcome;
}

test("by default each record has its own key, however records were batched", () =>
  withServer(ok, async (write, seen) => {
    await write(sinkBatch(1, 0, 3));
    await write(sinkBatch(1, 2, 3));
    const keys = seen.map(({ key }) => key);
    assert.is(keys[0], "readings/0/1/0.0-0.0");
    assert.equal(keys.slice(2, 4), keys.slice(4));
  }));

test("a template in the address and in a header follows the record that it is written for", () =>
  withServer(ok, async (write, seen, port) => {
    const url = `http://127.0.0.1:${port}/in/{{event.sensor}}?at={{partition}}`;
    const batch = sinkBatch(1, 0, 1);
    const sensors = ["a/b", "c"];
    const records = batch.records.map((record, at) => ({ ...record, event: { sensor: sensors[at] } }));
    const options = { url, headers: { "x-stream": "{{stream}}-{{event.sensor}}" } };
    assert.equal(await write(cut({ ...batch, records }, 1, 1), options), { kind: "written" });
    assert.equal(
      seen.map(({ path }) => path),
      ["/in/a%2Fb?at=0", "/in/c?at=0"],
    );
    assert.equal(
      seen.map(({ headers }) => headers["x-stream"]),
      ["readings-a/b", "readings-c"],
    );
  }));

test("records share requests as the batch says: a request's key names its first and last record, and how many it holds", () =>
  withServer(ok, async (write, seen) => {
    assert.equal(await write(cut(sinkBatch(1, 0, 5), 4, 2)), { kind: "written" });
    assert.equal(
      seen.map(({ key }) => key),
      ["readings/0/1/0.0-3.0/4", "readings/0/1/4.0-5.0/2"],
    );
    assert.is(seen[0]?.body.split("\n")[3], '{"at":3,"ofEpoch":1}');
  }));

test("records of two epochs never share a key", () =>
  withServer(ok, async (write, seen) => {
    await write(sinkBatch(1, 5, 6));
    await write(sinkBatch(2, 5, 6));
    assert.is.not(seen[0]?.key, seen[1]?.key);
  }));

test("H1, sink S7: a refused record ends the write; the records before it are taken, and those behind it wait", () =>
  withServer(
    ({ body }, response) => {
      response.statusCode = body.includes('"at":3,') ? 422 : 200;
      response.end("no threes");
    },
    async (write, seen) => {
      const problem = {
        kind: "rejected" as const,
        records: [{ at: 3, code: "SINK_REJECTED", reason: "422 no threes" }],
      };
      assert.equal(await write(sinkBatch(1, 0, 5)), { kind: "taken", count: 3, problem });
      assert.is(seen.length, 4);
    },
  ));

test("H2: a refused request of several records is answered `refused_together`", () =>
  withServer(answering(422), async (write) => {
    const problem = { kind: "refused_together" as const, count: 3, reason: "422" };
    assert.equal(await write(cut(sinkBatch(1, 0, 5), 3, 3)), { kind: "taken", count: 0, problem });
  }));

for (const status of [408, 425, 500, 502, 503, 504]) {
  test(`H2: ${status} is worth another try, of the first record that was not taken`, () =>
    withServer(
      (_received, response, count) => response.writeHead(count < 3 ? 200 : status).end(),
      async (write) => {
        const { count, problem } = takenOf(await write(sinkBatch(1, 0, 5)));
        assert.equal([count, problem?.kind], [2, "unavailable"]);
      },
    ));
}

for (const status of [401, 402, 403, 404, 405, 407, 410, 411, 415, 426, 451, 501, 505]) {
  test(`sink S8: ${status} is no fault of a record`, () =>
    withServer(answering(status), async (write) => {
      const { count, problem } = takenOf(await write(sinkBatch(1, 0, 1)));
      assert.equal([count, problem?.kind], [0, "unwelcome"]);
    }));
}

test("H2: the configuration may give a status another verdict", () =>
  withServer(
    (_received, response, count) => response.writeHead([409, 404, 503, 400][count - 1] ?? 200).end(),
    async (write) => {
      const answers = { "409": "taken", "404": "reject", "5xx": "wait", "4xx": "retry" } as const;
      const first = takenOf(await write(sinkBatch(1, 0, 5), { answers }));
      assert.equal([first.count, first.problem?.kind], [1, "rejected"]);
      assert.is(takenOf(await write(sinkBatch(1, 0, 0), { answers })).problem?.kind, "unwelcome");
      assert.is(takenOf(await write(sinkBatch(1, 0, 0), { answers })).problem?.kind, "unavailable");
    },
  ));

test("the next try waits for the Retry-After of 429 and of any other answer", async () => {
  for (const status of [429, 500, 401]) {
    await withServer(answering(status, { "retry-after": "7" }), async (write) => {
      const { problem } = takenOf(await write(sinkBatch(1, 0, 1)));
      assert.is(problem !== undefined && "retryAfterMs" in problem && problem.retryAfterMs, 7_000);
    });
  }
});

test("H4: an endpoint that never answers, or hangs up, is unavailable", async () => {
  await withServer(
    () => {},
    async (write) => {
      const { problem } = takenOf(await write(sinkBatch(1, 0, 1), { timeoutMs: 50 }));
      assert.is(problem?.kind === "unavailable" && problem.reason.includes("no answer within 50 ms"), true);
    },
  );
  await withServer(
    (_received, response) => response.destroy(),
    async (write) => assert.is(takenOf(await write(sinkBatch(1, 0, 1))).problem?.kind, "unavailable"),
  );
});

test("H4, sink S9: a write that is given up ends with the request under way, and tells how many records were taken", async () => {
  const controller = new AbortController();
  let progress = 0;
  const progressed = () => {
    progress += 1;
  };
  const call = { signal: controller.signal, progressed };
  await withServer(
    (_received, response, count) => (count < 3 ? response.end() : controller.abort(new Error("given up"))),
    async (write, seen) => {
      const outcome = await write(sinkBatch(1, 0, 9), { timeoutMs: 60_000 }, call);
      const reason = `${takenOf(outcome).problem?.kind === "unavailable" ? "given up" : "another"}`;
      assert.equal([takenOf(outcome).count, reason, seen.length, progress], [2, "given up", 3, 2]);
    },
  );
});

test("a body without an end is read up to a bound, then dropped, as the status suffices", () =>
  withServer(
    (_received, response) => {
      const chunk = Buffer.alloc(65_536, "x");
      const drip = () => {
        while (response.write(chunk));
      };
      response.on("drain", drip);
      drip();
    },
    async (write) => assert.equal(await write(sinkBatch(1, 0, 1), { timeoutMs: 30_000 }), { kind: "written" }),
  ));

test("a body that stops half-way delays a write no longer than the request may take", () =>
  withServer(
    (_received, response) => void response.write("so far"),
    async (write) => assert.equal(await write(sinkBatch(1, 0, 0), { timeoutMs: 200 }), { kind: "written" }),
  ));

test("307 and 308 are followed with method, body and headers; after 308 later posts go to the new address", () =>
  withServer(
    ({ path }, response) => (path === "/in" ? response.writeHead(308, { location: "/moved" }).end() : response.end()),
    async (write, seen) => {
      assert.equal(await write(sinkBatch(1, 0, 1), { headers: { authorization: "Bearer s" } }), { kind: "written" });
      assert.equal(
        seen.map(({ path }) => path),
        ["/in", "/moved", "/moved"],
      );
      assert.is(seen[1]?.headers.authorization, "Bearer s");
      assert.is(seen[1]?.body, seen[0]?.body);
    },
  ));

for (const name of ["Content-Type", "content-type"]) {
  test(`a ${name} of the configuration is sent alone, also to another origin`, () =>
    withServer(ok, async (_write, elsewhere, other) =>
      withServer(answering(307, { location: `http://127.0.0.1:${other}/in` }), async (write, seen) => {
        const headers = { [name]: "application/json", Authorization: "Bearer s" };
        const redirects = { origins: [`http://127.0.0.1:${other}`] };
        const outcome = await write(sinkBatch(1, 0, 0), { format: "object", headers, redirects });
        assert.equal(outcome, { kind: "written" });
        const sent = [...seen, ...elsewhere].map((one) => [one.headers["content-type"], one.body]);
        assert.equal(sent, Array(2).fill(["application/json", '{"at":0,"ofEpoch":1}']));
        assert.equal([seen[0]?.headers.authorization, elsewhere[0]?.headers.authorization], ["Bearer s", undefined]);
      }),
    ));
}

test("a request of several records that was cut before the format became `object` goes out record by record", () =>
  withServer(ok, async (write, seen) => {
    const { problem } = takenOf(await write(cut(sinkBatch(1, 0, 2), 3), { format: "object" }));
    assert.equal([problem?.kind, seen.length], ["refused_together", 0]);
    assert.equal(await write(sinkBatch(1, 0, 2), { format: "object" }), { kind: "written" });
    assert.is(seen.length, 3);
  }));

test("redirects are bounded, and another origin is asked only where it is named, without the sink's headers", () =>
  withServer(ok, async (_write, elsewhere, other) => {
    await withServer(answering(307, { location: `http://127.0.0.1:${other}/in` }), async (write) => {
      const headers = { authorization: "Bearer s", "x-api-key": "k" };
      const refused = takenOf(await write(sinkBatch(1, 0, 0), { headers }));
      assert.is(refused.problem?.kind, "unwelcome");
      assert.match(refused.problem?.kind === "unwelcome" ? refused.problem.reason : "", /redirects\.origins/);
      assert.is(elsewhere.length, 0);
      const redirects = { origins: [`http://127.0.0.1:${other}`] };
      assert.equal(await write(sinkBatch(1, 0, 0), { headers, redirects }), { kind: "written" });
      assert.equal([elsewhere[0]?.headers.authorization, elsewhere[0]?.headers["x-api-key"]], [undefined, undefined]);
      assert.is(elsewhere[0]?.key, "readings/0/1/0.0-0.0");
    });
    await withServer(answering(307, { location: "/in" }), async (write, seen) => {
      assert.is(takenOf(await write(sinkBatch(1, 0, 0))).problem?.kind, "unwelcome");
      assert.is(seen.length, 6);
    });
  }));

test("301, 302 and 303 are refused, and the reason names the setting to change", async () => {
  for (const status of [301, 302, 303]) {
    await withServer(answering(status, { location: "/there" }), async (write) => {
      const { problem } = takenOf(await write(sinkBatch(1, 0, 0)));
      assert.match(problem?.kind === "unwelcome" ? problem.reason : "", /set 'url'/);
    });
  }
});

test("of an endpoint that answers record by record, the records that it took are taken, and the others are named", () =>
  withServer(
    answering(
      200,
      {},
      JSON.stringify({ items: [{ index: { status: 201 } }, { index: { status: 429 } }, { index: { status: 200 } }] }),
    ),
    async (write) => {
      const failures = { list: "/items", status: "/*/status" };
      const outcome = takenOf(await write(cut(sinkBatch(1, 0, 2), 3), { failures }));
      assert.equal([outcome.count, outcome.beyond, outcome.problem?.kind], [0, [0, 2], "unavailable"]);
    },
  ));

test("H3, sink S8: a record that no request can hold is rejected before a byte of it is sent; those before it are taken", () =>
  withServer(ok, async (write, seen) => {
    const batch = sinkBatch(1, 0, 3);
    const traced = (traceparent: string) =>
      batch.records.map((record, at) => (at === 2 ? { ...record, traceparent } : record));
    for (const bad of ["x\ny", "\u2603", "\0"]) {
      const { count, problem } = takenOf(await write({ ...batch, records: traced(bad) }));
      assert.is(count, 2);
      const [rejection] = problem?.kind === "rejected" ? problem.records : [];
      assert.equal([rejection?.at, rejection?.isFinal], [2, true]);
    }
    assert.is(seen.length, 6);
  }));

test("each request has the trace of its own record", () =>
  withServer(ok, async (write, seen) => {
    const { records, ...batch } = sinkBatch(1, 0, 1);
    await write({
      ...batch,
      records: records.map((record, at) => (at === 1 ? { ...record, traceparent: "t" } : record)),
    });
    assert.equal(
      seen.map(({ headers }) => headers.traceparent),
      [undefined, "t"],
    );
  }));

test("an error names the host, but no path, query or header", () =>
  withServer(answering(500), async (write) => {
    const { problem } = takenOf(await write(sinkBatch(1, 0, 0), { headers: { authorization: "Bearer sekret" } }));
    const reason = problem?.kind === "unavailable" ? problem.reason : "";
    assert.match(reason, /^Cannot post to 127\.0\.0\.1:\d+: 500$/);
  }));

test("options that can never work are refused before anything starts", () => {
  assert.throws(
    () => httpSink.check?.({ url: "http://a/", failures: { list: "/items" } }, undefined),
    (error: unknown) => error instanceof ConfigurationError,
  );
  assert.throws(
    () => httpSink.check?.({ url: "http://a b/" }, undefined),
    (error: unknown) => error instanceof ConfigurationError,
  );
  assert.throws(
    () => httpSink.check?.({ url: "http://a/", headers: { "x\ny": "1" } }, undefined),
    (error: unknown) => error instanceof ConfigurationError,
  );
  assert.throws(
    () => httpSink.check?.({ url: "http://a/", headers: { "Idempotency-Key": "1" } }, undefined),
    (error: unknown) => error instanceof ConfigurationError && /it holds 'Idempotency-Key'/.test(error.message),
  );
  assert.throws(
    () => httpSink.check?.({ url: "http://a/", format: "object", recordsPerRequest: 2 }, undefined),
    (error: unknown) => error instanceof ConfigurationError && /current value is 2$/.test(error.message),
  );
});

test.run();
