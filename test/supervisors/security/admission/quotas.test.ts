/**
 * The quota of one principal on a node: rates that are paid off, and connections that are counted. Other principals are
 * not touched.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { OverloadedError } from "../../../../protocols/errors.ts";
import { checkConfiguration } from "../../../../supervisors/configuration/configuration.ts";
import { KNOWN_KINDS } from "../../../../supervisors/configuration/known_kinds.ts";
import { createAccess } from "../../../../supervisors/security/access/access.ts";
import { Quotas } from "../../../../supervisors/security/admission/quotas.ts";

function quotasAt(terms: ConstructorParameters<typeof Quotas>[0]) {
  let nowMs = 1_000;
  return { quotas: new Quotas(terms, () => nowMs), pass: (ms: number) => (nowMs += ms) };
}

test("the events of one second may come at once, and a debt is paid off before more are admitted", () => {
  const { quotas, pass } = quotasAt({ plant: { eventsPerSecond: 100 } });
  const plant = quotas.of("plant");
  assert.is(plant?.take(100, 1_000_000), 0);
  plant?.admit();
  assert.is(plant?.take(50, 0), 500);
  assert.throws(
    () => plant?.admit(),
    (error: Error) => error instanceof OverloadedError && error.code === "QUOTA_EXCEEDED" && error.retryAfterMs === 500,
  );
  pass(500);
  plant?.admit();
});

test("bytes and events are each bounded, and the longer wait applies", () => {
  const { quotas } = quotasAt({ "*": { eventsPerSecond: 10, bytesPerSecond: 1_000 } });
  assert.is(quotas.of("anyone")?.take(20, 6_000), 5_000);
});

test("principals do not share a quota", () => {
  const { quotas } = quotasAt({ "*": { eventsPerSecond: 10 }, plant: { eventsPerSecond: 1_000 } });
  assert.ok((quotas.of("office")?.take(1_000, 0) ?? 0) > 0);
  quotas.of("home")?.admit();
  assert.is(quotas.of("plant")?.take(1_000, 0), 0);
  assert.is(
    quotasAt({ plant: { eventsPerSecond: 1 } })
      .quotas.of("office")
      .take(1_000_000, 0),
    0,
  );
  assert.is(
    quotasAt({ plant: { eventsPerSecond: 1 } })
      .quotas.of("constructor")
      .take(1_000_000, 0),
    0,
  );
});

test("open connections are counted over all tokens of a principal, and a closed one makes room", async () => {
  const tokens = [{ name: "plant", valueEnv: "A", scopes: ["produce"] }];
  const access = await createAccess(
    { tokens, origins: [], hosts: [], quotas: { plant: { connections: 2 } } },
    "127.0.0.1",
    async () => "a value of sixteen characters",
  );
  const hold = () => access.hold("a value of sixteen characters", undefined, () => undefined);
  const first = await hold();
  await hold();
  const refusal = await hold().catch((error: unknown) => error);
  assert.instance(refusal, OverloadedError);
  assert.match(String(refusal), /plant may have 2 connections to this node: current value is 2/);
  first?.stop();
  first?.stop(); // counted once
  assert.ok(await hold());
  assert.instance(await hold().catch((error: unknown) => error), OverloadedError);
});

test("a quota takes sizes with units, and refuses other texts", async () => {
  const text = (quota: string) =>
    `security:\n  tokens: [{ name: a, valueEnv: HOME, scopes: [produce] }]\n  quotas: { a: ${quota} }\n`;
  const loaded = await checkConfiguration(text("{ bytesPerSecond: 2MiB, connections: 3 }"), ".", KNOWN_KINDS);
  assert.equal(loaded.kind === "loaded" && loaded.configuration.security.quotas, {
    a: { bytesPerSecond: 2_097_152, connections: 3 },
  });
  assert.is((await checkConfiguration(text("{ eventsPerSecond: 0 }"), ".", KNOWN_KINDS)).kind, "refused");
});

test("new terms hold at once for connected principals, and their connections stay counted", () => {
  const { quotas } = quotasAt({ plant: { connections: 1 } });
  const plant = quotas.of("plant");
  assert.not(plant.hasRates);
  const disconnect = plant.connect();
  quotas.change({ "*": { eventsPerSecond: 10, connections: 1 } });
  assert.ok(plant.hasRates);
  assert.is(plant.take(30, 0), 2_000);
  assert.throws(() => quotas.of("plant").connect(), /may have 1 connections/);
  quotas.change({ "*": { eventsPerSecond: 10, connections: 2 } });
  assert.throws(() => plant.admit(), /may send 10 events/, "what is owed stays owed");
  quotas.change({});
  plant.admit();
  disconnect();
});

test.run();
