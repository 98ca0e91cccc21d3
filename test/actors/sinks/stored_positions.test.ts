/** What sinks commit of themselves, kept as it was written: every later release must read it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodePosition, encodePosition } from "../../../actors/sinks/checkpointed_writer.ts";
import { decodeCommit, encodeCommit, type FileCommit } from "../../../actors/sinks/file_layout.ts";
import { position } from "../../../protocols/position.ts";

const POSITION_1 = '{"version":1,"epoch":7,"offset":41}';
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

test("a position of format 1 is what is written today, and is read as it was meant", () => {
  assert.is(text(encodePosition(position(7, 41))), POSITION_1);
  assert.equal(decodePosition(bytes(POSITION_1)), position(7, 41));
  assert.match(
    refusal(() => decodePosition(newer(POSITION_1))),
    /^ConfigurationError FORMAT_TOO_NEW .*value is 2/,
  );
});

test("a file sink's commit of format 1 is what is written today, and is read as it was meant", () => {
  assert.is(text(encodeCommit(COMMIT)), COMMIT_1);
  assert.equal(decodeCommit(bytes(COMMIT_1)), COMMIT);
  assert.match(
    refusal(() => decodeCommit(newer(COMMIT_1))),
    /^ConfigurationError FORMAT_TOO_NEW .*version must be 1: current value is 2/,
  );
});

test.run();
