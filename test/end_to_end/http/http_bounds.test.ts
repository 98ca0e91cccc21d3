/**
 * Every parameter and header of every HTTP route at its bound, one beyond, twice, and at 65,536 characters: no answer
 * is a 5xx.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BODY_LIMITS } from "../../../actors/ingest/http/http_body.ts";
import * as errors from "../../../protocols/errors.ts";
import { FIELD_LIMITS } from "../../../protocols/limits.ts";
import { nodeOfEachTest, runningNode } from "../../support/processes/running_node.ts";

const YAML = "log: { type: memory }\nstreams: { s: { partitions: 1, durability: memory } }\n";

/** The error codes of the protocol, and those of HTTP alone. */
const HTTP_CODES: ReadonlySet<string> = new Set([
  ...[...errors.REJECTED_CODES, ...errors.UNAVAILABLE_CODES, ...errors.OVERLOADED_CODES, ...errors.FENCED_CODES],
  ...["NOT_FOUND", "UNSUPPORTED_MEDIA_TYPE"],
]);

interface Parameter {
  readonly name: string;
  readonly in: "query" | "path" | "header";
  readonly schema: { readonly type?: string; readonly minimum?: number; readonly maximum?: number };
}
type Operation = { readonly parameters?: readonly Parameter[] };
const described = await runningNode(YAML);
const { paths } = (await (await fetch(`${described.address}/openapi.json`)).json()) as {
  paths: Record<string, Record<string, Operation>>;
};
await described.end();
const node = nodeOfEachTest(test, YAML);

/** Valid values by the name of a path's parameter. */
const GOOD: Readonly<Record<string, string>> = { stream: "s", partition: "0", name: "none", node: "none" };

const routes = Object.entries(paths).flatMap(([path, operations]) =>
  Object.entries(operations).map(([method, { parameters = [] }]) => ({
    path,
    method: method.toUpperCase(),
    parameters,
  })),
);

async function answer(
  path: string,
  method: string,
  given: Readonly<Record<string, string>> = {},
  query = "",
  headers: Record<string, string> = {},
) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(given[name] ?? GOOD[name] ?? "none"),
  );
  const body = method === "POST" && filled.endsWith("/events") ? '{"n":1}' : undefined;
  const type = body === undefined ? {} : { "content-type": "application/json" };
  const response = await fetch(`${node.address}${filled}${query}`, {
    method,
    headers: { ...type, ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, text: await response.text() };
}

function assertRefused({ status, text }: { status: number; text: string }, what: string): void {
  assert.ok(status >= 400 && status < 500, `${what}: ${status} ${text.slice(0, 200)}`);
  if (text.startsWith("{")) {
    const { message = "", code = "" } = JSON.parse(text) as { message?: string; code?: string };
    assert.ok(HTTP_CODES.has(code), `${what}: the code ${code} is none of docs/protocol.md`);
    assert.ok(
      message.length <= FIELD_LIMITS.messageCharactersMax,
      `${what}: a message of ${message.length} characters`,
    );
  }
}

test("an unknown name is answered 404 with a code, wherever a path has a name", async () => {
  const named = routes.filter(({ parameters }) =>
    parameters.some(({ name, in: place }) => place === "path" && name !== "partition"),
  );
  for (const { path, method } of named) {
    const unknown = { stream: "nothing", name: "nothing", node: "nothing", partition: "0" };
    const { status, text } = await answer(path, method, unknown);
    assert.is(status, 404, `${method} ${path}: ${text}`);
    assertRefused({ status, text }, `${method} ${path}`);
  }
  assert.ok(named.length >= 9, `${named.length} routes`);
});

for (const { path, method, parameters } of routes) {
  for (const { name, in: place, schema } of parameters) {
    const withValue = (value: string) =>
      place === "query"
        ? answer(path, method, {}, `?${name}=${encodeURIComponent(value)}`)
        : place === "header"
          ? answer(path, method, {}, "", { [name]: value })
          : answer(path, method, { [name]: value });
    test(`${method} ${path}: ${name} beyond its bounds is refused, whatever it is`, async () => {
      const what = `${method} ${path} ${name}`;
      assertRefused(await withValue("x".repeat(65_536)), `${what} of 65,536 characters`);
      const { minimum, maximum } = schema;
      if (place === "query" && maximum !== undefined && minimum !== undefined) {
        for (const within of [minimum, maximum])
          assert.is((await withValue(String(within))).status, 200, `${what} ${within}`);
        for (const beyond of [minimum - 1, maximum + 1, Number.MAX_SAFE_INTEGER, "1e3", "", "NaN"])
          assertRefused(await withValue(String(beyond)), `${what} ${beyond}`);
      }
      if (place === "query") {
        const twice = await answer(path, method, {}, `?${name}=1&${name}=2`);
        assert.ok(twice.status < 500, `${what} twice: ${twice.status} ${twice.text.slice(0, 200)}`);
      }
      for (const odd of ["%00", "../../..", "constructor", "__proto__", "\u202e", "9007199254740993", "-1"]) {
        if (place === "header" && odd === "\u202e") continue; // no client can send it
        const { status, text } = await withValue(odd);
        assert.ok(status < 500, `${what} ${JSON.stringify(odd)}: ${status} ${text.slice(0, 200)}`);
      }
    });
  }
}

test("the HTTP server's own refusals have codes and words like all others", async () => {
  const text = (content: string) => ({ method: "POST", headers: { "content-type": content }, body: "{" });
  for (const [path, options] of [
    ["/v1/replays", text("application/x-www-form-urlencoded")],
    ["/v1/replays", text("application/json")],
    ["/v1/replays", { ...text("application/json"), body: "" }],
    ["/v1/replays", { ...text("application/json"), body: " ".repeat(2_000_000) }],
    ["/v1/streams/%zz", {}],
    [`/v1/streams/${"x".repeat(9_000)}`, {}],
    ["/none", {}],
  ] as const) {
    const response = await fetch(`${node.address}${path}`, options);
    const said = await response.text();
    assertRefused({ status: response.status, text: said }, path.slice(0, 40));
    assert.match(said, /"message":"Cannot /);
  }
});

test("a request's key has 1 to 255 characters, and a malformed trace context is left out", async () => {
  const post = (headers: Record<string, string>) => answer("/v1/streams/{stream}/events", "POST", {}, "", headers);
  assert.is((await post({ "idempotency-key": "k".repeat(255) })).status, 200);
  for (const length of [0, 256, 10_000])
    assertRefused(await post({ "idempotency-key": "k".repeat(length) }), `a key of ${length} characters`);
  assert.is((await post({ traceparent: "t".repeat(10_000) })).status, 200);
});

test("a body beyond its bound is refused before it is read", async () => {
  const response = await fetch(`${node.address}/v1/streams/s/events`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: Buffer.alloc(BODY_LIMITS.bodyBytesMax + 1, 0x20),
  });
  assert.is(response.status, 413);
  await response.arrayBuffer();
});

test("a channel is one that a stream or a sink can have", async () => {
  for (const channel of [
    `dead_letters/${"x".repeat(101)}`,
    "dead_letters/",
    "dead_letters/a/b",
    "outbox/p",
    "Records",
  ]) {
    const { status } = await answer(
      "/v1/streams/{stream}/partitions/{partition}/records",
      "GET",
      {},
      `?channel=${encodeURIComponent(channel)}`,
    );
    assert.is(status, 400, channel);
  }
});

test.run();
