/** Frames as plain MessagePack maps with text keys: subprotocol `headrace.v1.msgpack`. */
import { Packr, Unpackr } from "../../deps.ts";
import { isAppendWithin, readAppend, writeAppend } from "./append_codec.ts";
import type { Frame } from "./frames.ts";
import { checkPosition, parseFrame } from "./parse_frame.ts";
import "../values/precise_date.ts"; // times keep all of their digits
import { type ScanLimits, scanFrame, sizeOfField } from "../values/scan.ts";

const packer = new Packr({ useRecords: false, encodeUndefinedAsNil: true, useToJSON: false });
// Binary is not copied: a frame's events are a view of the frame.
const unpacker = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "auto" } as object);

/** Encodes into bytes of its own: the packer's are part of a far larger buffer, which a waiting frame would keep. */
export const encodeMsgpackFrame = (frame: Frame): Uint8Array =>
  (frame.type === "append" ? writeAppend(frame) : undefined) ?? new Uint8Array(packer.pack(withIntegers(frame)));

/** Whole numbers beyond 32 bits as big integers: the packer would write them as floats, which typed readers refuse. */
function withIntegers(value: unknown): unknown {
  if (typeof value === "number") return value > 0xffff_ffff && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || value instanceof Date) return value;
  if (Array.isArray(value)) return value.map(withIntegers);
  const fields: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) fields[name] = withIntegers(field);
  return fields;
}

/** Decodes a frame after a scan. The frame's `events` are a view of `data`. */
export function decodeMsgpackFrame(data: Uint8Array, limits: ScanLimits): Frame {
  const append = isAppendWithin(limits) ? readAppend(data) : undefined;
  if (append !== undefined) return append;
  scanFrame(data, limits);
  return checkPosition(parseFrame(unpacker.unpack(data)), () => sizeOfField(data, "position", limits));
}
