import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { REFERENCE_FILE, renderReference } from "../../scripts/configuration_reference.ts";

test("docs/configuration.md equals the schemas (rewrite it with scripts/configuration_reference.ts)", () => {
  assert.fixture(readFileSync(REFERENCE_FILE, "utf8"), renderReference());
});

test.run();
