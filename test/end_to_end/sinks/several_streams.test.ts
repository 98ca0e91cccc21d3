/** Pipelines of several streams into one sink, and one pipeline of several streams. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { linesOf } from "../../support/file_sink_lines.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

const yaml = `
log: { type: lmdb }
streams:
  web: { partitions: 2 }
  shop: { partitions: 2 }
  all: { partitions: 1 }
sinks:
  files: { type: file, directory: files }
  all: { type: stream, stream: all }
  both: { type: file, directory: both }
pipelines:
  web: { from: web, to: [files, all] }
  shop: { from: shop, steps: [{ call: "./mark.mjs" }], to: [files, all] }
  both: { from: [web, shop], steps: [{ map: { n: event.n, stream: stream } }], time: { idleAfter: 100ms }, to: [both] }
`;
const MODULE = "export default (event) => ({ ...event, isMarked: true });\n";
const EACH = 50;

test("two streams meet in one sink, each with its own position, and a pipeline of both reads each record once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-shared-"));
  await writeFile(join(folder, "mark.mjs"), MODULE);
  for (const life of [0, 1]) {
    const node = await runningNode(yaml, { folder });
    for (const stream of ["web", "shop"]) {
      const producer = node.producer({ producerId: stream, stream });
      for (let n = life * EACH; n < (life + 1) * EACH; n += 1) await producer.send({ n }, { partition: n % 2 });
      await producer.close();
    }
    const expected = 2 * EACH * (life + 1);
    for (const sink of ["files", "both"]) {
      await eventually(async () =>
        (await linesOf(join(folder, "data", sink))).length === expected ? true : undefined,
      );
    }
    await eventually(async () => {
      const response = await fetch(`${node.address}/v1/streams/all`);
      const { partitions } = (await response.json()) as { partitions: { endOffset: number }[] };
      return partitions[0]?.endOffset === expected ? true : undefined;
    });
    assert.equal(await node.end(), []);
  }
  const numbersOf = (lines: readonly { readonly n: number }[]) =>
    lines.map(({ n }) => n).sort((left, right) => left - right);
  const all = Array.from({ length: 2 * EACH }, (_, n) => n);
  const files = await linesOf<{ n: number; isMarked?: boolean }>(join(folder, "data", "files"));
  assert.equal(numbersOf(files.filter(({ isMarked }) => isMarked === true)), all);
  assert.equal(numbersOf(files.filter(({ isMarked }) => isMarked !== true)), all);
  const both = await linesOf<{ n: number; stream: string }>(join(folder, "data", "both"));
  for (const stream of ["web", "shop"]) assert.equal(numbersOf(both.filter((line) => line.stream === stream)), all);
  await rm(folder, { recursive: true });
});

test.run();
