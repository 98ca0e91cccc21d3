import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RejectedEvent } from "../../../../protocols/client/producer/producer_options.ts";
import { Settlements } from "../../../../protocols/client/producer/settlements.ts";
import { InvariantError } from "../../../../protocols/errors.ts";

test("where a batch is refused behind its first events, these are stored or rejected by their verdicts, the rest refused", () => {
  const told: RejectedEvent[] = [];
  const unset = {
    sequence: undefined,
    position: undefined,
    traceparent: undefined,
    stored: undefined,
    confirm: undefined,
  };
  const slots = [0, 1, 2].map((n) => ({ stream: "s", partition: 0, event: { n }, ...unset }));
  const settlements = new Settlements({ onRejected: (event) => told.push(event) }, () => ({
    ...{ stream: "s", partition: 0, slots, sizeBytes: 30 },
  }));
  settlements.refused({
    type: "refused",
    batch: { id: 0, sequences: { first: [0, 7, 0], count: 3 }, wasSent: true },
    error: new InvariantError("a fault of the node"),
    storedCount: 2,
    verdicts: [{ sequence: [0, 7, 0], code: "SCHEMA_VIOLATION", path: "/n", reason: "was disliked" }],
  });
  assert.equal(
    told.map(({ event, code }) => [event, code]),
    [
      [{ n: 0 }, "SCHEMA_VIOLATION"],
      [{ n: 2 }, "INVARIANT_VIOLATED"],
    ],
  );
  assert.equal([settlements.outcome.stored, settlements.outcome.rejectedCount], [1, 2]);
});

test.run();
