/** Refuses upgrades to WebSocket: answers with an HTTP status, a JSON body with code and message, and closes the socket. */
import type { Duplex } from "node:stream";
import { HeadraceError, OverloadedError, RejectedError, reasonOf, UnavailableError } from "../../protocols/errors.ts";

export function refuseUpgrade(socket: Duplex, error: unknown): void {
  const code = error instanceof HeadraceError ? error.code : "INVARIANT_VIOLATED";
  const message = reasonOf(error);
  answerUpgrade(socket, statusOf(error), { code, message }, retryAfter(error));
}

/** Refuses an upgrade at a path that has no WebSocket: 404. */
export function refuseUpgradePath(socket: Duplex): void {
  const message = "Cannot upgrade as the path must be that of a WebSocket: see docs/protocol.md";
  answerUpgrade(socket, "404 Not Found", { code: "NOT_FOUND", message });
}

/** Refuses an upgrade that is no handshake of a WebSocket, such as one with a bad key or version: 400. */
export function refuseHandshake(error: Error, socket: Duplex): void {
  const message = `Cannot upgrade as the handshake must be that of a WebSocket: ${error.message}`;
  answerUpgrade(socket, "400 Bad Request", { code: "MALFORMED_FRAME", message }, "Sec-WebSocket-Version: 13\r\n");
}

function answerUpgrade(
  socket: Duplex,
  status: string,
  answer: { readonly code: string; readonly message: string },
  headers = "",
): void {
  const body = JSON.stringify(answer);
  socket.on("error", () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(), // a client that never closes its side would otherwise keep the socket open for good
  );
}

/** Codes for which the request itself is wrong, whoever sent it: answered with 400, not 403. */
const MALFORMED: ReadonlySet<string> = new Set(["UNSUPPORTED_PROTOCOL", "MALFORMED_FRAME"]);

function statusOf(error: unknown): string {
  if (error instanceof OverloadedError || error instanceof UnavailableError) return "503 Service Unavailable";
  if (!(error instanceof RejectedError)) return "500 Internal Server Error"; // not the client's fault: it may retry
  return MALFORMED.has(error.code) ? "400 Bad Request" : "403 Forbidden";
}

function retryAfter(error: unknown): string {
  if (error instanceof OverloadedError) return `Retry-After: ${Math.ceil(error.retryAfterMs / 1_000)}\r\n`;
  return error instanceof UnavailableError ? "Retry-After: 1\r\n" : "";
}
