/**
 * The port between a client's machine and whatever carries its frames: a WebSocket, or a session in the same process.
 * Producers, consumers, and every part of a node that produces (HTTP requests, sources, derived streams) use this one
 * way in, so that exactly-once is written down once.
 */
import type { ClientFrame, NodeFrame } from "./wire/frames.ts";

/** An open connection. Frames arrive and leave in order; nothing is delivered after `onClose`. */
export interface Connection {
  /** Sends a frame and answers its size on the wire in bytes, which append credit is counted in. Never waits. */
  send(frame: ClientFrame): number;
  /** Bytes handed over but not yet on their way, for a sender that paces itself. */
  readonly bufferedBytes: number;
  close(): void;
}

export interface ConnectionEvents {
  /** @param wireBytes size of the frame on the wire, which consumer credit is counted in */
  onFrame(frame: NodeFrame, wireBytes: number): void;
  /** Called once. `error` says why, where the end was not asked for. */
  onClose(error: Error | undefined): void;
}

/** Opens a connection; rejects with `UnavailableError` (retry) or `RejectedError` (the other side will not have us). */
export interface Connect {
  (address: string, events: ConnectionEvents, signal: AbortSignal): Promise<Connection>;
  /** Throws `ConfigurationError` where no connection to `address` can ever be made. Clients ask it when they are made. */
  readonly check?: (address: string) => void;
}
