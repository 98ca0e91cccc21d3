import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ModelDriver } from "../../../actors/enrichment/driver.ts";
import { openModel } from "../../../actors/enrichment/open_model.ts";
import { bankRequest } from "../../../models/bank_request/bank_request_model.ts";
import type { Tensors } from "../../../models/model.ts";
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";

const ARTIFACT = Uint8Array.of(1, 2, 3);
const SHA256 = "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81";

/** Doubles a number; its artifact is three bytes. */
const doubling = {
  card: {
    ...bankRequest.card,
    rowsMax: 3,
    inputs: [{ name: "n", type: "int32", shape: ["rows"], unit: "1" }],
    outputs: [{ name: "twice", type: "int32", shape: ["rows"], unit: "1" }],
    examples: [{ input: { n: 2 }, result: { twice: 4 } }],
    artifact: { file: "model.onnx", sizeBytes: 3, sha256: SHA256 },
  },
  prepare({ n }: { readonly n?: unknown }) {
    if (n === 13) throw new Error("unlucky");
    if (typeof n !== "number") return { kind: "refused", reason: "no number" } as const;
    return { kind: "row", row: { n: Int32Array.of(n) } } as const;
  },
  finish: ({ twice }: { readonly twice: Int32Array }) => ({ kind: "result", result: { twice: twice[0] } }) as const,
} as const;

/** A driver that doubles, counts, and fails where it is told to. */
class FakeDriver implements ModelDriver {
  factor = 2;
  opened = 0;
  closed = 0;
  readonly runs: number[] = [];
  failure: Error | undefined;

  async open() {
    this.opened += 1;
    return {
      run: async (inputs: Tensors): Promise<Tensors> => {
        const { data, dims } = inputs.n as Tensors[string];
        this.runs.push(data.length);
        if (this.failure !== undefined) throw this.failure;
        return { twice: { type: "int32", dims, data: (data as Int32Array).map((n) => n * this.factor) } };
      },
      close: async () => {
        this.closed += 1;
      },
    };
  }
}

const open = (driver: ModelDriver, artifact = ARTIFACT) => openModel(doubling as never, artifact, driver);

const thrownBy = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

test("model M3: each input is answered in its place, and one that is refused or at fault is in no run", async () => {
  const driver = new FakeDriver();
  const model = await open(driver);
  const answers = await model.run([{ n: 1 }, {}, { n: 13 }, { n: 3 }]);
  assert.equal(
    answers.map((one) => (one.kind === "result" ? one.result.twice : one.reason)),
    [2, "no number", "Cannot infer as the model's code must not throw: unlucky", 6],
  );
  assert.equal(await model.run([{}]), [{ kind: "refused", reason: "no number" }]);
  assert.equal(driver.runs, [1, 2], "the example, and the two rows");
});

test("more inputs than run together run one after the other", async () => {
  const driver = new FakeDriver();
  const model = await open(driver);
  const answers = await model.run([1, 2, 3, 4, 5, 6, 7].map((n) => ({ n })));
  assert.equal(
    answers.map((one) => one.kind === "result" && one.result.twice),
    [2, 4, 6, 8, 10, 12, 14],
  );
  assert.equal(driver.runs, [1, 3, 3, 1]);
});

test("an artifact of other bytes is not opened", async () => {
  const driver = new FakeDriver();
  const error = await thrownBy(open(driver, Uint8Array.of(1, 2, 4)));
  assert.instance(error, ConfigurationError);
  assert.match((error as Error).message, SHA256);
  assert.is(driver.opened, 0);
});

test("a session that answers an example otherwise does not serve, and is closed", async () => {
  const driver = new FakeDriver();
  driver.factor = 3;
  const error = await thrownBy(open(driver));
  assert.instance(error, ConfigurationError);
  assert.match((error as Error).message, /example 0 .*"twice":4.*"twice":6/);
  assert.is(driver.closed, 1);
});

test("a session whose first run fails is closed, and the error is the driver's", async () => {
  const driver = new FakeDriver();
  driver.failure = new UnavailableError("CONNECTION_LOST", "gone");
  assert.is(await thrownBy(open(driver)), driver.failure);
  assert.is(driver.closed, 1);
});

test.run();
