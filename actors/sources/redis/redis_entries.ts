/** Makes items of the entries of a Redis stream. Pure. */
import { RejectedError, reasonOf } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import { decodeEvents, encodeCompact } from "../../../protocols/values/event_codec.ts";
import { jsonEvent } from "../../../protocols/values/json_event.ts";
import type { SourceItem } from "../source.ts";
import type { RedisReply } from "./redis_link.ts";
import type { RedisStreamOptions } from "./redis_options.ts";

/** An entry as Redis answers it. `fields` is undefined for an entry that was deleted while it was pending. */
export interface RedisEntry {
  readonly id: string;
  readonly fields: readonly Buffer[] | undefined;
}

/** The place of an entry: milliseconds, and a count within the millisecond. */
export interface EntryPlace {
  readonly ms: number;
  readonly count: number;
}

export function entriesOf(reply: RedisReply | undefined): readonly RedisEntry[] {
  return ((reply ?? []) as RedisReply[]).map((one) => {
    const [id, fields] = one as [Buffer, Buffer[] | null];
    return { id: String(id), fields: fields ?? undefined };
  });
}

/** Undefined beyond 2^53, where ids cannot be told apart: Redis takes such ids where an application makes its own. */
export function placeOf(id: string): EntryPlace | undefined {
  const [ms, count] = id.split("-").map(Number);
  const isExact = Number.isSafeInteger(ms) && Number.isSafeInteger(count);
  return isExact ? { ms: ms as number, count: count as number } : undefined;
}

export function comparePlaces(left: EntryPlace, right: EntryPlace): number {
  return left.ms - right.ms || left.count - right.count;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text where the bytes are UTF-8, else the bytes themselves. */
function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return Uint8Array.from(bytes); // of its own memory: the reply's may be a part of a large one
  }
}

type Value = string | Uint8Array;

/** The item of an entry with these fields and values, in turn. */
export function itemOf(
  fields: readonly Buffer[],
  timeMs: number | undefined,
  { payload, key }: Pick<RedisStreamOptions, "payload" | "key">,
): SourceItem {
  const named = namedFields(fields);
  if (typeof named === "string") return malformed(encodeCompact(fields.map(textOrBytes)), named);
  const of = (field: string | undefined) => (field === undefined ? undefined : textOf(named.get(field)));
  const message = {
    ...(of(key) === undefined ? {} : { key: of(key) as string }),
    ...(of("traceparent") === undefined ? {} : { traceparent: of("traceparent") as string }),
    ...(timeMs === undefined ? {} : { timeMs }),
  };
  if (payload === undefined) return { kind: "event", event: Object.fromEntries(named), ...message };
  const bytes = fields[payloadAt(fields, payload) + 1];
  const original = Uint8Array.from(bytes ?? encodeCompact(Object.fromEntries(named)));
  if (bytes === undefined) return malformed(original, `the entry must have the field ${payload}: it has none`);
  try {
    return { kind: "event", event: eventOf(bytes), headers: headersOf(named, payload), ...message };
  } catch (error) {
    if (!(error instanceof RejectedError)) throw error;
    return malformed(original, reasonOf(error));
  }
}

const malformed = (original: Uint8Array, reason: string): SourceItem => ({ kind: "malformed", original, reason });

const textOf = (value: Value | readonly Value[] | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;

const payloadAt = (fields: readonly Buffer[], payload: string): number => {
  const name = Buffer.from(payload);
  const at = fields.findIndex((field, index) => index % 2 === 0 && field.equals(name));
  return at < 0 ? fields.length : at;
};

/** A field that comes several times is a list of its values. Answers the reason where a name is no text. */
function namedFields(fields: readonly Buffer[]): Map<string, Value | Value[]> | string {
  const named = new Map<string, Value | Value[]>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = textOrBytes(fields[at] as Buffer);
    if (typeof name !== "string") return "the name of a field must be UTF-8: it is not";
    const value = textOrBytes(fields[at + 1] as Buffer);
    const before = named.get(name);
    if (before === undefined) named.set(name, value);
    else if (Array.isArray(before)) before.push(value);
    else named.set(name, [before, value]);
  }
  return named;
}

function headersOf(named: ReadonlyMap<string, Value | readonly Value[]>, payload: string): Record<string, string> {
  const texts = [...named].flatMap(([name, value]) => {
    return name !== payload && typeof value === "string" ? [[name, value] as const] : [];
  });
  return Object.fromEntries(texts);
}

const isPackedMap = (token: number): boolean => (token >= 0x80 && token <= 0x8f) || token === 0xde || token === 0xdf;
/** MessagePack for a list of one value. */
const LIST_OF_ONE = 0x91;

/** Throws `RejectedError`. No JSON text begins with a byte that begins a map of MessagePack. */
function eventOf(bytes: Buffer): Event {
  if (!isPackedMap(bytes[0] ?? 0)) {
    const text = textOrBytes(bytes);
    if (typeof text === "string") return jsonEvent(text);
    throw new RejectedError(
      "MALFORMED_EVENT",
      "Cannot read a payload as it must be JSON or MessagePack: it is neither",
    );
  }
  const { events, verdicts } = decodeEvents(Buffer.concat([Buffer.of(LIST_OF_ONE), bytes]));
  const [event] = events;
  if (event !== undefined && verdicts.length === 0) return event;
  throw new RejectedError("MALFORMED_EVENT", verdicts[0]?.reason ?? "must be a map");
}
