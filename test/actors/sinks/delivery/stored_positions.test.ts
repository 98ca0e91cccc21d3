/**
 * The stored formats of sinks and deliveries. Bytes of each format are kept here, as every later release must read
 * them.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodePosition, encodePosition } from "../../../../actors/sinks/delivery/checkpointed_writer.ts";
import type { RequestCut } from "../../../../actors/sinks/delivery/delivery_messages.ts";
import { decodeCut, encodeCut } from "../../../../actors/sinks/delivery/stored_cut.ts";
import { decodeCommit, encodeCommit, type FileCommit } from "../../../../actors/sinks/file/file_layout.ts";
import { epoch, offset, position } from "../../../../protocols/position.ts";

const POSITION_1 = '{"version":1,"epoch":7,"offset":41}';
const CUT_1 = '{"version":1,"epoch":7,"offset":41,"recordsPerRequest":10,"taken":[[7,40,1]]}';
const CUT_2 = '{"version":2,"recordsPerRequest":1,"taken":[],"recordsMax":20000}';
const COMMIT_1 =
  '{"version":1,"position":{"epoch":7,"offset":41},"open":{"file":"open-7-1.part","length":2048,"first":30,"isReplacement":false}}';
const COMMIT: FileCommit = {
  version: 1,
  position: position(7, 41),
  open: { file: "open-7-1.part", length: 2_048, first: 30, isReplacement: false },
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (stored: Uint8Array): string => new TextDecoder().decode(stored);
const newer = (stored: string): Uint8Array => bytes(stored.replace('"version":1', '"version":2'));

const refusal = (read: () => unknown): string => {
  try {
    read();
  } catch (error) {
    const { name, code, message } = error as { name: string; code: string; message: string };
    return `${name} ${code} ${message}`;
  }
  return "it was read";
};

test("a position is written and read in format 1", () => {
  assert.is(text(encodePosition(position(7, 41))), POSITION_1);
  assert.equal(decodePosition(bytes(POSITION_1)), position(7, 41));
  assert.match(
    refusal(() => decodePosition(newer(POSITION_1))),
    /^ConfigurationError FORMAT_TOO_NEW .*value is 2/,
  );
});

test("a file sink's commit is written and read in format 1", () => {
  assert.is(text(encodeCommit(COMMIT)), COMMIT_1);
  assert.equal(decodeCommit(bytes(COMMIT_1)), COMMIT);
  assert.match(
    refusal(() => decodeCommit(newer(COMMIT_1))),
    /^ConfigurationError FORMAT_TOO_NEW .*version must be 1: current value is 2/,
  );
});

test("a cut into requests is written in format 2 only if its batches are larger than those of format 1", () => {
  const epochs = [{ epoch: epoch(7), firstOffset: offset(0) }];
  const bounds = { epochs, firstOffset: offset(0), endOffset: offset(50), sizeBytes: 0 };
  const cut: RequestCut = { end: position(7, 41), recordsPerRequest: 10, taken: [[7, 40, 1]] };
  assert.is(text(encodeCut(cut)), CUT_1);
  assert.equal(decodeCut(bytes(CUT_1), bounds), cut);
  const alone: RequestCut = { end: undefined, recordsPerRequest: 1, taken: [] };
  assert.equal(decodeCut(encodeCut(alone), bounds), alone);
  assert.is(text(encodeCut({ ...alone, recordsMax: 5_000 })), text(encodeCut(alone)));
  assert.is(text(encodeCut({ ...alone, recordsMax: 20_000 })), CUT_2);
  assert.equal(decodeCut(bytes(CUT_2), bounds), { ...alone, recordsMax: 20_000 });
  assert.match(
    refusal(() => decodeCut(bytes(CUT_2.replace('"version":2', '"version":3')), bounds)),
    /^ConfigurationError FORMAT_TOO_NEW .*must be at most 2: current value is 3/,
  );
  assert.is(
    decodeCut(bytes(CUT_1), { ...bounds, endOffset: offset(41) }),
    undefined,
    "the log lost the records that were cut",
  );
});

test.run();
