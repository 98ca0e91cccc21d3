/**
 * Holds the events of a batch against their stream: framing and size first, then the schema, each event by itself. An
 * event that fails is set aside with its original bytes, as a dead letter of the same append (E4).
 */
import { RejectedError } from "../../../protocols/errors.ts";
import type { Verdict } from "../../../protocols/event.ts";
import { type Sequences, sequenceAt, sequenceCount } from "../../../protocols/sequence.ts";
import {
  type EventLimits,
  encodeEvent,
  encodeEvents,
  type ScannedEvents,
  scanBatch,
} from "../../../protocols/values/event_codec.ts";
import { sliceEvents } from "../../../protocols/values/slice_events.ts";
import { readUnreadable } from "../../../protocols/values/unreadable.ts";
import type { DeadLetter } from "../../log/dead_letter.ts";
import type { Rejects } from "../../log/log.ts";
import type { SchemaVersion } from "../schema/schema_registry.ts";
import type { Inspect } from "../session.ts";

/** Usable schema versions of each stream, ascending; none for a stream that takes any map. */
export type StreamSchemas = ReadonlyMap<string, readonly SchemaVersion[]>;

/** Version written with events of a stream that has no schema. */
const NO_SCHEMA_VERSION = 0;

export function createInspect(schemas: StreamSchemas, limits: EventLimits): Inspect {
  return (stream, bytes, sequences, producerId, schemaVersion) => {
    const schema = chooseSchema(stream, schemas.get(stream) ?? [], schemaVersion);
    const scanned = scanBatch(bytes, limits);
    const count = sequenceCount(sequences);
    if (scanned.count !== count) {
      throw new RejectedError(
        "MALFORMED_FRAME",
        `Cannot append to ${stream} as events and sequences must be as many: ${scanned.count} events, ${count} sequences`,
      );
    }
    // Without a schema no value is looked at: the scan has judged framing, nesting and sizes.
    const verdicts = schema === undefined ? scanned.verdicts : judgeEvents(scanned, schema);
    const version = { schemaVersion: schema?.version ?? NO_SCHEMA_VERSION, hasDefinitions: scanned.hasDefinitions };
    if (verdicts.length === 0) return version;
    return { ...version, rejects: rejectsOf(bytes, verdicts, sequences, producerId) };
  };
}

function chooseSchema(
  stream: string,
  versions: readonly SchemaVersion[],
  wanted: number | undefined,
): SchemaVersion | undefined {
  if (wanted === undefined || versions.length === 0) return versions.at(-1);
  const found = versions.find(({ version }) => version === wanted);
  if (found !== undefined) return found;
  throw new RejectedError(
    "UNKNOWN_SCHEMA_VERSION",
    `Cannot append to ${stream} as the schema version must be one of [${versions.map(({ version }) => version).join(", ")}]: current value is ${wanted}`,
  );
}

function judgeEvents(scanned: ScannedEvents, schema: SchemaVersion): readonly Verdict[] {
  const { verdicts: malformed } = scanned;
  const events = scanned.decode();
  let invalid: Verdict[] | undefined;
  for (let index = 0; index < events.length; index += 1) {
    const event = events[index];
    if (event === undefined) continue; // it has its verdict already
    const fault = schema.check(event);
    if (fault === undefined) continue;
    invalid ??= [];
    invalid.push({ index, code: "SCHEMA_VIOLATION", ...fault });
  }
  if (invalid === undefined) return malformed;
  return malformed.length === 0 ? invalid : [...malformed, ...invalid].sort((left, right) => left.index - right.index);
}

function rejectsOf(bytes: Uint8Array, verdicts: readonly Verdict[], sequences: Sequences, producerId: string): Rejects {
  const originals = sliceEvents(
    bytes,
    verdicts.map(({ index }) => index),
  );
  const letters = verdicts.map(({ index, code, path, reason }, at): DeadLetter => {
    const original = originals[at];
    return {
      code,
      path,
      reason,
      by: "validation",
      producerId,
      sequence: sequenceAt(sequences, index),
      ...(original === undefined ? {} : { original: originalOf(code, original) }),
    };
  });
  return { verdicts, events: encodeEvents(letters, { asRecords: false }) };
}

/** The event's own bytes, or the input inside them where a client sent unreadable input with its reason. */
function originalOf(code: string, value: Uint8Array): Uint8Array {
  const unreadable = code === "MALFORMED_EVENT" ? readUnreadable(value) : undefined;
  return unreadable === undefined ? value : encodeEvent(unreadable.original);
}
