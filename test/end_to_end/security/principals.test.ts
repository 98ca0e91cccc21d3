/** On a whole node, one principal can neither take another's producers nor use up its share. */
import { once } from "node:events";
import http from "node:http";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import type { ClientFrame } from "../../../protocols/wire/frames.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const SECRETS = {
  VICTIM: "the token of the victim",
  OTHER: "the token of another principal",
  SLOW: "the token of a slow principal",
  BURST: "the token of a principal in a hurry",
  SMALL: "the token of a small principal",
};
const YAML = `
log: { type: memory }
streams: { s: { partitions: 1 }, few: { partitions: 1, producersMax: 9 } }
security:
  tokens:
    - { name: victim, valueEnv: VICTIM, scopes: [produce] }
    - { name: other, valueEnv: OTHER, scopes: [produce] }
    - { name: slow, valueEnv: SLOW, scopes: [produce] }
    - { name: burst, valueEnv: BURST, scopes: [produce] }
    - { name: small, valueEnv: SMALL, scopes: [produce] }
  quotas:
    slow: { eventsPerSecond: 10 }
    burst: { eventsPerSecond: 10 }
    small: { connections: 2, producers: 3 }
`;

const node = nodeOfEachTest(test, YAML, { secrets: SECRETS });
const hello = (producerId: string, token: string, instance = "i"): ClientFrame => ({
  ...{ type: "hello", client: "raw", minor: 0 },
  ...{ producerId, instance, token },
});
const events = encodeEvents([{ n: 1 }], { asRecords: false });

async function greeted(producerId: string, token: string, instance?: string) {
  const client = await RawClient.open(node.endpoint);
  return { client, answer: await client.ask(hello(producerId, token, instance)) };
}

test("another principal cannot take a producer's name, fence it or move its chain", async () => {
  const { client, answer } = await greeted("sensor-1", SECRETS.VICTIM);
  const producerEpoch = answer?.type === "welcome" ? (answer.producerEpoch ?? 0) : 0;
  const place = { stream: "s", partition: 0, producerEpoch };
  await client.ask({ type: "open", ...place });
  const attack = await greeted("sensor-1", SECRETS.OTHER, "of the attacker");
  assert.is(attack.answer?.type === "error" && attack.answer.code, "FORBIDDEN");
  const sequences = { first: [0, 0, 0] as const, count: 1 };
  const ack = await client.ask({ type: "append", ...place, previousSequence: null, sequences, events });
  assert.is(ack?.type, "ack");
  const again = await greeted("sensor-1", SECRETS.VICTIM, "its next life");
  assert.is(again.answer?.type, "welcome");
  for (const one of [client, attack.client, again.client]) one.end();
});

test("one principal cannot take all places of a partition: others get one, with no quota", async () => {
  const clients: RawClient[] = [];
  const opened = async (producerId: string, token: string) => {
    const { client, answer } = await greeted(producerId, token);
    clients.push(client);
    const producerEpoch = answer?.type === "welcome" ? (answer.producerEpoch ?? 0) : 0;
    return client.ask({ type: "open", stream: "few", partition: 0, producerEpoch });
  };
  for (let n = 0; n < 8; n += 1) assert.is((await opened(`greedy-${n}`, SECRETS.OTHER))?.type, "opened");
  const refused = await opened("greedy-8", SECRETS.OTHER);
  assert.ok(refused?.type === "error" && refused.code === "TOO_MANY_PRODUCERS");
  assert.match(refused.message, /it has 8, and 1 are free/);
  assert.is((await opened("modest", SECRETS.VICTIM))?.type, "opened");
  for (const client of clients) client.end();
});

test("a principal beyond its quota waits, and others do not", async () => {
  const post = (token: string, count: number) =>
    fetch(`${node.address}/v1/streams/s/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(Array.from({ length: count }, (_, n) => ({ n }))),
    });
  assert.is((await post(SECRETS.SLOW, 1_000)).status, 200, "what was taken is taken");
  const refused = await post(SECRETS.SLOW, 1);
  assert.is(refused.status, 429);
  assert.ok(Number(refused.headers.get("retry-after")) > 60);
  assert.is(((await refused.json()) as { code: string }).code, "QUOTA_EXCEEDED");
  assert.is((await post(SECRETS.OTHER, 1_000)).status, 200);
});

test("requests that began together share one quota", async () => {
  // The node has admitted the heads of all requests before the first one's size is known.
  const { port } = new URL(node.address);
  const headers = {
    authorization: `Bearer ${SECRETS.BURST}`,
    "content-type": "application/json",
    expect: "100-continue",
  };
  const begun = Array.from({ length: 5 }, () => {
    const request = http.request({ port, host: "127.0.0.1", method: "POST", path: "/v1/streams/s/events", headers });
    request.flushHeaders();
    return request;
  });
  await Promise.all(begun.map((request) => once(request, "continue")));
  const answers = begun.map(async (request) => {
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    response.resume();
    return response.statusCode;
  });
  for (const request of begun) request.end(JSON.stringify(Array.from({ length: 1_000 }, (_, n) => ({ n }))));
  assert.equal((await Promise.all(answers)).sort(), [200, 429, 429, 429, 429]);
});

test("connections beyond a principal's quota are refused for now, and one that ends makes room", async () => {
  const first = await greeted("a", SECRETS.SMALL);
  const second = await greeted("b", SECRETS.SMALL);
  const third = await greeted("c", SECRETS.SMALL);
  assert.equal(
    [first, second, third].map(({ answer }) => (answer?.type === "error" ? answer.code : answer?.type)),
    ["welcome", "welcome", "QUOTA_EXCEEDED"],
  );
  assert.is(await third.client.closed, 1013);
  first.client.socket.close();
  await first.client.closed;
  const fourth = await greeted("d", SECRETS.SMALL);
  assert.is(fourth.answer?.type, "welcome");
  for (const { client } of [second, fourth]) client.end();
});

test("a principal at its quota of producers gets no further one, and keeps the others", async () => {
  const codes = [];
  for (const name of ["a", "b", "c", "e", "a", "e"]) {
    const { client, answer } = await greeted(name, SECRETS.SMALL, "of another process");
    codes.push(answer?.type === "error" ? answer.code : answer?.type);
    client.socket.close();
    await client.closed;
  }
  assert.equal(codes, ["welcome", "welcome", "welcome", "QUOTA_EXCEEDED", "welcome", "QUOTA_EXCEEDED"]);
});

test.run();
