/** A crash leaves a line and a count; the stack is told where the fault is the program's own. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMetrics } from "../../../actors/observers/metrics.ts";
import { InvariantError, UnavailableError } from "../../../protocols/errors.ts";
import { reportingWorld } from "../../../supervisors/node/crash_reports.ts";

test("each crash is one line and one count, with its stack where it is a fault of the program", async () => {
  const lines: [string, string, Readonly<Record<string, unknown>>][] = [];
  const metrics = await createMetrics();
  const world = reportingWorld((level, message, fields = {}) => void lines.push([level, message, fields]), metrics);
  world.onCrash?.("streams/orders/0", new InvariantError("broken"));
  world.onCrash?.("streams/orders/1", new TypeError("undefined is not a function"));
  world.onCrash?.("sources/file", new UnavailableError("TIMEOUT", "silent"));
  assert.equal(
    lines.map(([level, , { actor, code, reason, stack }]) => [level, actor, code, reason, stack !== undefined]),
    [
      ["error", "streams/orders/0", "INVARIANT_VIOLATED", "broken", true],
      ["error", "streams/orders/1", undefined, "undefined is not a function", true],
      ["error", "sources/file", "TIMEOUT", "silent", false],
    ],
  );
  assert.match(await metrics.exposition(), /headrace_actor_crashes_total\{station="streams"[^}]*\} 2/);
  await metrics.close();
});

test.run();
