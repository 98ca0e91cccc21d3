import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeStored, encodeStored } from "../../../actors/sinks/stored_json.ts";

test("a sink's state is read back as it was stored", () => {
  const state = { version: 1, files: ["a.ndjson"], offset: 5 };
  assert.equal(decodeStored(encodeStored(state), "the state as it must have version"), state);
});

test("a state of a newer release is refused with both versions, and a person is needed", () => {
  try {
    decodeStored(encodeStored({ version: 2 }), "the state as it must have version");
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, "FORMAT_TOO_NEW");
    assert.is((error as Error).message, "Cannot read the state as it must have version 1: current value is 2");
  }
});

test.run();
