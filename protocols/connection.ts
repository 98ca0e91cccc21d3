/**
 * The port between a client's machine and the carrier of its frames: a WebSocket, or a session in the same process.
 * Producers, consumers, and every part of a node that produces (HTTP requests, sources, derived streams) use this one
 * port, so that exactly-once is implemented once.
 */
import type { ClientFrame, NodeFrame } from "./wire/frames.ts";

/** An open connection. Frames arrive and leave in order; nothing is delivered after `onClose`. */
export interface Connection {
  /** Sends a frame and answers its size on the wire in bytes, which counts against append credit. Never waits. */
  send(frame: ClientFrame): number;
  /** Bytes handed over and not yet sent, for a sender that paces itself. */
  readonly bufferedBytes: number;
  /** Closes the connection. */
  close(): void;
}

/** The callbacks of a connection. */
export interface ConnectionEvents {
  /** Called for each frame in order. @param wireBytes the frame's size on the wire, counted against consumer credit */
  onFrame(frame: NodeFrame, wireBytes: number): void;
  /** Called once, when the connection ends. `error` is the reason; undefined after `close`. */
  onClose(error: Error | undefined): void;
}

/** Opens a connection. Rejects with `UnavailableError` (try again) or `RejectedError` (the node will refuse again). */
export interface Connect {
  (address: string, events: ConnectionEvents, signal: AbortSignal): Promise<Connection>;
  /** Throws `ConfigurationError` where no connection to `address` can ever be made. Asked when a client is made. */
  readonly check?: (address: string) => void;
}
