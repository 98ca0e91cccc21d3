import { test } from "uvu";
import * as assert from "uvu/assert";
import { epoch, offset } from "../../../protocols/position.ts";
import { rangesOf } from "../../../supervisors/replay/replay_ranges.ts";

/** A partition whose records 10 to 19 are kept: 10 to 14 of epoch 1, the others of epoch 2. */
const view = {
  ready: async () => undefined,
  bounds: () => ({
    epochs: [
      { epoch: epoch(1), firstOffset: offset(0) },
      { epoch: epoch(2), firstOffset: offset(15) },
    ],
    firstOffset: offset(10),
    endOffset: offset(20),
  }),
  seek: async (_channel: string, timeMs: number) =>
    timeMs < 100 ? undefined : { epoch: epoch(1), offset: offset(timeMs / 100) },
};
const directory = { partition: (_stream: string, partition: number) => (partition === 2 ? {} : { view }) } as never;
const REQUEST = {
  name: "r",
  stream: "s",
  channel: "records",
  from: "earliest",
  to: "latest",
  isDryRun: false,
} as const;
const range = async (from: object | "earliest", to: object | "latest") => {
  const [found] = await rangesOf({ ...REQUEST, from, to, partitions: [0] } as never, 2, directory);
  return [found?.after, found?.last];
};

test("R2: a replay reads from the first kept record to the end that is there when it begins", async () => {
  assert.equal(await range("earliest", "latest"), [
    { epoch: 1, offset: 9 },
    { epoch: 2, offset: 19 },
  ]);
});

test("R2: an offset is the first record, or the first one after the last; a time is sought in the log", async () => {
  assert.equal(await range({ offset: 15 }, { offset: 16 }), [
    { epoch: 1, offset: 14 },
    { epoch: 2, offset: 15 },
  ]);
  assert.equal((await range("earliest", { offset: 900 }))[1], { epoch: 2, offset: 19 }, "beyond the end");
  assert.equal((await range({ timeMs: 1_100 }, "latest"))[0], { epoch: 1, offset: 11 });
  assert.equal((await range({ timeMs: 5 }, "latest"))[0], { epoch: 1, offset: 9 }, "before every record");
});

test("a range without records has no last one", async () => {
  assert.equal((await range({ offset: 15 }, { offset: 15 }))[1], null);
  assert.equal((await range({ offset: 900 }, "latest"))[1], null);
});

test("all partitions are read unless some are named, and one without an owner is refused by name", async () => {
  const ranges = await rangesOf(REQUEST as never, 2, directory);
  assert.equal(
    ranges.map(({ partition }) => partition),
    [0, 1],
  );
  const refusal = await rangesOf(REQUEST as never, 3, directory).catch((error: Error) => error);
  assert.match((refusal as Error).message, /Cannot replay s\/2 as a node must own the partition/);
});

test.run();
