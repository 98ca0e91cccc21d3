import { test } from "uvu";
import * as assert from "uvu/assert";
import { SOURCES } from "../../../actors/sources/registry.ts";
import { sourceCases } from "../../../supervisors/conformance/conformance.ts";
import { FAKE_HARNESSES } from "./fake_places.ts";
import { fileHarness } from "./house_places.ts";

/** Kinds of the suite: the others need a server. */
const HERE = [fileHarness];
/** `sources_redis.test.ts` runs these. */
const ON_REDIS = ["redis", "redis_group"];
/** Makes its events by itself: no event of a place can be lost or read twice. */
const WITHOUT_PLACE = ["host_metrics"];

test("every kind of source that reads a place runs the suite", () => {
  const run = [...HERE.map(({ name }) => name), ...ON_REDIS, ...WITHOUT_PLACE];
  assert.equal([...SOURCES.keys()].sort(), run.sort());
});

for (const { name, run } of [...FAKE_HARNESSES, ...HERE].flatMap(sourceCases)) test(name, run);

test.run();
