import { test } from "uvu";
import * as assert from "uvu/assert";
import { keyWarnings } from "../../../supervisors/configuration/configuration_keys.ts";
import type { Raw } from "../../../supervisors/configuration/configuration_raw.ts";

const STREAMS = {
  orders: { partitions: 4, key: "/customer/id" },
  payments: { partitions: 4, key: "/order" },
  loose: { partitions: 4 },
  single: { partitions: 1 },
};

function warningsFor(from: string | string[], ...steps: object[]): readonly string[] {
  const raw = { streams: STREAMS, pipelines: { p: { from, steps, to: ["s"] } } } as unknown as Raw;
  return keyWarnings(raw, () => 7).map(({ path, reason }) => `${path}: ${reason}`);
}

const count = (by: string) => ({ count: { by, every: "1m" } });
const join = (on: object) => ({ join: { on, within: "10m" } });

test("a count by the key of its stream, or over one partition, is not warned of", () => {
  assert.equal(warningsFor("orders", count("event.customer.id")), []);
  assert.equal(warningsFor("single", count("event.anything")), []);
  assert.equal(warningsFor("orders", { filter: "true" }, count(" event.customer.id ")), []);
});

test("a count by another field than the key is warned of, with both", () => {
  const [warning, ...others] = warningsFor("orders", { filter: "true" }, count("event.country"));
  assert.equal(others, []);
  assert.match(String(warning), "/pipelines/p/steps/1/count/by: records with one value of event.country may lie in");
  assert.match(String(warning), "several of the 4 partitions of orders, as its key is /customer/id");
});

test("a join is warned of for each stream whose records of one key may lie in several partitions", () => {
  const warnings = warningsFor(["loose", "payments"], join({ loose: "event.id", payments: "event.order" }));
  assert.is(warnings.length, 1);
  assert.match(String(warnings[0]), "/pipelines/p/steps/0/join/on/loose");
  assert.match(String(warnings[0]), "as it has no key");
});

test("nothing is said of an expression that is more than a field, where the stream has a key", () => {
  assert.equal(warningsFor("payments", count("string(event.order) + '!'")), []);
  assert.is(warningsFor("loose", count("string(event.order) + '!'")).length, 1);
});

test("nothing is said of a step behind one that makes new events", () => {
  assert.equal(warningsFor("orders", { map: { a: "event.b" } }, count("event.a")), []);
});

test.run();
