/** What one principal can not do to another at a whole node: take its producers, or use up its share. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeEvents } from "../../protocols/event_codec.ts";
import type { ClientFrame } from "../../protocols/frames.ts";
import { RawClient } from "../support/raw_client.ts";
import { runningNode } from "../support/running_node.ts";

const SECRETS = {
  VICTIM: "the token of the victim",
  OTHER: "the token of another principal",
  SLOW: "the token of a slow principal",
};
const YAML = `
log: { type: memory }
streams: { s: { partitions: 1 } }
security:
  tokens:
    - { name: victim, valueEnv: VICTIM, scopes: [produce] }
    - { name: other, valueEnv: OTHER, scopes: [produce] }
    - { name: slow, valueEnv: SLOW, scopes: [produce] }
  quotas:
    slow: { eventsPerSecond: 10, connections: 2, producers: 3 }
`;

const node = await runningNode(YAML, { secrets: SECRETS });
const hello = (producerId: string, token: string, instance = "i"): ClientFrame => ({
  ...{ type: "hello", client: "raw", minor: 0 },
  ...{ producerId, instance, token },
});
const events = encodeEvents([{ n: 1 }], { asRecords: false });

async function greeted(producerId: string, token: string, instance?: string) {
  const client = await RawClient.open(node.endpoint);
  return { client, answer: await client.ask(hello(producerId, token, instance)) };
}

test("another principal can not take a producer's name, fence it or move its chain", async () => {
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

test("connections beyond a principal's quota are told to come back later, and one that ends makes room", async () => {
  const first = await greeted("a", SECRETS.SLOW);
  const second = await greeted("b", SECRETS.SLOW);
  const third = await greeted("c", SECRETS.SLOW);
  assert.equal(
    [first, second, third].map(({ answer }) => (answer?.type === "error" ? answer.code : answer?.type)),
    ["welcome", "welcome", "QUOTA_EXCEEDED"],
  );
  assert.is(await third.client.closed, 1013);
  first.client.socket.close();
  await first.client.closed;
  const fourth = await greeted("d", SECRETS.SLOW);
  assert.is(fourth.answer?.type, "welcome");
  for (const { client } of [second, fourth]) client.end();
});

test("a principal that has as many producers as it may gets no further one, and keeps those that it has", async () => {
  const codes = [];
  for (const name of ["e", "a", "e"]) {
    const { client, answer } = await greeted(name, SECRETS.SLOW, "of another process");
    codes.push(answer?.type === "error" ? answer.code : answer?.type);
    client.socket.close();
    await client.closed;
  }
  assert.equal(codes, ["QUOTA_EXCEEDED", "welcome", "QUOTA_EXCEEDED"]);
});

test.after(() => void node.end());
test.run();
