import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { onnxDriver } from "../../../actors/enrichment/onnx_driver.ts";
import { bankRequest } from "../../../models/bank_request/bank_request_model.ts";
import { stackRows } from "../../../models/rows.ts";
import samples from "./samples.json" with { type: "json" };

test("the features of each sample are those of the training: the artifact answers as it did there", async () => {
  const { inputs, artifact } = bankRequest.card;
  const bytes = await readFile(new URL(`../../../models/bank_request/${artifact.file}`, import.meta.url));
  const session = await onnxDriver().open(bytes, { artifactBytesMax: artifact.sizeBytes });
  const rows = samples.map(({ text }) => {
    const prepared = bankRequest.prepare({ text });
    if (prepared.kind === "refused") throw new Error(prepared.reason);
    return prepared.row;
  });
  const { units } = await session.run(stackRows(inputs, rows));
  await session.close();
  assert.ok(samples.length > 10);
  for (const [at, { text, units: expected }] of samples.entries())
    assert.is(units?.data[at], expected, text.slice(0, 60));
});

test("a score has four decimals", () => {
  const scoreOf = (units: number) => bankRequest.finish({ units: Int32Array.of(units) });
  assert.equal(scoreOf(0), { kind: "result", result: { score: 0.5 } });
  assert.equal(scoreOf(-41), { kind: "result", result: { score: 0.1534 } });
  assert.equal(scoreOf(-2_147_483_648), { kind: "result", result: { score: 0 } });
  assert.equal(scoreOf(2_147_483_647), { kind: "result", result: { score: 1 } });
});

test.run();
