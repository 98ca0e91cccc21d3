import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FailureOptions, failuresIn } from "../../../../actors/sinks/http/http_failures.ts";

const found = (body: unknown, count: number, options: FailureOptions) => {
  const failures = failuresIn(JSON.stringify(body), count, options);
  return typeof failures === "string" ? failures : failures.map(({ at, verdict, reason }) => [at, verdict, reason]);
};

test("an entry for each record, with a status below the only key of a map", () => {
  const items = [
    { index: { status: 201 } },
    { create: { status: 409, error: { reason: "exists" } } },
    { index: { status: 503 } },
  ];
  const options = { list: "/items", status: "/*/status", reason: "/*/error/reason" };
  assert.equal(found({ errors: true, items }, 3, options), [
    [1, "reject", "409 exists"],
    [2, "retry", "503"],
  ]);
});

test("an entry for each failure, with the index of its record", () => {
  const options = { list: "/insertErrors", index: "/index", reason: "/errors/0/message" };
  const insertErrors = [
    { index: 2, errors: [{ message: "bad" }] },
    { index: 0, errors: [{ message: "worse" }] },
  ];
  assert.equal(found({ insertErrors }, 3, options), [
    [0, "reject", "worse"],
    [2, "reject", "bad"],
  ]);
});

test("a list of indexes", () => {
  assert.equal(found({ failed: [1] }, 2, { list: "/failed", index: "" }), [[1, "reject", "1"]]);
});

test("an entry whose status is no number is a failure; an entry without a status was taken", () => {
  const options = { list: "/records", status: "/ErrorCode" };
  const records = [{ RecordId: "1" }, { ErrorCode: "ThroughputExceeded" }];
  assert.equal(found({ records }, 2, options), [[1, "reject", "ThroughputExceeded"]]);
});

test("if the body has nothing at the list's place, all records were taken", () => {
  assert.equal(found({}, 2, { list: "/failed", index: "" }), []);
  assert.equal(found({ failed: null }, 2, { list: "/failed", index: "" }), []);
});

test("a body that does not fit the options is reported, and no record counts as taken", () => {
  assert.match(failuresIn("<html>", 1, { list: "/a" }) as string, /must be JSON/);
  assert.match(found({ a: 1 }, 1, { list: "/a" }) as string, /must lead to a list/);
  assert.match(found({ a: [{}] }, 2, { list: "/a" }) as string, /an entry for each of 2 records: it holds 1/);
  for (const index of [5, -1, 0.5, "0", null])
    assert.match(found({ a: [{ index }] }, 2, { list: "/a", index: "/index" }) as string, /an index below 2/);
});

test.run();
