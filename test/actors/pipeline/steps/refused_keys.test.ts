import { test } from "uvu";
import * as assert from "uvu/assert";
import { STATE_LIMITS } from "../../../../actors/pipeline/keyed_state.ts";
import { compilePipeline, freshTables, type StepSettings } from "../../../../actors/pipeline/pipeline.ts";
import { partitionId, position } from "../../../../protocols/position.ts";

/** Records of one key, which has `characters` characters: the codes of those set aside, and the keys left in a table. */
async function refused(step: StepSettings, table: string, characters: number) {
  const pipeline = await compilePipeline("p", [step], "/");
  const tables = freshTables();
  const partition = { stream: "left", partition: partitionId(0) };
  const events = Array.from({ length: 5 }, () => ({ key: "k".repeat(characters) }));
  const { failures } = await pipeline.instantiate(partition, tables).run({
    ...{ partition, events, positions: events.map((_, at) => position(1, at)), timesMs: events.map(() => 1_000) },
    sources: events.map(() => partition),
    watermarks: { beforeMs: events.map(() => 0), after: undefined, endMs: 0 },
  });
  return { codes: [...failures.values()].map(({ code }) => code), kept: tables(table, STATE_LIMITS).size };
}

const count: StepSettings = { count: { by: "event.key", every: 60_000 } };
const join: StepSettings = { join: { on: { left: "event.key", right: "event.key" }, within: 60_000 } };
const STATE_FULL = Array(5).fill("STATE_FULL");
const text = (value: unknown) => JSON.stringify(value);
const isEqual = (left: unknown, right: unknown) => text(left) === text(right);

test("a record whose key fits the state, and whose timer's name does not, is set aside and leaves nothing behind", async () => {
  for (const [step, table, kept] of [
    [count, "count/counts", 1],
    [join, "join/kept", 5],
  ] as const) {
    const lengths = Array.from({ length: 90 }, (_, at) => 940 + at);
    const found = await Promise.all(lengths.map((characters) => refused(step, table, characters)));
    for (const one of found) {
      assert.ok(
        [
          { codes: [], kept },
          { codes: STATE_FULL, kept: 0 },
        ].some((whole) => isEqual(one, whole)),
        text(one),
      );
    }
    assert.equal([found[0]?.kept, found.at(-1)?.kept], [kept, 0]);
  }
});

test.run();
