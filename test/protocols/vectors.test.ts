import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  CONFIGURATION_CODES,
  FENCED_CODES,
  INVARIANT_CODES,
  OVERLOADED_CODES,
  REJECTED_CODES,
  RejectedError,
  UNAVAILABLE_CODES,
} from "../../protocols/errors.ts";
import { decodeEvents } from "../../protocols/values/event_codec.ts";
import { toJsonValue } from "../../protocols/values/json_values.ts";
import { DEFINITIONS_MAX } from "../../protocols/values/scan.ts";
import { decodeFrame, FRAME_LIMITS } from "../../protocols/wire/codec.ts";
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, WIRE_DEFAULTS } from "../../protocols/wire/frames.ts";
import { makeVectors, VECTORS_PATH } from "../../scripts/vectors.ts";

const vectors = JSON.parse(readFileSync(VECTORS_PATH, "utf8")) as ReturnType<typeof makeVectors>;
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));
const documentation = readFileSync(fileURLToPath(new URL("../../docs/protocol.md", import.meta.url)), "utf8");

/** Both encodings of a frame, with their events decoded. */
function readable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || value instanceof Date)
    return toJsonValue(value);
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      key === "events"
        ? decodeEvents(field as Uint8Array).events.map((event) => toJsonValue(event ?? null))
        : readable(field),
    ]),
  );
}

test("the vectors are those that the code makes", () => {
  assert.equal(JSON.parse(JSON.stringify(makeVectors())), vectors);
});

test("both encodings of every frame decode to the same frame", () => {
  for (const { type, msgpack, json } of vectors.frames) {
    const binary = decodeFrame(bytesOf(msgpack), SUBPROTOCOL_MSGPACK);
    assert.is(binary.type, type);
    assert.equal(readable(binary), readable(decodeFrame(json, SUBPROTOCOL_JSON)), type);
  }
});

test("every batch decodes to its events", () => {
  for (const { name, hex, events } of vectors.batches) {
    assert.equal(
      decodeEvents(bytesOf(hex)).events.map((event) => toJsonValue(event ?? null)),
      events,
      name,
    );
  }
});

test("every reject is refused with its code", () => {
  for (const { name, kind, hex, code } of vectors.rejects) {
    const read = () => (kind === "frame" ? decodeFrame(bytesOf(hex), SUBPROTOCOL_MSGPACK) : decodeEvents(bytesOf(hex)));
    assert.throws(read, (error: Error) => error instanceof RejectedError && error.code === code, name);
  }
});

test("a decoder written in Python from the documentation alone agrees", () => {
  const script = fileURLToPath(new URL("vectors_check.py", import.meta.url));
  const { status, stdout, stderr, error } = spawnSync("python3", [script, VECTORS_PATH], { encoding: "utf8" });
  if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOENT") {
    console.log("python3 is not installed: its check of the vectors was left out");
    return;
  }
  assert.is(status, 0, stderr);
  assert.ok(Number.parseInt(stdout, 10) >= 60, stdout);
});

test("the documentation names every frame, code and limit", () => {
  for (const { type } of vectors.frames) assert.ok(documentation.includes(`**\`${type}\`**`), type);
  const codes = [
    REJECTED_CODES,
    UNAVAILABLE_CODES,
    OVERLOADED_CODES,
    FENCED_CODES,
    CONFIGURATION_CODES,
    INVARIANT_CODES,
  ].flat();
  for (const code of codes) assert.ok(documentation.includes(code), code);
  const limits = [
    WIRE_DEFAULTS.frameBytesMax,
    WIRE_DEFAULTS.eventBytesMax,
    WIRE_DEFAULTS.batchEventsMax,
    WIRE_DEFAULTS.frameTokensMax,
    FRAME_LIMITS.depthMax,
    DEFINITIONS_MAX,
  ];
  for (const limit of limits) assert.ok(documentation.includes(limit.toLocaleString("en-US")), `${limit}`);
});

test.run();
