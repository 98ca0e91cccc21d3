/** Which addresses a node may dial, and which nodes' upgrades it accepts, before any frame of their handshake. */
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import { ConfigurationError, OverloadedError, RejectedError } from "../../../protocols/errors.ts";
import { isLoopbackAddress, isLoopbackHost } from "../network_address.ts";
import { PEER_SUBPROTOCOL } from "./peer_frames.ts";

/** Throws `ConfigurationError` where a node without a secret must not dial the address. */
export function mayDial(address: string): void {
  const { protocol, hostname } = new URL(address);
  if (protocol === "wss:" || isLoopbackHost(hostname)) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot link with the node at ${address} as a node on another machine needs the cluster's secret: none is configured`,
  );
}

/** Throws `RejectedError`, and `OverloadedError` where this node is stopping. */
export function admit(
  request: IncomingMessage,
  hasSecret: boolean,
  authorizedByTls: boolean,
  isStopping: boolean,
): void {
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  if (!offered.includes(PEER_SUBPROTOCOL)) {
    throw new RejectedError(
      "UNSUPPORTED_PROTOCOL",
      `Cannot link with a node as the subprotocol must be ${PEER_SUBPROTOCOL}: offered were [${offered.join(", ")}]`,
    );
  }
  const address = request.socket.remoteAddress ?? "unknown";
  const isVouchedFor = authorizedByTls
    ? (request.socket as Partial<TLSSocket>).authorized === true
    : isLoopbackAddress(address);
  if (!hasSecret && !isVouchedFor) {
    throw new RejectedError(
      "UNAUTHENTICATED",
      `Cannot link with a node at ${address} as without a secret it must ${authorizedByTls ? "show a certificate that this node trusts" : "be on this machine"}`,
    );
  }
  if (!isStopping) return;
  throw new OverloadedError(
    "TOO_MANY_CONNECTIONS",
    "Cannot link with a node as this one must take connections: it is stopping",
    1_000,
  );
}
