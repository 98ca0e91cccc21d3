import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseEvents } from "../../../actors/ingest/http/http_events.ts";
import { recordReader } from "../../../actors/sources/records/record_reader.ts";
import { readRecords } from "../../../protocols/client/consumer/read_records.ts";
import {
  type AppendFrame,
  type Event,
  RejectedError,
  SUBPROTOCOL_JSON,
  SUBPROTOCOL_MSGPACK,
} from "../../../protocols/mod.ts";
import { epoch } from "../../../protocols/position.ts";
import { decodeEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { EVENT_LEVELS_MAX } from "../../../protocols/values/event_complexity.ts";
import { exactJson } from "../../../protocols/values/exact_json.ts";
import { eventJson, jsonEvent } from "../../../protocols/values/json_event.ts";
import { toJsonValue } from "../../../protocols/values/json_values.ts";
import { decodeFrame, encodeFrame, FRAME_LIMITS } from "../../../protocols/wire/codec.ts";
import { encodeBatch } from "../../../protocols/wire/encode_batch.ts";

/** Events of a number of levels, each with tags or wrapped maps that make its JSON text deeper than the event. */
const SHAPES: Readonly<Record<string, (levels: number) => Event>> = {
  maps: (levels) => nested(levels, 1, (inner) => ({ a: inner })),
  lists: (levels) => ({ a: nested(levels - 1, [], (inner) => [inner]) }),
  "an integer beyond 2^53 at the end": (levels) => nested(levels, 2n ** 60n, (inner) => ({ a: inner })),
  "binary at the end": (levels) => nested(levels, Uint8Array.of(1, 2), (inner) => ({ a: inner })),
  "a time at the end": (levels) => nested(levels, new Date(5), (inner) => ({ a: inner })),
  "maps that look like tags": (levels) => nested(levels, 2n ** 60n, (inner) => ({ $int: inner })),
};

function nested(levels: number, leaf: unknown, wrap: (inner: unknown) => unknown): Event {
  let value = leaf;
  // A leaf that is a list is a level of its own.
  for (let level = Array.isArray(leaf) ? 1 : 0; level < levels; level++) value = wrap(value);
  return value as Event;
}

const append = (events: readonly Event[]): AppendFrame => ({
  type: "append",
  stream: "s",
  partition: 0,
  producerEpoch: epoch(1),
  previousSequence: null,
  sequences: { first: [1, 1, 0], count: events.length },
  events: Uint8Array.from(encodeEvents(events, { asRecords: false })),
});
/** As `encodeFrame`, of events that no node would send. */
const jsonAppend = (event: Event): string =>
  exactJson({ ...append([]), events: [toJsonValue(event)], sequences: { first: [1, 1, 0], count: 1 } });
const text = (event: Event): string => exactJson(toJsonValue(event));
const taken = (events: readonly { readonly event: unknown; readonly fault?: { readonly reason: string } }[]): Event => {
  const [{ event, fault } = { event: undefined }] = events;
  if (fault !== undefined) throw new RejectedError("MALFORMED_EVENT", fault.reason);
  return event as Event;
};

/** Each way in, and each way by which a client reads, with the event as it comes out there. */
const DOORS: Readonly<Record<string, (event: Event) => Event | undefined | Promise<Event | undefined>>> = {
  "MessagePack over WebSocket": (event) => {
    const frame = decodeFrame(encodeFrame(append([event]), SUBPROTOCOL_MSGPACK), SUBPROTOCOL_MSGPACK);
    return decodeEvents((frame as AppendFrame).events).events[0];
  },
  "JSON over WebSocket": (event) =>
    decodeEvents((decodeFrame(jsonAppend(event), SUBPROTOCOL_JSON) as AppendFrame).events).events[0],
  "a JSON object over HTTP": (event) => taken(parseEvents("json", Buffer.from(text(event)))),
  "a JSON list over HTTP": (event) => taken(parseEvents("json", Buffer.from(`[${text(event)}]`))),
  "NDJSON over HTTP": (event) => taken(parseEvents("ndjson", Buffer.from(text(event)))),
  "MessagePack over HTTP": (event) => taken(parseEvents("msgpack", append([event]).events)),
  "the command": (event) => jsonEvent(text(event)),
  "indented text": (event) => jsonEvent(eventJson(event)),
  "a source": async (event) => {
    const reader = await recordReader({ format: "ndjson" } as never, "utf-8");
    const [placed] = await reader.read([{ bytes: Buffer.from(text(event)), position: 0, line: 1 }] as never);
    if (placed?.item.kind !== "event") throw new RejectedError("MALFORMED_EVENT", placed?.item.reason ?? "");
    return placed.item.event as Event;
  },
  "a producer, and so a derived stream": (event) => {
    const [batch] = encodeBatch({ stream: "s", partition: 0, slots: [{ event }] } as never, FRAME_LIMITS.frameBytesMax);
    if (batch?.kind !== "encoded") throw new RejectedError("FRAME_TOO_COMPLEX", batch?.reason ?? "");
    return decodeEvents(batch.events).events[0];
  },
};

for (const [shape, make] of Object.entries(SHAPES)) {
  for (const [door, take] of Object.entries(DOORS)) {
    test(`${door} takes an event of ${EVENT_LEVELS_MAX} levels and no more: ${shape}`, async () => {
      for (const levels of [EVENT_LEVELS_MAX - 1, EVENT_LEVELS_MAX]) {
        const event = make(levels);
        assert.is(text((await take(event)) ?? {}), text(event), `${levels} levels`);
      }
      let refusal: unknown;
      try {
        await take(make(EVENT_LEVELS_MAX + 1));
      } catch (error) {
        refusal = error;
      }
      assert.instance(refusal, RejectedError);
      assert.match(String(refusal), new RegExp(`${EVENT_LEVELS_MAX} levels`));
    });
  }

  test(`a subscriber in either subprotocol reads an event of ${EVENT_LEVELS_MAX} levels: ${shape}`, () => {
    const event = make(EVENT_LEVELS_MAX);
    const batch = {
      epoch: epoch(1),
      firstOffset: 0,
      count: 1,
      appendedAtMs: 1,
      schemaVersion: 0,
      events: append([event]).events,
    };
    for (const subprotocol of [SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK] as const) {
      const frame = {
        type: "records",
        subscription: 1,
        stream: "s",
        partition: 0,
        endOffset: 1,
        batches: [batch],
      } as never;
      const read = decodeFrame(encodeFrame(frame, subprotocol), subprotocol);
      assert.equal(
        readRecords(read as never, 0).map((record) => text(record.event)),
        [text(event)],
      );
    }
  });
}

test("the fields of a JSON frame besides its events may have as many levels as in MessagePack", () => {
  const deep = (levels: number) => nested(levels, 1, (inner) => [inner]);
  const frame = (levels: number) => `${jsonAppend({ a: 1 }).slice(0, -1)},"unknown":${JSON.stringify(deep(levels))}}`;
  decodeFrame(frame(EVENT_LEVELS_MAX - 1), SUBPROTOCOL_JSON);
  assert.throws(() => decodeFrame(frame(EVENT_LEVELS_MAX), SUBPROTOCOL_JSON), /64 levels/);
  const hello = (levels: number) => `{"type":"hello","client":"c","unknown":${JSON.stringify(deep(levels))}}`;
  decodeFrame(hello(EVENT_LEVELS_MAX - 1), SUBPROTOCOL_JSON);
  assert.throws(() => decodeFrame(hello(EVENT_LEVELS_MAX), SUBPROTOCOL_JSON), /64 levels/);
});

test("a text of a hundred thousand levels is refused before it is built", () => {
  for (const [open, close] of [
    ["[", "]"],
    ['{"$map":', "}"],
    ['{"$int":', "}"],
  ] as const) {
    const deep = `${open.repeat(100_000)}1${close.repeat(100_000)}`;
    assert.throws(() => jsonEvent(`{"a":${deep}}`), /levels/);
    assert.throws(() => parseEvents("json", Buffer.from(`[{"a":${deep}}]`)), /levels/);
    assert.throws(() => decodeFrame(`{"type":"append","events":[{"a":${deep}}]}`, SUBPROTOCOL_JSON), /levels/);
  }
});

test.run();
