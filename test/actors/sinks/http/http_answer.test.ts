import { test } from "uvu";
import * as assert from "uvu/assert";
import { retryAfterMs, retryDelay, verdictOf } from "../../../../actors/sinks/http/http_answer.ts";

test("each status has its verdict", () => {
  const verdicts = {
    taken: [200, 201, 202, 204, 299],
    wait: [
      300, 304, 401, 402, 403, 404, 405, 406, 407, 410, 411, 414, 415, 417, 421, 426, 428, 431, 451, 501, 505, 511,
    ],
    retry: [408, 425, 429, 500, 502, 503, 504, 507, 599],
    reject: [400, 409, 412, 413, 416, 418, 422, 423, 424, 499],
  } as const;
  for (const [verdict, statuses] of Object.entries(verdicts))
    for (const status of statuses) assert.is(verdictOf(status), verdict, String(status));
});

test("a status in the configuration wins over its class, and both win over the standard", () => {
  assert.is(verdictOf(404, { "404": "reject", "4xx": "retry" }), "reject");
  assert.is(verdictOf(422, { "404": "reject", "4xx": "retry" }), "retry");
  assert.is(verdictOf(503, { "4xx": "retry" }), "retry");
  assert.is(verdictOf(415, { "415": "reject" }), "reject");
  assert.is(verdictOf(501, { "5xx": "retry" }), "retry");
});

test("Retry-After may be a date, and is bounded", () => {
  const nowMs = Date.parse("2026-01-01T00:00:00Z");
  assert.is(retryAfterMs("Thu, 01 Jan 2026 00:00:30 GMT", nowMs), 30_000);
  assert.is(retryAfterMs("Wed, 31 Dec 2025 00:00:00 GMT", nowMs), 0);
  assert.is(retryAfterMs("999999999", nowMs), 300_000);
  assert.is(retryAfterMs("soon", nowMs), 1_000);
  assert.is(retryDelay(429, null, nowMs), 1_000, "429 without it: a second");
  assert.is(retryDelay(503, null, nowMs), undefined);
});

test.run();
