/**
 * The end of a connection whose request was answered before its body had come: closed at once, it would be reset under a client
 * that still sends, and the answer lost (RFC 9112, 9.6). What is still to come is read and thrown away, within bounds.
 */
import type { IncomingMessage } from "node:http";

const LINGER_LIMITS = {
  /** Most bytes that are read and discarded. */
  bytesMax: 67_108_864,
  withinMs: 5_000,
} as const;

/** Delays the end of the request's connection until its body has arrived. */
export function lingerOver(request: IncomingMessage): void {
  const { socket } = request;
  const close = socket.destroySoon.bind(socket);
  // The server's own way to close a connection once its answer has been handed over.
  socket.destroySoon = () => {
    const readBefore = socket.bytesRead;
    const timer = setTimeout(close, LINGER_LIMITS.withinMs);
    request.on("data", () => {
      if (socket.bytesRead - readBefore > LINGER_LIMITS.bytesMax) close();
    });
    request.once("end", close);
    socket.once("close", () => clearTimeout(timer));
    request.resume();
  };
}
