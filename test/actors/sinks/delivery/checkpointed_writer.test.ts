import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkpointedWriter, decodePosition } from "../../../../actors/sinks/delivery/checkpointed_writer.ts";
import type { SinkBatch, SinkWriter, WriteOutcome } from "../../../../actors/sinks/sink.ts";
import { type Position, position } from "../../../../protocols/position.ts";
import { fakeCheckpoint, fakeSinkContext, sinkBatch } from "../../../support/fakes/fake_sink_context.ts";

const HELD: WriteOutcome = { kind: "held", durable: undefined };

/** A writer with a checkpoint, whose sink answers as the test says. */
function checkpointed() {
  const store = fakeCheckpoint();
  const { checkpoint } = fakeSinkContext(store, 1);
  const answers = { write: HELD as WriteOutcome, flush: undefined as Position | undefined, writes: 0 };
  const sink: SinkWriter = {
    position: async () => undefined,
    write: async () => {
      answers.writes += 1;
      return answers.write;
    },
    flush: async () => answers.flush,
    close: async () => {},
  };
  const writer = checkpointedWriter(sink, checkpoint);
  const stored = () => decodePosition(store.value)?.offset;
  return { writer, answers, store, stored, sink, checkpoint };
}

const empty = (to: number): SinkBatch => ({ ...sinkBatch(1, to, to), records: [] });

test("sink S10: the checkpoint follows the durable position, and not what is only held", async () => {
  const { writer, answers, stored } = checkpointed();
  assert.equal(await writer.write(sinkBatch(1, 0, 3)), { kind: "held", durable: undefined });
  assert.is(stored(), undefined);
  answers.write = { kind: "held", durable: position(1, 2) };
  assert.equal(await writer.write(sinkBatch(1, 4, 7)), { kind: "held", durable: position(1, 2) });
  assert.is(stored(), 2);
  answers.write = { kind: "written" };
  assert.equal(await writer.write(sinkBatch(1, 8, 9)), { kind: "written" });
  assert.is(stored(), 9, "a written batch is durable, with all before it");
});

test("sink S10: a batch without records moves the checkpoint over no batch that is held", async () => {
  const { writer, answers, stored } = checkpointed();
  await writer.write(sinkBatch(1, 0, 3));
  assert.equal(await writer.write(empty(4)), { kind: "held", durable: undefined });
  assert.equal([answers.writes, stored()], [1, undefined]);
  answers.flush = position(1, 3);
  assert.equal(await writer.flush?.(), position(1, 4), "the batch without records is durable with those before it");
  assert.is(stored(), 4);
  assert.equal(await writer.write(empty(5)), { kind: "written" });
  assert.is(stored(), 5);
});

test("sink S10: a sink that is durable up to a batch without records behind it moves the checkpoint over that one too", async () => {
  const { writer, answers, stored } = checkpointed();
  await writer.write(sinkBatch(1, 0, 3));
  answers.write = { kind: "held", durable: position(1, 5) };
  assert.equal(await writer.write(sinkBatch(1, 4, 5)), { kind: "held", durable: position(1, 5) });
  assert.is(stored(), 5);
});

test("a flush answers no further than the sink is durable, and never moves the checkpoint back", async () => {
  const { writer, answers, stored } = checkpointed();
  await writer.write(sinkBatch(1, 0, 3));
  answers.flush = position(1, 1);
  assert.equal(await writer.flush?.(), position(1, 1));
  for (const lower of [position(1, 0), undefined]) {
    answers.flush = lower;
    assert.equal(await writer.flush?.(), position(1, 1));
  }
  assert.is(stored(), 1);
});

test("a durable position that cannot be stored is stored by the next flush, which tells of its own failure", async () => {
  const { writer, answers, store, stored } = checkpointed();
  store.fault = () => {
    throw new Error("the log is away");
  };
  answers.write = { kind: "held", durable: position(1, 3) };
  assert.equal(await writer.write(sinkBatch(1, 0, 3)), { kind: "held", durable: undefined });
  answers.flush = position(1, 3);
  const failure = await writer.flush?.().catch((error: Error) => error.message);
  assert.is(failure, "the log is away");
  store.fault = undefined;
  assert.equal(await writer.flush?.(), position(1, 3));
  assert.is(stored(), 3);
});

test("an owner that is fenced learns so from a batch that is held", async () => {
  const { writer, answers, store } = checkpointed();
  store.fence = 2;
  answers.write = { kind: "held", durable: position(1, 3) };
  assert.is((await writer.write(sinkBatch(1, 0, 3))).kind, "fenced");
});

test("a sink that holds nothing has no flush", () => {
  const { sink, checkpoint } = checkpointed();
  const { flush: _, ...plain } = sink;
  assert.is(checkpointedWriter(plain, checkpoint).flush, undefined);
});

test.run();
