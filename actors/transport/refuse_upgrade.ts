/** Answers upgrades that are not taken: with the status that the error's class stands for. */
import type { Duplex } from "node:stream";
import { HeadraceError, OverloadedError, RejectedError, UnavailableError } from "../../protocols/errors.ts";

export function refuseUpgrade(socket: Duplex, error: unknown): void {
  const code = error instanceof HeadraceError ? error.code : "INVARIANT_VIOLATED";
  const message = error instanceof Error ? error.message : String(error);
  answerUpgrade(socket, statusOf(error), { code, message }, retryAfter(error));
}

/** Answers an upgrade of a path that takes none. */
export function refuseUpgradePath(socket: Duplex): void {
  const message = "Cannot upgrade as the path must be one of a WebSocket: see docs/protocol.md";
  answerUpgrade(socket, "404 Not Found", { code: "NOT_FOUND", message });
}

/** Answers a handshake that is none of a WebSocket: a bad key or version. */
export function refuseHandshake(error: Error, socket: Duplex): void {
  const message = `Cannot upgrade as the handshake must be one of a WebSocket: ${error.message}`;
  answerUpgrade(socket, "400 Bad Request", { code: "MALFORMED_FRAME", message }, "Sec-WebSocket-Version: 13\r\n");
}

function answerUpgrade(
  socket: Duplex,
  status: string,
  answer: { readonly code: string; readonly message: string },
  headers = "",
): void {
  const body = JSON.stringify(answer);
  endUpgrade(
    socket,
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** A client that does not close its side would keep the socket's place for good: the node closes both sides. */
function endUpgrade(socket: Duplex, answer: string): void {
  socket.on("error", () => socket.destroy());
  socket.end(answer, () => socket.destroy());
}

/** Of an upgrade that nobody could take, whoever sent it. */
const MALFORMED: ReadonlySet<string> = new Set(["UNSUPPORTED_PROTOCOL", "MALFORMED_FRAME"]);

function statusOf(error: unknown): string {
  if (error instanceof OverloadedError || error instanceof UnavailableError) return "503 Service Unavailable";
  if (!(error instanceof RejectedError)) return "500 Internal Server Error"; // no fault of the client: it may come again
  return MALFORMED.has(error.code) ? "400 Bad Request" : "403 Forbidden";
}

function retryAfter(error: unknown): string {
  if (error instanceof OverloadedError) return `Retry-After: ${Math.ceil(error.retryAfterMs / 1_000)}\r\n`;
  return error instanceof UnavailableError ? "Retry-After: 1\r\n" : "";
}
