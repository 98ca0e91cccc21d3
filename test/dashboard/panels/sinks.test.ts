import { test } from "uvu";
import * as assert from "uvu/assert";
import { sumSinks } from "../../../dashboard/panels/sinks.tsx";

const standing = {
  sink: "hook",
  stream: "orders",
  partition: 0,
  state: "delivering",
  deliveredRecords: 1,
  deadLetters: 0,
};

test("a row is the delivery of one stream to a sink, over its partitions", () => {
  const rows = sumSinks([
    { ...standing, lagRecords: 1 },
    { ...standing, lagRecords: 2, partition: 1 },
    { ...standing, lagRecords: 4, as: "slow" },
    { ...standing, lagRecords: 8, stream: "payments" },
  ]);
  assert.equal(
    rows.map(({ name, from, lagRecords }) => [name, from, lagRecords]),
    [
      ["hook", "orders", 3],
      ["hook@slow", "orders", 4],
      ["hook", "payments", 8],
    ],
  );
});

test.run();
