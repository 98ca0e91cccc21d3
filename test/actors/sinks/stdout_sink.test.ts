import { test } from "uvu";
import * as assert from "uvu/assert";
import { printWhole, stdoutSinkTo } from "../../../actors/sinks/stdout_sink.ts";
import { fakeCheckpoint, fakeSinkContext, sinkBatch } from "../../support/fakes/fake_sink_context.ts";

test("stdout prints a line for each record", async () => {
  const printed: string[] = [];
  const context = fakeSinkContext(fakeCheckpoint(), 1);
  const sink = await stdoutSinkTo(async (text) => void printed.push(text)).open({}, context);
  await sink.write(sinkBatch(1, 0, 1));
  assert.equal(printed, ['{"at":0,"ofEpoch":1}\n{"at":1,"ofEpoch":1}\n']);
});

test("S7, S8: a record that JSON cannot express is rejected, and the records before it are printed", async () => {
  const printed: string[] = [];
  const context = fakeSinkContext(fakeCheckpoint(), 1);
  const sink = await stdoutSinkTo(async (text) => void printed.push(text)).open({}, context);
  const batch = sinkBatch(1, 0, 2);
  const records = batch.records.map((record, at) => (at === 1 ? { ...record, event: { n: Number.NaN } } : record));
  const outcome = await sink.write({ ...batch, records });
  assert.is(outcome.kind === "taken" && outcome.count, 1);
  assert.equal(printed, ['{"at":0,"ofEpoch":1}\n']);
});

test("a text that a full disk cuts is printed whole, on a line of its own, once the disk has room", async () => {
  let room = 12;
  let printed = "";
  const print = printWhole((bytes) => {
    if (room === 0) throw new Error("ENOSPC");
    const taken = Math.min(room, 5, bytes.length);
    room -= taken;
    printed += bytes.subarray(0, taken);
    return taken;
  });
  await print("one\n");
  const cut = await print("two, three\n").then(
    () => undefined,
    (error: Error) => error.message,
  );
  assert.is(cut, "ENOSPC");
  room = 100;
  await print("two, three\n");
  assert.is(printed, "one\ntwo, thr\ntwo, three\n");
});

test.run();
