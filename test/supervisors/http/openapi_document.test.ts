import fastify from "fastify";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { IngestAnswer } from "../../../actors/ingest/http/http_answer.ts";
import { bodyMemory } from "../../../actors/ingest/http/http_body.ts";
import { mountIngestRoutes } from "../../../actors/ingest/http/http_routes.ts";
import { OverloadedError } from "../../../protocols/errors.ts";
import { SCHEMA_CONTROLLER } from "../../../supervisors/http/fastify_server.ts";
import { type DescribedRoute, mountOpenApi } from "../../../supervisors/http/openapi_document.ts";
import { PAGE_FILE_NAMES } from "../../../supervisors/http/page_files.ts";
import { DescribedAnswers, strictAjv } from "../../support/described_answers.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";
import { SmallCluster, serveCluster } from "../../support/processes/small_cluster.ts";

const node = await runningNode(
  `log: { type: memory }
streams:
  orders:
    partitions: 2
    key: /customer
    durability: memory
    schema: { type: object, properties: { amount: { type: number, minimum: 0 } } }
  copies: { partitions: 1, durability: memory }
sinks:
  copy: { type: stream, stream: copies }
  down: { type: http, url: "http://127.0.0.1:9/" }
pipelines: { keep: { from: orders, to: [copy, down] } }
security:
  tokens:
    - { name: a, valueEnv: A, scopes: [admin, produce, consume] }
    - { name: r, valueEnv: R, scopes: ["consume:copies"] }
`,
  { secrets: { A: "token-of-the-administrator", R: "token-of-a-mere-reader" } },
);
test.after(() => void node.end());
const described = await DescribedAnswers.of(node.address);
const { document } = described;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

const admin = { authorization: "Bearer token-of-the-administrator" };
const reader = { authorization: "Bearer token-of-a-mere-reader" };
const ask = (path: string, method = "GET") => described.ask(path, { method, headers: admin });
const send = (path: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  described.ask(path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { ...admin, "content-type": "application/json", ...headers },
  });

