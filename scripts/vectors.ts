/**
 * Writes `protocols/vectors.json`, the test vectors of docs/protocol.md. The test of the vectors compares the file with
 * the result of `makeVectors`.
 *
 *   node --import tsx scripts/vectors.ts
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { keyOf, murmur3, parsePointer } from "../protocols/partitioner.ts";
import { decodeEvents, encodeEvents } from "../protocols/values/event_codec.ts";
import { toJsonValue } from "../protocols/values/json_values.ts";
import { encodeFrame } from "../protocols/wire/codec.ts";
import { type Frame, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK } from "../protocols/wire/frames.ts";
import { VECTOR_EVENTS, VECTOR_FRAMES } from "./vector_samples.ts";

export const VECTORS_PATH = fileURLToPath(new URL("../protocols/vectors.json", import.meta.url));

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

const KEYS = [
  "",
  "a",
  "ab",
  "abc",
  "abcd",
  "sensor-1",
  "sensor-2",
  "Größe",
  "温度",
  "😀",
  "42",
  "-1.5",
  "true",
  "x".repeat(100),
];

/** Batches written out by hand, byte by byte. */
const HAND_MADE: readonly (readonly [name: string, hex: string])[] = [
  ["maps", "9281a1610181a16102"],
  ["records, as in the example", "92d4724092a161a16201a1784002a179"],
  ["an id that was not defined is an integer", "9181a16140"],
  ["an integer beside a record of another id", "92d4724091a161014041"],
  ["a record nested in a record", "92d4724091a161d4724191a16201404102"],
  ["a definition that replaces another", "93d4724091a16101d4724091a162024003"],
  ["one event that is no number, the others kept", "9381a1610181a161cb7ff800000000000081a16103"],
  ["one event with a key twice", "9281a1610182a16101a16102"],
  ["one event with a __proto__ key", "9281a1610181a95f5f70726f746f5f5f80"],
  ["one event with invalid UTF-8", "9281a1610181a161a2c328"],
  ["one event with an unknown extension", "9281a1610181a161d40105"],
  ["one element that is no map", "9281a1610107"],
  ["a list with a 32-bit length", "dd0000000181a16101"],
  ["no events", "90"],
];

const REJECTS: readonly (readonly [name: string, kind: "frame" | "events", hex: string, code: string])[] = [
  ["nothing", "frame", "", "MALFORMED_FRAME"],
  ["cut short", "frame", "81a474797065a568656c6c", "MALFORMED_FRAME"],
  ["no map", "frame", "9101", "MALFORMED_FRAME"],
  ["an unknown type", "frame", "81a474797065a573686f7574", "UNKNOWN_FRAME"],
  ["bytes after the end", "frame", "81a474797065a7676f6f6462796500", "MALFORMED_FRAME"],
  ["a key twice", "frame", "82a474797065a7676f6f64627965a474797065a7676f6f64627965", "MALFORMED_FRAME"],
  ["an extension", "frame", "82a474797065a7676f6f64627965a178d40105", "MALFORMED_FRAME"],
  ["a field of the wrong kind", "frame", "82a474797065a568656c6c6fa6636c69656e7401", "MALFORMED_FRAME"],
  ["too deep", "frame", `${"91".repeat(65)}c0`, "FRAME_TOO_COMPLEX"],
  ["no array", "events", "81a16101", "MALFORMED_FRAME"],
  ["an array cut short", "events", "9281a16101", "MALFORMED_FRAME"],
  ["a length bomb", "events", "ddffffffff", "MALFORMED_FRAME"],
  ["a map's length bomb", "events", "91dfffffffff", "MALFORMED_FRAME"],
  ["a record with a key that is no text", "events", "91d472409101", "MALFORMED_FRAME"],
  ["a record id out of range", "events", "91d4722091a16101", "MALFORMED_FRAME"],
  ["the byte without meaning", "events", "91c1", "MALFORMED_FRAME"],
  ["events too deep", "events", `9181a161${"91".repeat(64)}c0`, "FRAME_TOO_COMPLEX"],
];

const readable = (bytes: Uint8Array): unknown => decodeEvents(bytes).events.map((event) => toJsonValue(event ?? null));

function frameVector(frame: Frame) {
  const msgpack = hex(encodeFrame(frame, SUBPROTOCOL_MSGPACK) as Uint8Array);
  return { type: frame.type, msgpack, json: encodeFrame(frame, SUBPROTOCOL_JSON) as string };
}

function batchVectors() {
  const encoded = [true, false].map((asRecords) => {
    const bytes = encodeEvents(VECTOR_EVENTS, { asRecords });
    return {
      name: `all kinds of values, as ${asRecords ? "records" : "maps"}`,
      hex: hex(bytes),
      events: readable(bytes),
    };
  });
  return [...HAND_MADE.map(([name, text]) => ({ name, hex: text, events: readable(bytesOf(text)) })), ...encoded];
}

function keyVectors() {
  const event = {
    id: "x",
    n: 7,
    float: 1.5,
    large: 1e21,
    yes: true,
    none: null,
    list: ["p"],
    map: { "a/b": "slash", "m~n": "tilde" },
  };
  const pointers = [
    "/id",
    "/n",
    "/float",
    "/large",
    "/yes",
    "/none",
    "/list",
    "/list/0",
    "/map",
    "/map/a~1b",
    "/map/m~0n",
    "/missing",
    "",
  ];
  return pointers.map((pointer) => ({ event, pointer, key: keyOf(event, parsePointer(pointer)) ?? null }));
}

export function makeVectors() {
  const partitioning = KEYS.flatMap((key) => {
    const hash = murmur3(new TextEncoder().encode(key));
    return [1, 16, 1000].map((partitions) => ({ key, partitions, hash, partition: hash % partitions }));
  });
  return {
    protocol: "headrace.v1",
    minor: 0,
    partitioning,
    keys: keyVectors(),
    frames: VECTOR_FRAMES.map(frameVector),
    batches: batchVectors(),
    rejects: REJECTS.map(([name, kind, text, code]) => ({ name, kind, hex: text, code })),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(VECTORS_PATH, `${JSON.stringify(makeVectors(), null, 1)}\n`);
