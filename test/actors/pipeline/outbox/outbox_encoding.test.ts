import { test } from "uvu";
import * as assert from "uvu/assert";
import { encodeOutputs } from "../../../../actors/pipeline/outbox/outbox_encoding.ts";
import type { OutboxRecord } from "../../../../actors/pipeline/outbox_record.ts";
import { decodeTrustedEvents } from "../../../../protocols/values/event_codec.ts";

const cycle: Record<string, unknown> = {};
cycle.again = cycle;

const outputsOf = (events: readonly Record<string, unknown>[]) =>
  events.map((event, at) => ({
    sequence: [7, at, 0] as const,
    event: { timeMs: at, event } satisfies OutboxRecord,
    input: { input: at },
  }));

for (const [name, odd] of Object.entries({ "an integer beyond 64 bits": 2n ** 70n, "a value inside itself": cycle })) {
  test(`${name} turns its output into a failure with the input, and leaves the other outputs alone`, () => {
    const events = [{ n: 0 }, { n: odd }, { n: 2 }];
    const stored = decodeTrustedEvents(encodeOutputs(outputsOf(events))) as unknown as OutboxRecord[];
    assert.equal(
      [stored[0], stored[2]],
      [
        { timeMs: 0, event: { n: 0 } },
        { timeMs: 2, event: { n: 2 } },
      ],
    );
    const failed = stored[1] !== undefined && "failed" in stored[1] ? stored[1].failed : undefined;
    assert.equal([failed?.code, failed?.event, stored[1]?.timeMs], ["STEP_FAILED", { input: 1 }, 1]);
    assert.match(failed?.reason ?? "", /^Cannot store output 0 of the record/);
  });
}

test("outputs that can be stored are stored as they are", () => {
  const events = [{ n: 2n ** 60n }, { text: "a" }];
  const stored = decodeTrustedEvents(encodeOutputs(outputsOf(events)));
  assert.equal(stored, [
    { timeMs: 0, event: { n: 2n ** 60n } },
    { timeMs: 1, event: { text: "a" } },
  ] as never);
});

test.run();
