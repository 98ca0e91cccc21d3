import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bankRequest, TEXT_UNITS_MAX, WORDS_MAX } from "../../../models/bank_request/bank_request_model.ts";
import type { ModelDefinition } from "../../../models/model.ts";
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { type ModelHarness, modelCases } from "./model_suite.ts";

const MODELS = new URL("../../../models/", import.meta.url);

const artifactOf = ({ card }: ModelDefinition) =>
  readFile(new URL(`${card.name}/${card.artifact.file}`, MODELS)).then((bytes) => new Uint8Array(bytes));

const word = fc.oneof(
  fc.constantFrom("card", "my", "Transfer", "weather", "the", "fee?"),
  fc.string({ unit: "grapheme" }),
);
const texts = fc.array(word, { maxLength: 20 }).map((words) => words.join(" "));
const repeated = (text: string, times: number) => Array(times).fill(text).join(" ");

const HARNESSES: readonly ModelHarness[] = [
  {
    definition: bankRequest,
    artifact: () => artifactOf(bankRequest),
    inputs: fc.oneof(
      { weight: 5, arbitrary: fc.record({ text: texts }) },
      { weight: 1, arbitrary: fc.constantFrom<Event>({}, { text: 7 }, { text: null }) },
    ) as fc.Arbitrary<Event>,
    beyond: {
      textUnitsMax: {
        input: { text: `${" ".repeat(TEXT_UNITS_MAX - 2)}card` },
        cut: { text: `${" ".repeat(TEXT_UNITS_MAX - 2)}ca` },
      },
      wordsMax: {
        input: { text: `${repeated("my", WORDS_MAX)} card` },
        cut: { text: repeated("my", WORDS_MAX) },
      },
    },
  },
];

test("every model of the house runs the suite, under the name of its folder", () => {
  const folders = readdirSync(MODELS, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.equal(
    HARNESSES.map(({ definition }) => definition.card.name),
    folders.map(({ name }) => name),
  );
});

test("every model's code bundles for browsers, without a module of Node's", async () => {
  for (const { definition } of HARNESSES) {
    const { name } = definition.card;
    const entryPoints = [fileURLToPath(new URL(`${name}/${name}_model.ts`, MODELS))];
    const { outputFiles } = await build({
      entryPoints,
      bundle: true,
      platform: "browser",
      format: "esm",
      write: false,
    });
    assert.not.match(outputFiles[0]?.text ?? "node:", /["'`]node:/);
  }
});

for (const { name, run } of HARNESSES.flatMap(modelCases)) test(name, run);

/** Faults that a model may have, each with words of the case that must find it. */
let calls = 0;
const PLANTED: Readonly<Record<string, readonly [finds: string, fault: Partial<ModelDefinition>]>> = {
  "a result that depends on the calls before": [
    "results do not depend",
    {
      finish(output) {
        calls += 1;
        return calls % 7 === 0 ? { kind: "result", result: { score: 0.5 } } : bankRequest.finish(output as never);
      },
    },
  ],
  "a row of another length": [
    "have the shapes",
    { prepare: () => ({ kind: "row", row: { slots: new Int32Array(3) } }) },
  ],
  "a throw for a value that is no text": [
    "an odd input",
    { prepare: (input) => bankRequest.prepare({ text: (input.text as string).slice(0) }) },
  ],
  "a bound that is not held": [
    "what exceeds a bound",
    {
      prepare: ({ text }) =>
        bankRequest.prepare({ text: typeof text === "string" ? text.trim().split(" ").slice(-60).join(" ") : text }),
    },
  ],
  "an artifact of another training": [
    "the card is whole",
    { card: { ...bankRequest.card, artifact: { ...bankRequest.card.artifact, sha256: "0".repeat(64) } } },
  ],
};

for (const [fault, [finds, change]] of Object.entries(PLANTED)) {
  test(`the suite finds ${fault}`, async () => {
    const harness = HARNESSES[0] as ModelHarness;
    const definition = { ...bankRequest, ...change } as ModelDefinition;
    const found = modelCases({ ...harness, definition }).find(({ name }) => name.includes(finds));
    const error = await found?.run().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof Error, "the case passes");
    assert.is(error instanceof ConfigurationError, finds === "the card is whole", error.message);
  });
}

test.run();
