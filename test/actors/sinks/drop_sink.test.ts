import { test } from "uvu";
import * as assert from "uvu/assert";
import { dropSink } from "../../../actors/sinks/drop_sink.ts";
import { SINKS } from "../../../actors/sinks/registry.ts";
import { fakeCheckpoint, fakeSinkContext, sinkBatch } from "../../support/fakes/fake_sink_context.ts";

test("the drop sink takes every record, keeps nothing, and claims no more than at least once", async () => {
  const checkpoint = fakeCheckpoint();
  const writer = await dropSink.open({}, fakeSinkContext(checkpoint, 1));
  assert.equal(await writer.write(sinkBatch(1, 0, 4)), { kind: "written" });
  assert.is(await writer.position(), undefined);
  assert.is(checkpoint.value, undefined);
  assert.is(SINKS.get("drop")?.delivery, "at_least_once");
  await writer.close();
});

test.run();
