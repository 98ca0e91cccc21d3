import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { linesOf } from "../../support/file_sink_lines.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

/** Counts the events of each partition, draws a label at random, and fails on a null. */
const MODULE = `
export function create({ partition }) {
  let seen = 0;
  return {
    run(event) {
      if (event.n === null) throw new Error("no number");
      seen += 1;
      return { n: event.n, partition, seen, label: Math.random() };
    },
    snapshot: () => ({ seen }),
    restore(snapshot) { seen = snapshot.seen; },
  };
}
`;

const yaml = `
log: { type: lmdb }
streams: { numbers: { partitions: 1 } }
sinks:
  one: { type: file, directory: one }
  two: { type: file, directory: two }
pipelines:
  count: { from: numbers, steps: [{ call: "./count.mjs#create" }], to: [one, two] }
`;

interface Output {
  readonly n: number;
  readonly seen: number;
  readonly label: number;
}

test("a pipeline with state computes once: both sinks get the same outputs, and the state goes on after a restart", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-outbox-"));
  await writeFile(join(folder, "count.mjs"), MODULE);
  for (const life of [0, 1]) {
    const node = await runningNode(yaml, { folder });
    const producer = node.producer({ producerId: "p", stream: "numbers" });
    for (let n = life * 100; n < (life + 1) * 100; n += 1) await producer.send({ n });
    await producer.send({ n: null });
    await producer.close();
    const expected = (life + 1) * 100;
    for (const sink of ["one", "two"]) {
      await eventually(async () =>
        (await linesOf(join(folder, "data", sink))).length === expected ? true : undefined,
      );
    }
    // Each sink of the pipeline sets aside the event that a step failed on.
    await eventually(async () => {
      const { sinks } = (await (await fetch(`${node.address}/v1/sinks`)).json()) as {
        sinks: { deadLetters: number }[];
      };
      return sinks.length === 2 && sinks.every((sink) => sink.deadLetters === 1) ? true : undefined;
    });
    assert.equal(await node.end(), []);
  }
  const [one, two] = await Promise.all(["one", "two"].map((sink) => linesOf<Output>(join(folder, "data", sink))));
  assert.equal(one, two);
  assert.equal(
    one?.map(({ n, seen }) => [n, seen]),
    Array.from({ length: 200 }, (_, n) => [n, n + 1]),
  );
  await rm(folder, { recursive: true });
});

test.run();
