/** Turns frames of a link into bytes and back. Knows the shape of each frame; `peer_writer.ts` and `peer_reader.ts` the values. */
import { errorFromCode, HeadraceError, InvariantError } from "../../../protocols/errors.ts";
import { nodeId } from "../../../protocols/position.ts";
import type { Termination } from "../../kernel/actor.ts";
import {
  type CreditGrant,
  FRAME_NUMBERS,
  type HelloFrame,
  type PeerFrame,
  type PeerTarget,
  type WelcomeFrame,
} from "./peer_frames.ts";
import { type ImportReference, isTarget, malformed, PeerReader } from "./peer_reader.ts";
import { type ExportReference, PeerWriter } from "./peer_writer.ts";

const CONTROL = 0;
const DATA = 1;
/** Room that is reserved for a message's names and headers, beyond its weight. */
const OVERHEAD_BYTES = 1_024;

const writer = new PeerWriter();
const reader = new PeerReader();

type Written = Exclude<PeerFrame, { readonly type: "unknown" }>;

/** The bytes of a frame. Throws `InvariantError` for a message that cannot be sent, and the errors of `exportReference`. */
export function encodePeerFrame(frame: Written, exportReference?: ExportReference): Buffer {
  const bytes = frame.type === "message" && frame.weightBytes < 1e9 ? frame.weightBytes + OVERHEAD_BYTES : 0;
  writer.begin(exportReference, bytes);
  try {
    const fields = fieldsOf(frame);
    writer.list(fields.length + 1);
    writer.value(FRAME_NUMBERS[frame.type]);
    for (const field of fields) writer.value(field);
    return writer.end();
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

function fieldsOf(frame: Written): readonly unknown[] {
  switch (frame.type) {
    case "hello":
    case "welcome": {
      const { type: _, ...fields } = frame;
      return [fields];
    }
    case "proof":
      return [frame.proof];
    case "ready":
      return [frame.turn];
    case "refusal":
      return [frame.code, frame.message];
    case "heartbeat":
      return [];
    case "message":
      return [frame.lane === "control" ? CONTROL : DATA, frame.to, frame.weightBytes, frame.message];
    case "credit":
      return [frame.returned.flatMap(({ to, bytes, messages }) => [to, bytes, messages])];
    case "watch":
    case "unwatch":
      return [frame.name];
    case "terminated":
      return [frame.to, reasonOf(frame.termination)];
  }
}

function reasonOf(termination: Termination): HeadraceError | undefined {
  if (termination.kind === "stopped") return undefined;
  const { error } = termination;
  if (error instanceof HeadraceError) return error;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : "an actor there failed";
  return new InvariantError(text);
}

/** Binary values are views of `bytes`. Throws `RejectedError`, and the errors of `importReference`. */
export function decodePeerFrame(bytes: Uint8Array, importReference?: ImportReference): PeerFrame {
  reader.begin(bytes, importReference);
  try {
    fieldsLeft = reader.list();
    const number = next();
    if (!isCount(number)) throw malformed("its type must be a number");
    return readFrame(number);
  } finally {
    reader.end();
  }
}

let fieldsLeft = 0;

function next(): unknown {
  if (fieldsLeft === 0) throw malformed("a frame must have all the fields of its type");
  fieldsLeft -= 1;
  return reader.value();
}

function readFrame(number: number): PeerFrame {
  switch (number) {
    case FRAME_NUMBERS.hello:
    case FRAME_NUMBERS.welcome:
      return asGreeting(number, asFields(next()));
    case FRAME_NUMBERS.proof:
      return { type: "proof", proof: asProof(next()) };
    case FRAME_NUMBERS.ready:
      return { type: "ready", turn: asCount(next(), "turn") };
    case FRAME_NUMBERS.refusal:
      return { type: "refusal", code: asText(next(), "code"), message: asText(next(), "message") };
    case FRAME_NUMBERS.heartbeat:
      return { type: "heartbeat" };
    case FRAME_NUMBERS.message: {
      const lane = next() === CONTROL ? "control" : "data";
      return { type: "message", lane, to: asTarget(next()), weightBytes: asWeight(next()), message: next() };
    }
    case FRAME_NUMBERS.credit:
      return { type: "credit", returned: asReturns(next()) };
    case FRAME_NUMBERS.watch:
      return { type: "watch", name: asText(next(), "name") };
    case FRAME_NUMBERS.unwatch:
      return { type: "unwatch", name: asText(next(), "name") };
    case FRAME_NUMBERS.terminated:
      return { type: "terminated", to: asTarget(next()), termination: asTermination(next()) };
    default:
      return { type: "unknown", number };
  }
}

function asGreeting(number: number, fields: Record<string, unknown>): HelloFrame | WelcomeFrame {
  const life = {
    minor: asCount(fields.minor, "minor"),
    cluster: asText(fields.cluster, "cluster"),
    node: nodeId(asText(fields.node, "node")),
    incarnation: asCount(fields.incarnation, "incarnation"),
    nonce: asBytes(fields.nonce, "nonce"),
    grant: asGrant(asFields(fields.grant)),
  };
  if (number === FRAME_NUMBERS.welcome) return { type: "welcome", ...life, proof: asProof(fields.proof) };
  return { type: "hello", ...life, to: nodeId(asText(fields.to, "to")), turn: asCount(fields.turn, "turn") };
}

/** A grant of at least one message and one byte: with less nothing could ever be sent. */
const asGrant = (fields: Record<string, unknown>): CreditGrant => ({
  targetBytesMax: Math.max(1, asCount(fields.targetBytesMax, "grant of bytes")),
  targetMessagesMax: Math.max(1, asCount(fields.targetMessagesMax, "grant of messages")),
  linkBytesMax: Math.max(1, asCount(fields.linkBytesMax, "grant of bytes")),
});

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function asCount(value: unknown, name: string): number {
  if (!isCount(value)) throw malformed(`${name} must be a whole number from 0`);
  return value;
}

function asWeight(value: unknown): number {
  if (typeof value !== "number" || !(value >= 0 && value < Number.POSITIVE_INFINITY))
    throw malformed("a weight must be a number of bytes");
  return value;
}

function asText(value: unknown, name: string): string {
  if (typeof value !== "string") throw malformed(`${name} must be text`);
  return value;
}

function asBytes(value: unknown, name: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw malformed(`${name} must be binary`);
  return value;
}

const asProof = (value: unknown): Uint8Array | undefined => (value === undefined ? undefined : asBytes(value, "proof"));

function asTarget(value: unknown): PeerTarget {
  if (!isTarget(value)) throw malformed("an actor must be named by text or by a number from 1");
  return value;
}

function asFields(value: unknown): Record<string, unknown> {
  const isPlain = typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  if (!isPlain) throw malformed("its fields must be a map");
  return value as Record<string, unknown>;
}

function asReturns(value: unknown) {
  if (!Array.isArray(value) || value.length % 3 !== 0) throw malformed("returned credit must come in threes");
  const returned = [];
  for (let at = 0; at < value.length; at += 3) {
    const [to, bytes, messages] = value.slice(at, at + 3);
    returned.push({ to: asTarget(to), bytes: asWeight(bytes), messages: asCount(messages, "messages") });
  }
  return returned;
}

function asTermination(reason: unknown): Termination {
  if (reason === undefined) return { kind: "stopped" };
  return { kind: "failed", error: reason instanceof Error ? reason : errorFromCode("INVARIANT_VIOLATED", "it failed") };
}
