import { test } from "uvu";
import * as assert from "uvu/assert";
import { nearest } from "../../../supervisors/configuration/nearest_word.ts";

test("two swapped letters are one slip: a short word with them still has its suggestion", () => {
  assert.is(nearest("form", ["to", "from", "steps"]), "from");
  assert.is(nearest("Form", ["from"]), "from", "case is no slip");
});

test("a word too far from every known one has no suggestion, and of two the nearer is suggested", () => {
  assert.is(nearest("form", ["to", "steps"]), undefined);
  assert.is(nearest("partitons", ["partition", "partitions"]), "partitions");
});

test.run();
