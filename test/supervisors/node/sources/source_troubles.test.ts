import { test } from "uvu";
import * as assert from "uvu/assert";
import { SourceTroubles } from "../../../../supervisors/node/sources/source_troubles.ts";

const readings = (troubles: SourceTroubles) => [...troubles.readings()].map(([value, { code }]) => [code, value]);

test("a source is named once for each code of its shards, until the last of these shards reads again", () => {
  const troubles = new SourceTroubles();
  for (const shard of ["a", "b"]) troubles.tell("s", "ECONNREFUSED", shard);
  assert.equal(troubles.now(), [{ source: "s", code: "ECONNREFUSED" }]);
  troubles.tell("s", undefined, "a");
  assert.equal(readings(troubles), [["ECONNREFUSED", 1]]);
  troubles.tell("s", undefined, "b");
  assert.equal(troubles.now(), []);
  assert.equal(readings(troubles), [["ECONNREFUSED", 0]]);
});

test("a source that makes a code of any text fills no memory", () => {
  const troubles = new SourceTroubles();
  for (let code = 0; code < 1_000; code += 1) troubles.tell("s", `E${code}`);
  assert.ok(readings(troubles).length <= 51);
  assert.equal(troubles.now(), [{ source: "s", code: "OTHER" }]);
});

test.run();
