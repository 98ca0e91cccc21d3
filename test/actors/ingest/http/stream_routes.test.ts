import fastify from "fastify";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parameterReader } from "../../../../actors/ingest/http/parameters.ts";
import { mountStreamRoutes, type StreamRoutesOptions } from "../../../../actors/ingest/http/stream_routes.ts";
import { DecodedBatch } from "../../../../actors/log/decoded_batch.ts";
import type { ReadResult, RecordBatch } from "../../../../actors/log/log.ts";
import { encodeEvents } from "../../../../protocols/values/event_codec.ts";
import { fromJsonValue } from "../../../../protocols/values/json_values.ts";
import { parseJson } from "../../../../protocols/values/parse_json.ts";
import { decodeCountOfEachTest } from "../../../support/decode_count.ts";

const decodes = decodeCountOfEachTest(test);
const LIMITS = { tokensMax: 10_000, depthMax: 32 };

/** Routes over one partition of one batch. @param peek answers the batch decoded */
function routesOver(
  events: readonly Readonly<Record<string, unknown>>[],
  peek = (batch: RecordBatch) => new DecodedBatch(batch),
): StreamRoutesOptions {
  const batch = {
    epoch: 1,
    firstOffset: 0,
    count: events.length,
    appendedAtMs: 0,
    schemaVersion: 0,
    producerId: "p",
    sequences: { first: [1, 0, 0], count: events.length },
    events: encodeEvents(events, { asRecords: true }),
  };
  const view = {
    ready: async () => undefined,
    bounds: () => ({ firstOffset: 0, endOffset: events.length, sizeBytes: 1, epochs: [] }),
    read: async () => ({ kind: "records", batches: [batch] }) as unknown as ReadResult,
    peek,
  };
  const directory = { describe: () => ({ s: { partitions: 1 } }), partition: () => ({ view }) };
  const permissions = { subject: "x", mayConsume: () => true, mayObserve: () => true };
  return { directory, permissionsOf: () => permissions } as unknown as StreamRoutesOptions;
}

test("records read over HTTP keep the kind of their numbers: floats have an exponent, integers their digits", async () => {
  const event = { a: 1.2345678901234567e19, b: [1e20, -(2 ** 54), 2 ** 53], c: 9007199254740993n };
  const server = fastify();
  server.setValidatorCompiler(parameterReader);
  mountStreamRoutes(server, routesOver([event]));
  const answer = await server.inject("/v1/streams/s/partitions/0/records");
  assert.is(answer.headers["content-type"], "application/json; charset=utf-8");
  assert.match(
    answer.body,
    '"event":{"a":1.2345678901234567e+19,"b":[1e+20,-1.8014398509481984e+16,9007199254740992],"c":{"$int":"9007199254740993"}}',
  );
  const { records } = fromJsonValue(parseJson(answer.body, LIMITS)) as { records: { event: unknown }[] };
  assert.equal(records[0]?.event, event);
  await server.close();
});

test("records read over HTTP are those that another reader of the partition has decoded", async () => {
  const event = { n: 1 };
  const kept = new Map<RecordBatch, DecodedBatch>();
  const peek = (batch: RecordBatch) => {
    const decoded = kept.get(batch) ?? new DecodedBatch(batch);
    kept.set(batch, decoded);
    return decoded;
  };
  const server = fastify();
  server.setValidatorCompiler(parameterReader);
  mountStreamRoutes(server, routesOver([event], peek));
  const read = () => server.inject("/v1/streams/s/partitions/0/records");
  const before = await read();
  const [values] = [...kept.values()];
  assert.equal(values?.events, [event]);
  const decodesBefore = decodes.of(values?.stored.events ?? new Uint8Array());
  assert.is((await read()).body, before.body);
  assert.is(decodes.of(values?.stored.events ?? new Uint8Array()), decodesBefore);
  await server.close();
});

test("of a large batch only the records that are answered are decoded", async () => {
  const events = Array.from({ length: 1_000 }, (_, n) => ({ n }));
  const peeked: number[] = [];
  const peek = (batch: RecordBatch) => {
    peeked.push(batch.count);
    return new DecodedBatch(batch);
  };
  const server = fastify();
  server.setValidatorCompiler(parameterReader);
  mountStreamRoutes(server, routesOver(events, peek));
  const answer = await server.inject("/v1/streams/s/partitions/0/records?from=500&limit=3");
  const { records } = answer.json() as { records: { event: unknown; sequence: unknown }[] };
  assert.equal(
    records.map(({ event, sequence }) => [event, sequence]),
    [500, 501, 502].map((n) => [{ n }, [1, n, 0]]),
  );
  assert.equal(peeked, [3]);
  await server.close();
});

test.run();
