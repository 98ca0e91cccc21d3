import { test } from "uvu";
import * as assert from "uvu/assert";
import { traceFields } from "../../../actors/observers/trace_fields.ts";

const id = (n: number) => n.toString(16).padStart(32, "a");
const traceparent = (n: number) => `00-${id(n)}-b7ad6b7169203331-01`;

test("a log line names its only trace, or the first ten of several, each once", () => {
  assert.equal(traceFields([]), {});
  assert.equal(traceFields([undefined, "not a trace"]), {});
  assert.equal(traceFields([traceparent(1), undefined, traceparent(1)]), { traceId: id(1) });
  assert.equal(traceFields([traceparent(1), traceparent(2)]), { traceIds: [id(1), id(2)] });
  assert.is(traceFields(Array.from({ length: 500 }, (_, n) => traceparent(n))).traceIds?.length, 10);
});

test.run();
