/**
 * The suite of every model (models/model.ts), on the real runtime: results that never depend on the rows beside an input,
 * inputs that are refused alone, bounds that hold, and a card that tells the truth about all of it.
 */
import fc from "fast-check";
import * as assert from "uvu/assert";
import { onnxDriver } from "../../../actors/enrichment/onnx_driver.ts";
import { type OpenModel, openModel } from "../../../actors/enrichment/open_model.ts";
import { loadDriver } from "../../../deps.ts";
import { CARD_SCHEMA, checkArtifact } from "../../../models/card.ts";
import type { Inference, ModelDefinition } from "../../../models/model.ts";
import { cutRows, stackRows } from "../../../models/rows.ts";
import type { Event } from "../../../protocols/event.ts";
import { encodeEvents } from "../../../protocols/values/event_codec.ts";
import { type ConformanceCase, ODD_EVENTS } from "../../../supervisors/conformance/conformance.ts";

export interface ModelHarness {
  readonly definition: ModelDefinition;
  artifact(): Promise<Uint8Array>;
  /** Inputs that the model takes in various ways, some of which it refuses. */
  readonly inputs: fc.Arbitrary<Event>;
  /** For each bound of the card an input beyond it, and for a bound that cuts the same input without the excess. */
  readonly beyond: Readonly<Record<string, { readonly input: Event; readonly cut?: Event }>>;
}

const INPUTS_MAX = 40;

/** A refusal that the model did not make itself begins so. */
const THROWN = "Cannot infer as the model's code must not throw";

type Check = (harness: ModelHarness) => Promise<void>;

const CHECKS: Readonly<Record<string, Check>> = {
  "the card is whole, and the artifact is the card's": cardIsTrue,
  "results do not depend on the rows beside an input, on their order or on the session": dependsOnInputAlone,
  "rows and outputs have the shapes of the card": hasShapes,
  "an odd input has a result or a refusal of its own, and those beside it are as ever": refusesAlone,
  "what exceeds a bound is cut or set aside, as the card says": holdsBounds,
  "the card names the fields of each result": namesResults,
};

export function modelCases(harness: ModelHarness): readonly ConformanceCase[] {
  const { name, version } = harness.definition.card;
  return Object.entries(CHECKS).map(([about, check]) => ({
    name: `${name} ${version}: ${about}`,
    run: () => check(harness),
  }));
}

async function withModel(harness: ModelHarness, use: (model: OpenModel) => Promise<void>): Promise<void> {
  const model = await openModel(harness.definition, await harness.artifact(), onnxDriver());
  try {
    await use(model);
  } finally {
    await model.close();
  }
}

async function cardIsTrue({ definition, artifact }: ModelHarness): Promise<void> {
  const { Ajv2020 } = await loadDriver("ajv");
  const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false });
  ajv.validate(CARD_SCHEMA, definition.card);
  assert.equal(ajv.errors ?? [], []);
  await checkArtifact(definition.card, await artifact());
}

/** model M1 */
async function dependsOnInputAlone(harness: ModelHarness): Promise<void> {
  await withModel(harness, async (model) => {
    const cuts = fc.array(fc.nat(INPUTS_MAX), { maxLength: 6 });
    const given = fc.array(harness.inputs, { maxLength: INPUTS_MAX });
    await fc.assert(
      fc.asyncProperty(given, cuts, async (inputs, ends) => {
        const whole = await model.run(inputs);
        assert.equal(await inParts(model, inputs, ends), whole);
        assert.equal([...(await model.run([...inputs].reverse()))].reverse(), whole);
      }),
      { numRuns: 60 },
    );
    const inputs = fc.sample(harness.inputs, { numRuns: harness.definition.card.rowsMax, seed: 1 });
    const once = await model.run(inputs);
    await withModel(harness, async (another) => assert.equal(await inParts(another, inputs, [1, 3]), once));
  });
}

