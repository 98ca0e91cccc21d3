import { test } from "uvu";
import * as assert from "uvu/assert";
import { followTail } from "../../dashboard/tail.ts";
import type { ConsumedItem, SubscribeOptions } from "../../protocols/mod.ts";
import { position } from "../../protocols/position.ts";

const item = (partition: number, offset: number, endOffset: number): ConsumedItem => ({
  kind: "records",
  stream: "s",
  partition,
  endOffset,
  records: [
    {
      position: position(3, offset),
      event: { offset },
      appendedAtMs: 0,
      schemaVersion: 0,
      producerId: undefined,
      traceparent: undefined,
    },
  ],
});

/** Answers each subscription with the next of these lists, then aborts. */
async function follow(answers: readonly (readonly ConsumedItem[])[]) {
  const ending = new AbortController();
  const asked: SubscribeOptions["partitions"][] = [];
  const seen: string[] = [];
  let skipped = 0;
  const consumer = {
    async *subscribe(options: SubscribeOptions) {
      const answer = answers[asked.length] ?? [];
      asked.push(options.partitions);
      yield* answer;
      if (asked.length >= answers.length) ending.abort();
    },
  };
  await followTail(consumer, {
    stream: "s",
    channel: "records",
    starts: [
      { partition: 0, from: { offset: 7 } },
      { partition: 1, from: "latest" },
    ],
    signal: ending.signal,
    onRecords: (records) => seen.push(...records.map((one) => `${one.partition}/${one.position.offset}`)),
    onSkipped: (count) => {
      skipped += count;
    },
  });
  return { asked, seen, skipped };
}

test("a page that keeps up sees every record, from where it was told to begin", async () => {
  const { asked, seen, skipped } = await follow([[item(0, 7, 9), item(0, 8, 9), item(1, 40, 41)]]);
  assert.equal(seen, ["0/7", "0/8", "1/40"]);
  assert.equal(asked, [
    [
      { partition: 0, from: { offset: 7 } },
      { partition: 1, from: "latest" },
    ],
  ]);
  assert.is(skipped, 0);
});

test("a page that falls behind in one partition goes on near its end, and keeps its place in the others", async () => {
  const { asked, seen, skipped } = await follow([[item(1, 40, 41), item(0, 7, 10_000), item(0, 8, 10_000)], []]);
  assert.equal(seen, ["1/40", "0/7"]);
  assert.is(skipped, 9_942);
  assert.equal(asked[1], [
    { partition: 0, from: { offset: 9_950 } },
    { partition: 1, from: { epoch: 3, offset: 40 } },
  ]);
});

test.run();
