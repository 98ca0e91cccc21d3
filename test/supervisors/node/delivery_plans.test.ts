import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkConfiguration } from "../../../supervisors/configuration/configuration.ts";
import { KNOWN_KINDS } from "../../../supervisors/configuration/known_kinds.ts";
import { type DeliveryParts, planDeliveries } from "../../../supervisors/node/delivery_plans.ts";

test("retention waits for each delivery of a stream by its own name, those of named outputs included", async () => {
  const loaded = await checkConfiguration(
    `streams: { orders: {}, payments: {} }
sinks: { out: { type: stdout }, missed: { type: stdout } }
pipelines:
  plain: { from: orders, to: [out, { sink: out, as: again }] }
  counted:
    from: [orders, payments]
    steps: [{ count: { by: event.k, every: 1m } }]
    to: [{ sink: out, as: slow }]
    outputs: { late: [missed, { sink: out, as: late }] }
`,
    "/",
    KNOWN_KINDS,
  );
  if (loaded.kind !== "loaded") throw new Error(JSON.stringify(loaded.problems));
  const metrics = { counter: () => ({ add: () => undefined }) };
  const plans = await planDeliveries(loaded.configuration, { metrics } as unknown as DeliveryParts);
  const ofPlain = ["sink/out", "sink/out@again"];
  const ofCounted = ["pipeline/counted", "sink/out@slow", "sink/missed", "sink/out@late"];
  assert.equal(plans.of("orders").consumers, [...ofPlain, ...ofCounted]);
  assert.equal(plans.of("payments").consumers, ["pipeline/counted"]);
  assert.equal([...(plans.pipelines.get("counted")?.outputs ?? [])], ["late"]);
});

test.run();
