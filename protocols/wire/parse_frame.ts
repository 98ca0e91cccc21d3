/** From a decoded value to a frame: its fields and their kinds (docs/protocol.md). The session judges their meaning. */
import { RejectedError } from "../errors.ts";
import { FIELD_LIMITS } from "../limits.ts";
import { compareSequences, type Sequence } from "../sequence.ts";
import type { ClientFrame, Frame, NodeFrame } from "./frames.ts";
import {
  asBytes,
  asCount,
  asCountUpTo,
  asFields,
  asFlag,
  asList,
  asMap,
  asName,
  asOneOf,
  asSequence,
  asText,
  asTextUpTo,
  type Fields,
  isFields,
  optional,
  orNull,
  refuse,
  required,
} from "./narrow.ts";

type FrameCheck = (fields: Fields) => void;

const asAddress = asTextUpTo(FIELD_LIMITS.addressCharactersMax);
const asCode = asTextUpTo(FIELD_LIMITS.codeCharactersMax);
const asPath = asTextUpTo(FIELD_LIMITS.pathCharactersMax);
const asMessage = asTextUpTo(FIELD_LIMITS.messageCharactersMax);

/** Checks the size of a producer's resume point. @param sizeOf the bytes as sent, which the frame does not hold */
export function checkPosition(frame: Frame, sizeOf: (position: unknown) => number): Frame {
  if (frame.type !== "append" || frame.position === undefined) return frame;
  const sizeBytes = sizeOf(frame.position);
  const { positionBytesMax } = FIELD_LIMITS;
  if (sizeBytes <= positionBytesMax) return frame;
  throw new RejectedError(
    "MALFORMED_FRAME",
    `Cannot take a frame as /position must have at most ${positionBytesMax} bytes: current value is ${sizeBytes}`,
  );
}

function checkPlace(fields: Fields): void {
  required(fields, "stream", asName);
  required(fields, "partition", asCount);
}

/** Checks sequences, dense or listed. A list must ascend, as the log judges its ends alone. */
function checkSequences(value: unknown, path: string): void {
  if (!isFields(value)) refuse(path, "be a map", value);
  const list = value.list;
  if (list === undefined) {
    asSequence(value.first, `${path}/first`);
    asCount(value.count, `${path}/count`);
    const [, position] = value.first as Sequence;
    // No client or log can hold a sequence beyond 2^53 - 1: its chain would be stuck for good (E26).
    if (!Number.isSafeInteger(position + Math.max(0, (value.count as number) - 1)))
      refuse(`${path}/count`, `end at or below 2^53 - 1 from ${position}`, value.count);
    return;
  }
  asList(asSequence, FIELD_LIMITS.sequencesMax)(list, `${path}/list`);
  const sequences = list as Sequence[];
  for (let index = 1; index < sequences.length; index++) {
    if (compareSequences(sequences[index - 1], sequences[index]) >= 0)
      refuse(`${path}/list/${index}`, "be higher than the one before", list);
  }
}

function checkFrom(value: unknown, path: string): void {
  if (value === "earliest" || value === "latest") return;
  if (!isFields(value)) refuse(path, "be earliest, latest, or a map", value);
  if (value.timeMs !== undefined) {
    asCount(value.timeMs, `${path}/timeMs`);
    return;
  }
  asCount(value.offset, `${path}/offset`);
  if (value.epoch !== undefined) asCount(value.epoch, `${path}/epoch`);
}

const checkStart: FrameCheck = (fields) => {
  required(fields, "partition", asCount);
  required(fields, "from", checkFrom);
};

const CLIENT_CHECKS: Readonly<Record<ClientFrame["type"], FrameCheck>> = {
  append(fields) {
    checkPlace(fields);
    required(fields, "producerEpoch", asCount);
    required(fields, "previousSequence", orNull(asSequence));
    required(fields, "sequences", checkSequences);
    optional(fields, "schemaVersion", asCountUpTo(FIELD_LIMITS.schemaVersionMax));
    required(fields, "events", asBytes);
    optional(fields, "traceparent", asText); // any text: the session drops a malformed trace context
    optional(fields, "position", asMap);
  },
  hello(fields) {
    required(fields, "client", asTextUpTo(FIELD_LIMITS.clientCharactersMax));
    optional(fields, "minor", asCount);
    optional(fields, "token", asTextUpTo(FIELD_LIMITS.tokenCharactersMax));
    optional(fields, "producerId", asName);
    optional(fields, "instance", asName);
    optional(fields, "producerEpoch", asCount);
    optional(fields, "forward", asFlag);
    if (fields.producerId !== undefined) required(fields, "instance", asName);
  },
  open(fields) {
    checkPlace(fields);
    required(fields, "producerEpoch", asCount);
  },
  lost(fields) {
    checkPlace(fields);
    required(fields, "producerEpoch", asCount);
    required(fields, "from", orNull(asSequence));
    required(fields, "to", asSequence);
  },
  subscribe(fields) {
    required(fields, "subscription", asCount);
    required(fields, "stream", asName);
    optional(fields, "channel", asOneOf("records", "rejected"));
    required(fields, "partitions", asList(asFields(checkStart), FIELD_LIMITS.subscriptionPartitionsMax));
    required(fields, "creditBytes", asCount);
  },
  unsubscribe: (fields) => required(fields, "subscription", asCount),
  credit(fields) {
    optional(fields, "subscription", asCount);
    required(fields, "creditBytes", asCount);
  },
  goodbye: () => undefined,
};

