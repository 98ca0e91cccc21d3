import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { linesOf } from "../../support/file_sink_lines.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

/** A function and a sink that change what they are given, in place and deep inside. */
const MODULE = `
export function change(event) {
  delete event.amount;
  event.tags.push("changed");
  return event;
}
export const greedy = {
  type: "greedy",
  delivery: "at_least_once",
  optionsSchema: { type: "object", additionalProperties: false },
  async open() {
    return {
      position: async () => undefined,
      write: async ({ records }) => {
        for (const { event } of records) { event.tags.length = 0; delete event.amount; }
        return { kind: "written" };
      },
      close: async () => {},
    };
  },
};
`;

const YAML = `
log: { type: memory }
streams: { orders: { partitions: 1 } }
sinks:
  changed: { type: file, directory: changed }
  plain: { type: file, directory: plain }
  filtered: { type: file, directory: filtered }
  own: { type: "./module.mjs#greedy" }
pipelines:
  first: { from: orders, to: [own] }
  change: { from: orders, steps: [{ call: "./module.mjs#change" }], to: [changed] }
  plain: { from: orders, to: [plain] }
  filter: { from: orders, steps: [{ filter: "has(event.amount)" }], to: [filtered] }
`;

test("a function or a sink of the user's that changes its events in place changes them for nobody else", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-whole-"));
  await writeFile(join(folder, "module.mjs"), MODULE);
  const node = await runningNode(YAML, { folder });
  const producer = node.producer({ producerId: "p", stream: "orders" });
  for (let n = 0; n < 60; n += 1) await producer.send({ n, amount: n, tags: ["new"] });
  await producer.close();
  const held = async (sink: string) => {
    const lines = await eventually(async () => {
      const found = await linesOf(join(folder, "data", sink));
      return found.length >= 60 ? found : undefined;
    });
    return lines.map((line) => (typeof line === "string" ? JSON.parse(line) : line));
  };
  const whole = Array.from({ length: 60 }, (_, n) => ({ n, amount: n, tags: ["new"] }));
  assert.equal(await held("plain"), whole);
  assert.equal(await held("filtered"), whole);
  assert.equal(
    await held("changed"),
    whole.map(({ n }) => ({ n, tags: ["new", "changed"] })),
  );
  await node.end();
  await rm(folder, { recursive: true, force: true });
});

test.run();
