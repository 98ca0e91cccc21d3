/** One sample of every frame, with every optional field present in one of them. */
import { encodeEvents } from "../../protocols/event_codec.ts";
import type { Frame } from "../../protocols/frames.ts";

const bytes = (events: readonly unknown[], asRecords = false) => Uint8Array.from(encodeEvents(events, { asRecords }));

export const SAMPLE_EVENTS = [
  { device: "sensor-1", value: 21.5, ok: true },
  { device: "sensor-2", value: -3, ok: false },
  { device: "Größe", value: 0, ok: true },
];

export const SAMPLE_FRAMES: readonly Frame[] = [
  {
    type: "hello",
    client: "vectors/1",
    minor: 0,
    token: "secret",
    producerId: "sensor-1",
    instance: "7d1f",
    producerEpoch: 3,
  },
  { type: "hello", client: "vectors/1" },
  { type: "open", stream: "readings", partition: 2, producerEpoch: 3 },
  {
    type: "append",
    stream: "readings",
    partition: 2,
    producerEpoch: 3,
    previousSequence: null,
    sequences: { first: [0, 0, 0], count: 3 },
    schemaVersion: 1,
    events: bytes(SAMPLE_EVENTS, true),
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    position: { file: "a.log", at: 4096 },
  },
  {
    type: "append",
    stream: "readings",
    partition: 0,
    producerEpoch: 3,
    previousSequence: [5, 100, 1],
    sequences: {
      list: [
        [5, 101, 0],
        [5, 101, 1],
        [6, 0, 0],
      ],
    },
    events: bytes(SAMPLE_EVENTS),
  },
  { type: "lost", stream: "readings", partition: 2, producerEpoch: 3, from: null, to: [0, 9, 0] },
  {
    type: "subscribe",
    subscription: 1,
    stream: "readings",
    channel: "rejected",
    partitions: [
      { partition: 0, from: "earliest" },
      { partition: 1, from: "latest" },
      { partition: 2, from: { epoch: 1_763_892_000_000, offset: 41 } },
      { partition: 3, from: { offset: 42 } },
      { partition: 4, from: { timeMs: 1_763_892_000_000 } },
    ],
    creditBytes: 1_048_576,
  },
  { type: "unsubscribe", subscription: 1 },
  { type: "credit", subscription: 1, creditBytes: 65_536 },
  { type: "goodbye" },
  {
    type: "welcome",
    node: "node-1",
    minor: 0,
    producerEpoch: 4,
    streams: {
      readings: { partitions: 8, key: "/device", schemaVersions: [1, 2], owners: { "3": "ws://10.0.0.2:7070" } },
      plain: { partitions: 1, schemaVersions: [] },
    },
    limits: { frameBytesMax: 4_194_304, eventBytesMax: 1_048_576, batchEventsMax: 10_000, dedupeWindowMs: 86_400_000 },
    creditBytes: 8_388_608,
  },
  { type: "opened", stream: "readings", partition: 2, lastSequence: [0, 41, 0], position: { file: "a.log", at: 4096 } },
  { type: "opened", stream: "readings", partition: 2, lastSequence: null },
  {
    type: "ack",
    stream: "readings",
    partition: 2,
    lastSequence: [0, 2, 0],
    verdicts: [{ sequence: [0, 1, 0], code: "SCHEMA_VIOLATION", path: "/value", reason: "must be >= 0" }],
    creditBytes: 211,
  },
  { type: "gap", stream: "readings", partition: 2, storedSequence: null, creditBytes: 211 },
  { type: "truncated", subscription: 1, stream: "readings", partition: 2, divergence: 40 },
  { type: "trimmed", subscription: 1, stream: "readings", partition: 2, firstOffset: 500 },
  { type: "moved", stream: "readings", partition: 2, address: "ws://10.0.0.3:7070" },
  {
    type: "records",
    subscription: 1,
    stream: "readings",
    partition: 2,
    batches: [
      {
        epoch: 1_763_892_000_000,
        firstOffset: 42,
        count: 2,
        appendedAtMs: 1_763_892_000_123,
        schemaVersion: 1,
        producerId: "sensor-1",
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        rejected: Uint8Array.from([0b010]),
        events: bytes(SAMPLE_EVENTS, true),
      },
    ],
    endOffset: 44,
  },
  {
    type: "error",
    code: "STORE_FULL",
    message: "Cannot append as the store is full",
    retryAfterMs: 1_000,
    stream: "readings",
    partition: 2,
    subscription: 1,
    creditBytes: 211,
  },
];