const checkLimits: FrameCheck = (fields) => {
  for (const name of ["frameBytesMax", "eventBytesMax", "batchEventsMax", "dedupeWindowMs"])
    required(fields, name, asCount);
};

const checkStream: FrameCheck = (fields) => {
  required(fields, "partitions", asCount);
  optional(fields, "key", asPath);
  required(fields, "schemaVersions", asList(asCount));
  optional(fields, "owners", asMap);
};

const checkVerdict: FrameCheck = (fields) => {
  required(fields, "sequence", asSequence);
  required(fields, "code", asCode);
  required(fields, "path", asPath);
  required(fields, "reason", asMessage);
};

const checkBatch: FrameCheck = (fields) => {
  for (const name of ["epoch", "firstOffset", "count", "appendedAtMs", "schemaVersion"])
    required(fields, name, asCount);
  optional(fields, "producerId", asName);
  optional(fields, "traceparent", asText); // an old log may hold one of any length
  optional(fields, "traces", asList(asFields(checkTraceStart)));
  optional(fields, "rejected", asBytes);
  required(fields, "events", asBytes);
};

const checkTraceStart: FrameCheck = (fields) => {
  required(fields, "index", asCount);
  optional(fields, "traceparent", asText);
};

function checkSubscribed(fields: Fields): void {
  required(fields, "subscription", asCount);
  checkPlace(fields);
}

const NODE_CHECKS: Readonly<Record<NodeFrame["type"], FrameCheck>> = {
  welcome(fields) {
    required(fields, "node", asAddress);
    required(fields, "minor", asCount);
    optional(fields, "producerEpoch", asCount);
    required(fields, "streams", asMap);
    const streams = fields.streams as Fields;
    for (const name of Object.keys(streams)) asFields(checkStream)(streams[name], `/streams/${name}`);
    required(fields, "limits", asFields(checkLimits));
    required(fields, "creditBytes", asCount);
  },
  opened(fields) {
    checkPlace(fields);
    if (fields.lastSequence === undefined) fields.lastSequence = null;
    required(fields, "lastSequence", orNull(asSequence));
    optional(fields, "position", asMap);
  },
  ack(fields) {
    checkPlace(fields);
    required(fields, "lastSequence", asSequence);
    optional(fields, "verdicts", asList(asFields(checkVerdict)));
    required(fields, "creditBytes", asCount);
  },
  gap(fields) {
    checkPlace(fields);
    if (fields.storedSequence === undefined) fields.storedSequence = null;
    required(fields, "storedSequence", orNull(asSequence));
    required(fields, "creditBytes", asCount);
  },
  truncated(fields) {
    checkSubscribed(fields);
    required(fields, "divergence", asCount);
  },
  trimmed(fields) {
    checkSubscribed(fields);
    required(fields, "firstOffset", asCount);
  },
  moved(fields) {
    checkPlace(fields);
    optional(fields, "address", asAddress);
  },
  moving(fields) {
    checkPlace(fields);
    required(fields, "address", asAddress);
  },
  credit: CLIENT_CHECKS.credit,
  records(fields) {
    checkSubscribed(fields);
    required(fields, "batches", asList(asFields(checkBatch)));
    required(fields, "endOffset", asCount);
  },
  error(fields) {
    required(fields, "code", asCode);
    required(fields, "message", asMessage);
    optional(fields, "retryAfterMs", asCount);
    optional(fields, "stream", asName);
    optional(fields, "partition", asCount);
    optional(fields, "subscription", asCount);
    optional(fields, "creditBytes", asCount);
  },
};

const CHECKS = new Map<unknown, FrameCheck>([...Object.entries(NODE_CHECKS), ...Object.entries(CLIENT_CHECKS)]);

/** Checks that a value is a frame. Throws `RejectedError`: `MALFORMED_FRAME`, or `UNKNOWN_FRAME` for another type. */
export function parseFrame(value: unknown): Frame {
  if (!isFields(value)) refuse("/", "be a map", value);
  const check = CHECKS.get(value.type);
  if (check === undefined) {
    if (typeof value.type !== "string") return refuse("/type", "be text", value.type);
    throw new RejectedError(
      "UNKNOWN_FRAME",
      `Cannot take a frame as its type must be known: current value is ${value.type.slice(0, 64)}`,
    );
  }
  check(value);
  return value as unknown as Frame;
}
