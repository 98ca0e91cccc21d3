/** Frames to WebSocket messages and back, in both subprotocols: limits are checked before decoding, fields after it. */
import { RejectedError } from "../errors.ts";
import { decodeJsonFrame, encodeJsonFrame } from "./codec_json.ts";
import { decodeMsgpackFrame, encodeMsgpackFrame } from "./codec_msgpack.ts";
import { type Frame, SUBPROTOCOL_MSGPACK, type Subprotocol, WIRE_DEFAULTS } from "./frames.ts";

/** The bounds of one frame. */
export interface FrameLimits {
  readonly frameBytesMax: number;
  /** MessagePack or JSON values, events not included in MessagePack. */
  readonly tokensMax: number;
  /** Levels of lists and maps. */
  readonly depthMax: number;
}

/** The bounds of protocol v1. */
export const FRAME_LIMITS: FrameLimits = {
  frameBytesMax: WIRE_DEFAULTS.frameBytesMax,
  tokensMax: WIRE_DEFAULTS.frameTokensMax,
  depthMax: WIRE_DEFAULTS.frameDepthMax,
};

const utf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** Encodes a frame: bytes for `headrace.v1.msgpack`, text for `headrace.v1.json`. */
export function encodeFrame(frame: Frame, subprotocol: Subprotocol): Uint8Array | string {
  return subprotocol === SUBPROTOCOL_MSGPACK ? encodeMsgpackFrame(frame) : encodeJsonFrame(frame);
}

/** The size of an encoded frame on the wire in bytes, which counts against credit. */
export const wireBytes = (data: Uint8Array | string): number =>
  typeof data === "string" ? encoder.encode(data).length : data.length;

/**
 * Reads one frame. Text may come as a string or as its UTF-8 bytes.
 *
 * @throws {RejectedError} `FRAME_TOO_LARGE`, `FRAME_TOO_COMPLEX`, `MALFORMED_FRAME` or `UNKNOWN_FRAME`
 */
export function decodeFrame(
  data: Uint8Array | string,
  subprotocol: Subprotocol,
  limits: FrameLimits = FRAME_LIMITS,
): Frame {
  const sizeBytes = data.length;
  if (sizeBytes > limits.frameBytesMax) {
    throw new RejectedError(
      "FRAME_TOO_LARGE",
      `Cannot take a frame as it may have ${limits.frameBytesMax} bytes: current value is ${sizeBytes}`,
    );
  }
  if (subprotocol === SUBPROTOCOL_MSGPACK) {
    if (typeof data === "string")
      throw new RejectedError(
        "MALFORMED_FRAME",
        "Cannot take a frame as it must be binary in this subprotocol: it is text",
      );
    return decodeMsgpackFrame(data, limits);
  }
  return decodeJsonFrame(typeof data === "string" ? data : textOf(data), limits);
}

function textOf(data: Uint8Array): string {
  try {
    return utf8.decode(data);
  } catch (error) {
    throw new RejectedError("MALFORMED_FRAME", "Cannot take a frame as text must be valid UTF-8", { cause: error });
  }
}
