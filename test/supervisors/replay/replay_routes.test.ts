import fastify from "fastify";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SCHEMA_CONTROLLER } from "../../../supervisors/http/fastify_server.ts";
import { sendError } from "../../../supervisors/http/http_errors.ts";
import { mountReplayRoutes } from "../../../supervisors/replay/replay_routes.ts";

const begun: unknown[] = [];
const told = { waiting: [{ reason: "the endpoint said: Bearer secret" }] };
const server = fastify({ schemaController: SCHEMA_CONTROLLER });
server.setErrorHandler((error, _request, reply) => sendError(reply, error));
mountReplayRoutes(server, {
  replays: {
    begin: async (request: unknown) => {
      begun.push(request);
      return told;
    },
    list: async () => [told],
    get: async () => told,
    cancel: async () => told,
  } as never,
  permissionsOf: () => ({ mayAdministrate: true }) as never,
  hidden: { hideIn: (value) => JSON.parse(JSON.stringify(value).replaceAll("secret", "[hidden]")) },
});
const post = async (payload: object) => (await server.inject({ method: "POST", url: "/v1/replays", payload })).json();
const IT = { name: "r", stream: "orders", sink: "out" };

test("a replay begins with the defaults of its schema", async () => {
  await post(IT);
  await post({ ...IT, from: { timeMs: 5 }, to: { offset: 9 }, channel: "dead_letters/out", isDryRun: true });
  const defaults = { channel: "records", from: "earliest", to: "latest", isDryRun: false };
  const second = { ...IT, from: { timeMs: 5 }, to: { offset: 9 }, channel: "dead_letters/out", isDryRun: true };
  assert.equal(begun, [{ ...IT, ...defaults }, second]);
});

test("a body that cannot be replayed is refused with the place at fault", async () => {
  for (const [body, reason] of [
    [[], "the body must be an object"],
    [{ name: "r" }, "the body must have required property 'stream'"],
    [{ ...IT, more: 1 }, "the body must NOT have additional properties"],
    [{ ...IT, name: 5 }, "/name must be string"],
    [{ ...IT, isDryRun: "true" }, "/isDryRun must be boolean"],
    [{ ...IT, partitions: [] }, "/partitions must NOT have fewer than 1 items"],
    [{ ...IT, partitions: ["0"] }, "/partitions/0 must be integer"],
    [{ ...IT, channel: "all" }, '/channel must match pattern "^(records|rejected|dead_letters/.+)$"'],
    [{ ...IT, from: "latest" }, "/from must be equal to one of the allowed values"],
  ] as const) {
    const { code, message } = (await post(body)) as { code: string; message: string };
    assert.is(`${code} ${message}`, `MALFORMED_FRAME Cannot replay as ${reason}: see /openapi.json`);
  }
});

test("no answer about replays holds a secret that an endpoint has repeated", async () => {
  for (const [method, url] of [
    ["GET", "/v1/replays"],
    ["POST", "/v1/replays"],
    ["GET", "/v1/replays/r"],
    ["DELETE", "/v1/replays/r"],
  ] as const) {
    const { body } = await server.inject({ method, url, ...(method === "POST" ? { payload: IT } : {}) });
    assert.match(body, /Bearer \[hidden\]/, `${method} ${url}`);
    assert.not.match(body, /secret/, `${method} ${url}`);
  }
});

test.run();
