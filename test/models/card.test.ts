import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadDriver } from "../../deps.ts";
import { BANK_REQUEST_CARD } from "../../models/bank_request/card.ts";
import { CARD_SCHEMA, checkArtifact } from "../../models/card.ts";
import { ConfigurationError } from "../../protocols/errors.ts";

/** SHA-256 of "abc" (FIPS 180-4, example B.1). */
const SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const card = { ...BANK_REQUEST_CARD, artifact: { file: "model.onnx", sizeBytes: 3, sha256: SHA256 } };

test("an artifact is the card's by its size and its SHA-256", async () => {
  const bytes = new TextEncoder().encode("xabcx");
  await checkArtifact(card, bytes.subarray(1, 4));
  for (const other of [bytes, bytes.subarray(0, 3), new Uint8Array()]) {
    const error = await checkArtifact(card, other).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.instance(error, ConfigurationError);
    assert.match(
      (error as Error).message,
      `Cannot open model bank_request 1 as its artifact must have 3 bytes with SHA-256 ${SHA256}`,
    );
    assert.match((error as Error).message, `current value is ${other.byteLength} bytes`);
  }
});

test("a card without one of its parts, or with parts that are no card's, is refused", async () => {
  const { Ajv2020 } = await loadDriver("ajv");
  const isCard = new Ajv2020({ strict: false, logger: false }).compile(CARD_SCHEMA);
  assert.ok(isCard(card));
  for (const part of Object.keys(card)) assert.not(isCard({ ...card, [part]: undefined }), part);
  const wrong = {
    name: "Bank Request",
    version: 0,
    rowsMax: 5_000,
    fails: [],
    quality: [{ on: "val", measure: "recall" }],
    bounds: [{ ...card.bounds[0], rule: "ignored" }],
    inputs: [{ ...card.inputs[0], shape: [128] }],
    outputs: [{ ...card.outputs[0], type: "float16" }],
    artifact: { ...card.artifact, sha256: SHA256.toUpperCase() },
    author: "nobody",
  };
  for (const [part, value] of Object.entries(wrong)) assert.not(isCard({ ...card, [part]: value }), part);
});

test.run();
