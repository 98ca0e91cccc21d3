/**
 * A connection to this node from within it. Frames are handed over as they are; validation, credit, chains and acks are
 * the same as for a producer on a WebSocket.
 */
import type { Connect, ConnectionEvents } from "../../../protocols/connection.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { ClientFrame, NodeFrame } from "../../../protocols/wire/frames.ts";
import type { ActorReference } from "../../kernel/actor.ts";
import type { SessionInput, SessionPeer } from "../session.ts";

/** Opens a session for a peer in this process; `onEnd` is called when the session is gone. */
export type OpenInProcess = (peer: SessionPeer, onEnd: () => void) => Promise<ActorReference<SessionInput>>;

/** Bytes that a frame counts besides its events: its fields and the objects that hold them. */
const FRAME_OVERHEAD_BYTES = 256;

export const connectInProcess =
  (open: OpenInProcess): Connect =>
  async (_address, events) => {
    const end = endOnce(events);
    const peer: SessionPeer = {
      send: (frame, onLeft) => {
        const weightBytes = nodeFrameBytes(frame);
        // In a turn of its own, so that a producer is never entered from within its own send.
        queueMicrotask(() => {
          events.onFrame(frame, weightBytes);
          onLeft?.();
        });
        return weightBytes;
      },
      close: (_code, reason) => end(reason),
    };
    const session = await open(peer, () => end("the session has ended"));
    return {
      bufferedBytes: 0,
      send: (frame) => {
        const wireBytes = clientFrameBytes(frame);
        void session.send({ type: "frame", frame, wireBytes }, wireBytes);
        return wireBytes;
      },
      close: () => {
        session.tell({ type: "disconnected" });
        end();
      },
    };
  };

function endOnce(events: ConnectionEvents): (reason?: string) => void {
  let hasEnded = false;
  return (reason) => {
    if (hasEnded) return;
    hasEnded = true;
    const why = `Cannot keep the connection as its session must run: ${reason}`;
    const error = reason === undefined ? undefined : new UnavailableError("CONNECTION_LOST", why);
    queueMicrotask(() => events.onClose(error));
  };
}

const clientFrameBytes = (frame: ClientFrame): number =>
  FRAME_OVERHEAD_BYTES + (frame.type === "append" ? frame.events.byteLength : 0);

const nodeFrameBytes = (frame: NodeFrame): number =>
  frame.type === "records"
    ? frame.batches.reduce((sum, batch) => sum + batch.events.byteLength, FRAME_OVERHEAD_BYTES)
    : FRAME_OVERHEAD_BYTES;
