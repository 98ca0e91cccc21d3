import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { REFERENCE_FILE, renderReference } from "../../scripts/configuration_reference.ts";

test("docs/configuration.md equals the schemas (rewrite it with scripts/configuration_reference.ts)", () => {
  assert.fixture(readFileSync(REFERENCE_FILE, "utf8"), renderReference());
});

test("no cell of a table has more than 40 words, and every option has a meaning", () => {
  const rows = renderReference()
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  for (const row of rows) {
    const cells = row.split(/(?<!\\)\|/).slice(1, -1);
    for (const cell of cells) assert.ok(cell.trim().split(/\s+/).length <= 40, row);
    assert.is.not(cells.at(-1)?.trim(), "", row);
  }
});

test.run();