/** model M2 */
async function hasShapes({ definition, artifact, inputs }: ModelHarness): Promise<void> {
  const { card } = definition;
  fc.assert(
    fc.property(inputs, (input) => {
      const prepared = definition.prepare(input);
      if (prepared.kind === "row") stackRows(card.inputs, [prepared.row]);
    }),
  );
  const rows = card.examples.flatMap(({ input }) => {
    const prepared = definition.prepare(input);
    return prepared.kind === "row" ? [prepared.row] : [];
  });
  const session = await onnxDriver().open(await artifact(), { artifactBytesMax: card.artifact.sizeBytes });
  const outputs = await session.run(stackRows(card.inputs, rows)).finally(() => session.close());
  assert.equal(Object.keys(outputs).sort(), card.outputs.map(({ name }) => name).sort());
  cutRows(card.outputs, outputs, rows.length);
}

/** model M3 */
async function refusesAlone(harness: ModelHarness): Promise<void> {
  const { fields, examples } = harness.definition.card;
  const plain = examples[0]?.input ?? {};
  const expected: Inference = { kind: "result", result: examples[0]?.result ?? {} };
  const names = fields.map(({ name }) => name);
  const odd = [...oddInputs(names, plain)];
  await withModel(harness, async (model) => {
    const answers = await model.run(odd.flatMap(([, input]) => [input, plain]));
    for (const [at, [name]] of odd.entries()) {
      const answer = answers[2 * at];
      if (answer?.kind === "refused") {
        assert.ok(answer.reason.length > 5 && !answer.reason.startsWith(THROWN), `${name}: ${answer.reason}`);
      } else encodeEvents([answer?.result], { asRecords: false });
      assert.equal(answers[2 * at + 1], expected, `beside ${name}`);
    }
  });
}

/** model M4 */
async function holdsBounds({ definition, beyond }: ModelHarness): Promise<void> {
  const { bounds } = definition.card;
  assert.equal(Object.keys(beyond).sort(), bounds.map(({ name }) => name).sort());
  for (const { name, rule } of bounds) {
    const { input, cut } = beyond[name] ?? { input: {} };
    const prepared = definition.prepare(input);
    assert.is(prepared.kind, rule === "cut" ? "row" : "refused", name);
    if (rule === "set_aside") continue;
    if (cut === undefined) throw new Error(`${name} needs the input without its excess`);
    assert.not.equal(input, cut, name);
    assert.equal(prepared, definition.prepare(cut), name);
  }
}

async function namesResults(harness: ModelHarness): Promise<void> {
  const names = harness.definition.card.result.map(({ name }) => name).sort();
  await withModel(harness, async (model) => {
    const answers = await model.run(fc.sample(harness.inputs, { numRuns: 50, seed: 2 }));
    const results = answers.flatMap((answer) => (answer.kind === "result" ? [answer.result] : []));
    assert.ok(results.length > 0);
    for (const result of results) assert.equal(Object.keys(result).sort(), names);
  });
}

async function inParts(model: OpenModel, inputs: readonly Event[], ends: readonly number[]): Promise<Inference[]> {
  const bounds = [0, ...ends.map((end) => end % (inputs.length + 1)), inputs.length].sort((a, b) => a - b);
  const parts: Inference[] = [];
  for (const [at, end] of bounds.slice(1).entries()) {
    parts.push(...(await model.run(inputs.slice(bounds[at] ?? 0, end))));
  }
  return parts;
}

/** Each odd value in each field, beside plain values in the others; and inputs with no field, or others. */
function* oddInputs(fields: readonly string[], plain: Event): Generator<readonly [string, Event]> {
  yield ["an input without fields", {}];
  for (const { name, event } of ODD_EVENTS) {
    yield [name, event];
    for (const field of fields)
      for (const value of Object.values(event)) yield [`${name} in ${field}`, { ...plain, [field]: value }];
  }
}
