/** A token sees its own streams only, and the audit records attempts to see or do more. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { configurationOf, eventually, nodeOfEachTest } from "../../support/processes/running_node.ts";

const SECRETS = {
  ADMIN: "the token of the administrator",
  ALL: "the token that observes all",
  ONE: "the token of one stream only",
};
const YAML = `
log: { type: memory }
streams: { orders: { partitions: 1 }, payments: { partitions: 1 } }
sinks:
  a: { type: file, directory: a }
  b: { type: file, directory: b }
pipelines:
  pa: { from: orders, to: [a] }
  pb: { from: payments, to: [b] }
security:
  audit: {}
  tokens:
    - { name: boss, valueEnv: ADMIN, scopes: [admin] }
    - { name: watcher, valueEnv: ALL, scopes: [observe] }
    - { name: sensor, valueEnv: ONE, scopes: ["produce:orders"] }
`;

const node = nodeOfEachTest(test, YAML, { secrets: SECRETS });
const ask = async (path: string, token: string, method = "GET") => {
  const answer = await fetch(`${node.address}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  return { status: answer.status, text: await answer.text() };
};

test("a token of one stream sees no other stream, on any route or in its welcome", async () => {
  const paths = ["/v1/streams", "/v1/sinks", "/v1/cluster", "/metrics", "/v1/cluster/decisions", "/v1/actors"];
  await eventually(async () => ((await ask("/v1/sinks", SECRETS.ONE)).text.includes("orders") ? true : undefined));
  const answers = await Promise.all(paths.map((path) => ask(path, SECRETS.ONE)));
  for (const [at, { text }] of answers.entries()) assert.not.match(text, /payments|audit/, paths[at]);
  assert.equal(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200, 403],
  );
  for (const at of [0, 1, 2]) assert.match(String(answers[at]?.text), /orders/);
  const tries = ["/v1/streams/nothing", "/v1/streams/nothing/partitions/0/records", "/v1/cluster/owners/payments/0"];
  for (const path of tries) assert.not.match((await ask(path, SECRETS.ONE)).text, /payments,|audit|, payments/, path);
  assert.is((await ask("/v1/cluster/owners/payments/0", SECRETS.ONE)).status, 404);
  const client = await RawClient.open(node.endpoint);
  const welcome = await client.ask({
    type: "hello",
    client: "raw",
    minor: 0,
    token: SECRETS.ONE,
    producerId: "p",
    instance: "i",
  });
  assert.equal(welcome?.type === "welcome" && Object.keys(welcome.streams), ["orders"]);
  const error = await client.ask({ type: "open", stream: "nothing", partition: 0, producerEpoch: 1 });
  assert.not.match(JSON.stringify(error), /payments|audit/);
  client.end();
});

test("the scope observe sees every stream and its sinks and reads none; the audit is for administrators", async () => {
  const streams = JSON.parse((await ask("/v1/streams", SECRETS.ALL)).text).streams as { readonly name: string }[];
  assert.equal(streams.map(({ name }) => name).sort(), ["orders", "payments"]);
  assert.is((await ask("/v1/actors", SECRETS.ALL)).status, 200);
  assert.match((await ask("/metrics", SECRETS.ALL)).text, /headrace_connections\{/);
  assert.is((await ask("/v1/streams/orders/partitions/0/records", SECRETS.ALL)).status, 403);
  assert.is((await ask("/v1/streams/audit/partitions/0/records", SECRETS.ALL)).status, 404);
  assert.is((await ask("/v1/streams/audit/partitions/0/records", SECRETS.ADMIN)).status, 200);
  const forged = await fetch(`${node.address}/v1/streams/audit/events`, {
    method: "POST",
    body: '{"kind":"forged"}',
    headers: { "content-type": "application/json", authorization: `Bearer ${SECRETS.ADMIN}` },
  });
  assert.is(forged.status, 403);
});

test("the audit records administration, refused logins, refused scopes and reloads, and sums up a flood", async () => {
  const from = JSON.parse((await ask("/v1/streams/audit", SECRETS.ADMIN)).text).partitions[0].endOffset as number;
  await ask("/v1/cluster/rebalance?secret=1", SECRETS.ADMIN, "POST");
  await ask("/v1/cluster/rebalance", SECRETS.ONE, "POST");
  assert.is((await ask("/v1/streams/orders/partitions/0/records?limit=x", SECRETS.ONE)).status, 403);
  for (let n = 0; n < 50; n += 1) await ask("/v1/sinks", "a token that nobody has");
  const client = await RawClient.open(node.endpoint);
  await client.ask({ type: "hello", client: "raw", minor: 0, token: "a token that nobody has" });
  const sensor = await RawClient.open(node.endpoint);
  await sensor.ask({ type: "hello", client: "raw", minor: 0, token: SECRETS.ONE });
  sensor.send({
    type: "subscribe",
    subscription: 1,
    stream: "payments",
    channel: "records",
    partitions: [{ partition: 0, from: "earliest" }],
    creditBytes: 1,
  });
  await sensor.next();
  await node.reload("the test");
  interface Told {
    readonly event: {
      readonly kind: string;
      readonly subject?: string;
      readonly action: string;
      readonly address?: string;
    };
  }
  const wanted = [
    /^admin_call boss POST \/v1\/cluster\/rebalance 127\.0\.0\.1$/,
    /^refused_scope sensor POST \/v1\/cluster\/rebalance 127\.0\.0\.1$/,
    /^refused_scope sensor GET \/v1\/streams\/orders\/partitions\/0\/records 127\.0\.0\.1$/,
    /^refused_login undefined GET \/v1\/sinks 127\.0\.0\.1$/,
    /^refused_login undefined hello 127\.0\.0\.1$/,
    /^refused_scope sensor a frame 127\.0\.0\.1$/,
    /^reload undefined the test undefined$/,
  ];
  const path = `/v1/streams/audit/partitions/0/records?from=${from}&limit=1000`;
  let lines: readonly string[] = [];
  await eventually(async () => {
    const { records } = JSON.parse((await ask(path, SECRETS.ADMIN)).text) as { readonly records: readonly Told[] };
    lines = records.map(({ event }) => `${event.kind} ${event.subject} ${event.action} ${event.address}`);
    return wanted.every((pattern) => lines.some((line) => pattern.test(line))) ? true : undefined;
  }).catch(() => assert.unreachable(lines.join("\n")));
  assert.is(lines.filter((line) => /^refused_login undefined GET/.test(line)).length, 1);
  sensor.end();
});

test("a stream that the token may not see is answered like a missing one, on every route", async () => {
  const HIDDEN = "payments";
  const ABSENT = "nothings"; // of as many letters, so that nothing but the name differs
  const doors: ((stream: string) => Promise<unknown>)[] = [
    (stream) => ask(`/v1/streams/${stream}`, SECRETS.ONE),
    (stream) => ask(`/v1/streams/${stream}/partitions/0/records`, SECRETS.ONE),
    (stream) => ask(`/v1/streams/${stream}/partitions/99/records?channel=rejected`, SECRETS.ONE),
    (stream) => ask(`/v1/cluster/owners/${stream}/0`, SECRETS.ONE),
    (stream) => ask(`/v1/cluster/partitions/${stream}/0`, SECRETS.ONE),
    (stream) => ask(`/v1/streams/${stream}/events`, SECRETS.ONE, "POST"),
    (stream) => ask(`/v1/replays/${stream}`, SECRETS.ONE),
    async (stream) => {
      const headers = { "content-type": "application/json", authorization: `Bearer ${SECRETS.ONE}` };
      const body = JSON.stringify({ name: "r", stream, sink: "a" });
      return (await fetch(`${node.address}/v1/replays`, { method: "POST", headers, body })).text();
    },
  ];
  const client = await RawClient.open(node.endpoint);
  await client.ask({ type: "hello", client: "raw", token: SECRETS.ONE, producerId: "q", instance: "i" });
  const partitions = (partition: number) => [{ partition, from: "earliest" as const }];
  for (const partition of [0, 99]) {
    doors.push((stream) => client.ask({ type: "open", stream, partition, producerEpoch: 1 }));
    doors.push((stream) => {
      const wanted = { subscription: 1, stream, partitions: partitions(partition), creditBytes: 1 };
      return client.ask({ type: "subscribe", ...wanted });
    });
    doors.push((stream) => {
      const place = { stream, partition, producerEpoch: 1, previousSequence: null };
      const sequences = { first: [0, 0, 0] as const, count: 1 };
      return client.ask({ type: "append", ...place, sequences, events: encodeEvents([{}], { asRecords: false }) });
    });
  }
  for (const door of doors) {
    const told = async (stream: string) => JSON.stringify(await door(stream)).replaceAll(stream, "<stream>");
    assert.is(await told(HIDDEN), await told(ABSENT));
  }
  assert.match(JSON.stringify(await doors[0]?.(HIDDEN)), /UNKNOWN_STREAM.*one of \[orders\]/);
  assert.match(JSON.stringify(await ask("/v1/streams/orders/partitions/0/records", SECRETS.ONE)), /FORBIDDEN/);
  client.end();
});

test("the audit's stream is the node's own: nothing in the configuration may write it or take its name", async () => {
  const refusal = (yaml: string) =>
    configurationOf(`${yaml}\nsecurity: { audit: {} }`, ".").then(
      () => "taken",
      (error: Error) => error.message,
    );
  assert.match(await refusal("streams: { audit: {} }"), /the audit's own/);
  assert.match(
    await refusal("streams: { s: {} }\nsinks: { o: { type: stream, stream: audit } }"),
    /unknown stream audit/,
  );
  assert.is(
    await refusal(
      "streams: {}\nsinks: { o: { type: file, directory: d } }\npipelines: { p: { from: audit, to: [o] } }",
    ),
    "taken",
  );
});

test.run();