test("every route that a node mounts is described, and nothing else is", () => {
  // The page's own files are no part of the API.
  const files = new Set(["GET /", ...PAGE_FILE_NAMES.map((name) => `GET /${name}`)]);
  const api = node.routes.filter((route) => !files.has(route));
  const inDocument = operations.map(({ method, path }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`);
  assert.equal([...inDocument].sort(), [...api].sort());
});

test("the document is OpenAPI 3.1: paths name their parameters, schemas are JSON Schema, and references lead somewhere", () => {
  assert.match(document.openapi, /^3\.1\./);
  assert.ok(document.info.title && document.info.version);
  const ajv = strictAjv(document);
  for (const { path, method, operation } of operations) {
    const what = `${method} ${path}`;
    assert.ok(operation.summary, what);
    const { parameters = [], responses } = operation;
    const inPath = parameters.filter((one) => one.in === "path").map(({ name }) => name);
    assert.equal([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort(), inPath.sort(), what);
    const isOpen = operation.security?.length === 0;
    assert.is(isOpen, ["/healthz", "/readyz", "/openapi.json"].includes(path), what);
    for (const status of [...(isOpen ? [] : [401]), 403, 503]) assert.ok(responses[status], `${what} ${status}`);
    for (const { schema } of parameters) ajv.compile(schema);
    for (const [status, { description, content = {}, headers = {} }] of Object.entries(responses)) {
      assert.ok(description.length > 0, `${what} ${status}`);
      if (status === "429" || status === "503") assert.ok(headers["Retry-After"], `${what} ${status}`);
      for (const { schema } of Object.values(content)) {
        ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"document#/components')));
      }
    }
  }
  const { requestBody } = document.paths["/v1/streams/{stream}/events"]?.post ?? {};
  assert.equal(Object.keys(requestBody?.content ?? {}), [
    ...["application/json", "application/*+json", "application/x-ndjson", "application/msgpack"],
    ...["application/x-www-form-urlencoded", "text/plain"],
  ]);
});

test("each answer of each route is valid by its schema, and has no field that is not described", async () => {
  const appends = "/v1/streams/orders/events";
  const orders = [{ customer: "a", amount: 1 }, { customer: "b" }, { customer: "a", amount: -1 }, 7];
  const keyed = { "idempotency-key": "k" };
  assert.is((await send(appends, orders, keyed)).status, 200);
  assert.is((await send(appends, orders, keyed)).headers.get("idempotency-replayed"), "true");
  assert.is((await send(appends, 5)).status, 422);
  assert.is((await send(appends, [1], keyed)).status, 422);
  assert.is((await send(appends, 1, { "content-type": "text/csv" })).status, 415);
  assert.is((await send(appends, {}, { "idempotency-key": "" })).status, 400);
  for (const path of ["/healthz", "/readyz", "/openapi.json", "/metrics", "/v1/streams", "/v1/streams/orders"]) {
    assert.is((await ask(path)).status, 200, path);
  }
  await eventually(async () => {
    const { sinks } = (await ask("/v1/sinks")).body as { readonly sinks: readonly object[] };
    const isTold = sinks.some((one) => "reason" in one) && sinks.some((one) => "lastDelayMs" in one);
    return isTold && sinks.length === 4 ? true : undefined;
  });
  for (const channel of ["records", "rejected"]) {
    const path = `/v1/streams/orders/partitions/0/records?channel=${channel}&fromTimeMs=0&limit=1`;
    assert.is((await ask(path)).status, 200);
  }
  const replay = { name: "r", stream: "orders", sink: "down", partitions: [0, 1], from: { offset: 0 } };
  for (const isDryRun of [true, false]) assert.is((await send("/v1/replays", { ...replay, isDryRun })).status, 200);
  assert.is((await send("/v1/replays", { name: "p", stream: "orders", pipeline: "keep" })).status, 200);
  assert.is((await send("/v1/replays", { ...replay, stream: "none" })).status, 404);
  await eventually(async () => {
    const { waiting } = (await ask("/v1/replays/r")).body as { readonly waiting: readonly object[] };
    return waiting.length > 0 ? true : undefined;
  });
  assert.is((await ask("/v1/replays")).status, 200);
  assert.is((await ask("/v1/replays/r", "DELETE")).status, 200);
  for (const path of ["/actors", "/cluster", "/cluster/owners/orders/0", "/cluster/partitions/orders/1"]) {
    assert.is((await ask(`/v1${path}`)).status, 200, path);
  }
  await ask("/v1/cluster/decisions");
  for (const { path, method, operation } of operations) {
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name) => (name === "partition" ? "0" : "none"));
    await ask(filled, method);
    if (operation.security !== undefined) continue;
    assert.is((await described.ask(filled, { method })).status, 401, path);
    await described.ask(filled, { method, headers: reader });
  }
  const isDone = ({ path, method }: (typeof operations)[number]) => described.seen.has(`${method} ${path} 200`);
  const left = operations.filter((one) => !isDone(one)).map(({ path }) => path);
  const commands = ["/v1/cluster/nodes/{node}/drain", "/v1/cluster/nodes/{node}/undrain", "/v1/cluster/rebalance"];
  assert.equal(left, commands, "a lone node takes no command");
});

test("each answer of a cluster of three nodes is as described, with its moves, decisions and commands", async () => {
  const cluster = new SmallCluster(["a", "b", "c"], { orders: 4 });
  let nowMs = 0;
  const server = await serveCluster(cluster, { stopwatchMs: () => (nowMs += 1_000) });
  const answers = await DescribedAnswers.of(server.address);
  const statusOf = async (path: string, method = "GET") => (await answers.ask(`/v1/cluster${path}`, { method })).status;
  assert.is(await statusOf("/nodes/a/drain", "POST"), 202);
  const reads = ["", "/decisions?limit=1000", "/owners/orders/0", "/partitions/orders/0", "/owners/orders/1"];
  for (const path of reads) assert.is(await statusOf(path), 200, path);
  cluster.removeNode("b");
  for (const path of reads) assert.is(await statusOf(path), 200, path);
  assert.is(await statusOf("/nodes/a/undrain", "POST"), 202);
  assert.is(await statusOf("/rebalance", "POST"), 202);
  assert.is(await statusOf("/nodes/zz/drain", "POST"), 404);
  assert.is(await statusOf("/owners/orders/x"), 404);
  cluster.loseCoordinator();
  assert.is(await statusOf("/rebalance", "POST"), 503);
  assert.is(await statusOf(""), 200);
  await server.close();
});

test("an append of which some events were refused, or had no answer, is answered as described", async () => {
  const server = fastify({ schemaController: SCHEMA_CONTROLLER });
  const mounted: DescribedRoute[] = [];
  server.addHook("onRoute", ({ method, url, schema }) => {
    if (method === "POST") mounted.push({ method, url, schema, isOpen: false });
  });
  const told = { accepted: 1, rejected: [], isReplayed: false } as const;
  const refusal = new OverloadedError("PARTITION_FULL" as never, "Cannot append as it is full", 1_500);
  const answers: IngestAnswer[] = [
    { ...told, partitions: [{ partition: 0, state: "refused", events: 2 }], unknown: [], refused: [1], refusal },
    { ...told, partitions: [{ partition: 0, state: "unknown", events: 3 }], unknown: [1], refused: [2], refusal },
  ];
  mountIngestRoutes(server, {
    ingest: { append: async () => answers.shift() } as never,
    memory: bodyMemory(),
    directory: { describe: () => ({ s: { partitions: 1, schemaVersions: [] } }) },
    permissionsOf: () => ({ subject: "x", mayProduce: () => true, mayObserve: () => true }) as never,
    bodyFormatsOf: () => [],
    unreadiness: () => undefined,
  });
  mountOpenApi(server, mounted);
  const described = await DescribedAnswers.of(await server.listen({ port: 0, host: "127.0.0.1" }));
  const append = { method: "POST", body: "{}", headers: { "content-type": "application/json" } };
  for (const status of [429, 503]) assert.is((await described.ask("/v1/streams/s/events", append)).status, status);
  await server.close();
});

test.run();
