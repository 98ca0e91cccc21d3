/** Frames on their way into the session machine: decoded, and without a trace context that is malformed. */
import { RejectedError } from "../../../protocols/errors.ts";
import { isTraceparent } from "../../../protocols/traceparent.ts";
import type { ClientFrame } from "../../../protocols/wire/frames.ts";
import type { EncodedFrame } from "../session.ts";

/** A decoded frame, or the reason why its bytes are none. */
export type ArrivedFrame =
  | { readonly type: "frame"; readonly frame: ClientFrame; readonly wireBytes: number }
  | { readonly type: "malformed"; readonly error: RejectedError };

/** @param decode throws `RejectedError` for bytes that are no frame */
export function decodeArrived(
  { data, wireBytes }: EncodedFrame,
  decode: (data: Uint8Array | string) => ClientFrame,
  onTraceDropped: () => void,
): ArrivedFrame {
  try {
    return arrived(decode(data), wireBytes, onTraceDropped);
  } catch (error) {
    if (error instanceof RejectedError) return { type: "malformed", error };
    throw error;
  }
}

/** Called right after the decoding: `isTraceparent` then knows the codec's own check, and does not repeat it. */
export function arrived(frame: ClientFrame, wireBytes: number, onTraceDropped: () => void): ArrivedFrame {
  if (frame.type !== "append" || frame.traceparent === undefined || isTraceparent(frame.traceparent))
    return { type: "frame", frame, wireBytes };
  onTraceDropped();
  const { traceparent: _, ...untraced } = frame;
  return { type: "frame", frame: untraced, wireBytes };
}
