import fastify from "fastify";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parameterReader } from "../../../../actors/ingest/http/parameters.ts";
import { parameters, text } from "../../../../actors/ingest/http/route_schemas.ts";

const server = fastify();
server.setValidatorCompiler(parameterReader);
const schema = {
  params: parameters({ partition: { type: "integer", minimum: 0 } }),
  querystring: parameters({
    limit: { type: "integer", minimum: 1, maximum: 1_000, default: 100 },
    atMs: { type: "integer" },
    channel: { ...text("Channel."), default: "records" },
  }),
};
server.get("/:partition", { schema }, async ({ params, query }) => ({ ...(params as object), ...(query as object) }));

test("whole numbers are read by the schema, defaults are filled in, and unknown parameters stay", async () => {
  assert.equal((await server.inject("/7")).json(), { partition: 7, limit: 100, channel: "records" });
  const all = await server.inject("/00?limit=1000&atMs=9007199254740991&channel=&more=1e3");
  assert.equal(all.json(), { partition: 0, limit: 1_000, atMs: 9007199254740991, channel: "", more: "1e3" });
});

test("a whole number has digits alone, within its bounds; the refusal names the parameter, its bounds and its value", async () => {
  for (const limit of ["1e3", " 5", "5 ", "", "+5", "-1", "0", "1001", "1.0", "0x5", "٣", "9".repeat(17)]) {
    const { statusCode, body } = await server.inject(`/0?limit=${encodeURIComponent(limit)}`);
    assert.is(statusCode, 400, limit);
    const { code, message } = JSON.parse(body) as { code: string; message: string };
    assert.is(code, "MALFORMED_FRAME");
    assert.is(message, `Cannot answer as limit must be a whole number from 1 to 1000: current value is ${limit}`);
  }
  const { message } = (await server.inject(`/${"x".repeat(90)}`)).json() as { message: string };
  const bounds = `from 0 to ${Number.MAX_SAFE_INTEGER}`;
  assert.is(message, `Cannot answer as partition must be a whole number ${bounds}: current value is ${"x".repeat(64)}`);
});

test.run();
