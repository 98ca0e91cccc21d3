import { test } from "uvu";
import * as assert from "uvu/assert";
import { grantsOf } from "../../../../supervisors/security/access/grants.ts";
import { visibleMetrics } from "../../../../supervisors/security/access/visible_metrics.ts";

const TEXT = `# HELP headrace_events Events
# TYPE headrace_events counter
headrace_events{stream="orders",partition="0"} 1
headrace_events{sink="a",stream="payments",note="stream=\\"orders\\""} 2 1700000000
headrace_events{substream="orders"} 3
headrace_events{note="a,stream=\\"orders\\""} 4
headrace_up 1
`;
const shown = (...scopes: readonly string[]): number[] =>
  visibleMetrics(TEXT, grantsOf({ subject: "s", scopes, auditStream: "audit" }))
    .split("\n")
    .flatMap((line) => (line.startsWith("#") || line === "" ? [] : [Number(line.split("} ")[1]?.[0] ?? 5)]));

test("a token sees the samples of the streams of its scopes, whatever other labels say", () => {
  assert.equal(shown("produce:orders"), [1]);
  assert.equal(shown("consume:payments", "observe:orders"), [1, 2]);
  assert.equal(shown("consume"), [1, 2]);
});

test("samples without a stream are for tokens that may see all", () => {
  assert.equal(shown("observe"), [1, 2, 3, 4, 5]);
  assert.equal(shown("admin"), [1, 2, 3, 4, 5]);
});

test.run();
