import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TensorSpec } from "../../models/card.ts";
import type { Tensors } from "../../models/model.ts";
import { cutRows, stackRows } from "../../models/rows.ts";
import { InvariantError } from "../../protocols/errors.ts";

const SPECS: readonly TensorSpec[] = [
  { name: "words", type: "int64", shape: ["rows", 2], unit: "index" },
  { name: "pixels", type: "uint8", shape: ["rows", 1, 3], unit: "0 to 255" },
  { name: "weight", type: "float32", shape: ["rows"], unit: "kg" },
];

const row = (n: number) => ({
  words: BigInt64Array.of(BigInt(n), 7n),
  pixels: Uint8Array.of(n, n + 1, n + 2),
  weight: Float32Array.of(n / 2),
});

test("model M2: rows are laid end to end, and cut again", () => {
  const rows = [row(1), row(2), row(3)];
  const tensors = stackRows(SPECS, rows);
  assert.equal(tensors.words, { type: "int64", dims: [3, 2], data: BigInt64Array.of(1n, 7n, 2n, 7n, 3n, 7n) });
  assert.equal(tensors.pixels?.dims, [3, 1, 3]);
  assert.equal(tensors.weight?.dims, [3]);
  assert.equal(cutRows(SPECS, tensors, 3), rows);
  assert.equal(cutRows(SPECS, stackRows(SPECS, []), 0), []);
});

test("a row that is not as the card says is an error, and names its tensor", () => {
  const stack = (changed: object) => () => stackRows(SPECS, [row(1), { ...row(2), ...changed }]);
  const isTold = (error: unknown) => error instanceof InvariantError && /tensor words/.test(error.message);
  assert.throws(stack({ words: BigInt64Array.of(1n) }), isTold);
  assert.throws(stack({ words: Int32Array.of(1, 2) }), isTold);
  assert.throws(stack({ words: undefined }), isTold);
});

test("a tensor that is not as the card says is an error, and names its shape", () => {
  const tensors = stackRows(SPECS, [row(1), row(2)]);
  const cut =
    (changed: Tensors, rows = 2) =>
    () =>
      cutRows(SPECS, { ...tensors, ...changed }, rows);
  const isTold = (error: unknown) => error instanceof InvariantError && /must be int64/.test(error.message);
  const data = BigInt64Array.of(1n, 2n, 3n, 4n);
  assert.throws(cut({ words: { type: "int64", dims: [4], data } }), isTold);
  assert.throws(cut({ words: { type: "int64", dims: [1, 2], data } }), isTold);
  assert.throws(cut({ words: { type: "float32", dims: [2, 2], data: new Float32Array(4) } }), isTold);
  assert.throws(() => cutRows(SPECS, {}, 2), isTold);
});

test.run();
