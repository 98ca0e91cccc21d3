/** Whom a node may link with at all, before any handshake: without a secret, only nodes on its own machine. */
import type { Duplex } from "node:stream";
import { ConfigurationError, HeadraceError, OverloadedError, RejectedError } from "../../protocols/errors.ts";

export const isLoopbackAddress = (address: string): boolean =>
  address === "localhost" || address === "::1" || /^(::ffff:)?127\./.test(address);

/** Without a secret. Over TLS the certificate shows who answers. Throws `ConfigurationError`. */
export function mayDial(address: string): void {
  const { protocol, hostname } = new URL(address);
  if (protocol === "wss:" || isLoopbackAddress(hostname.replace(/^\[|\]$/g, ""))) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot link with the node at ${address} as nodes on other machines need the cluster's secret: none is configured`,
  );
}

/** Answers an upgrade that is not taken. */
export function refuseUpgrade(socket: Duplex, error: unknown): void {
  const body = JSON.stringify({
    code: error instanceof HeadraceError ? error.code : "INVARIANT_VIOLATED",
    message: error instanceof Error ? error.message : String(error),
  });
  socket.end(
    `HTTP/1.1 ${statusOf(error)}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function statusOf(error: unknown): string {
  if (error instanceof OverloadedError) return "503 Service Unavailable";
  return error instanceof RejectedError && error.code === "UNSUPPORTED_PROTOCOL" ? "400 Bad Request" : "403 Forbidden";
}
