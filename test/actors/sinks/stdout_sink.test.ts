import { test } from "uvu";
import * as assert from "uvu/assert";
import { stdoutSinkTo } from "../../../actors/sinks/stdout_sink.ts";
import { fakeCheckpoint, fakeSinkContext, sinkBatch } from "../../support/fake_sink_context.ts";

test("stdout prints a line for each record", async () => {
  const printed: string[] = [];
  const context = fakeSinkContext(fakeCheckpoint(), 1);
  const sink = await stdoutSinkTo(async (text) => void printed.push(text)).open({}, context);
  await sink.write(sinkBatch(1, 0, 1));
  assert.equal(printed, ['{"at":0,"ofEpoch":1}\n{"at":1,"ofEpoch":1}\n']);
});

test("a record without a line is rejected, and those before it are printed", async () => {
  const printed: string[] = [];
  const context = fakeSinkContext(fakeCheckpoint(), 1);
  const sink = await stdoutSinkTo(async (text) => void printed.push(text)).open({}, context);
  const batch = sinkBatch(1, 0, 2);
  const records = batch.records.map((record, at) => (at === 1 ? { ...record, event: { n: Number.NaN } } : record));
  const outcome = await sink.write({ ...batch, records });
  assert.is(outcome.kind === "taken" && outcome.count, 1);
  assert.equal(printed, ['{"at":0,"ofEpoch":1}\n']);
});

test.run();
