/** Whom a node may link with at all, before any handshake: without a secret, only nodes on its own machine. */
import { ConfigurationError } from "../../../protocols/errors.ts";
import { isLoopbackHost } from "../network_address.ts";

/** Without a secret. Over TLS the certificate shows who answers. Throws `ConfigurationError`. */
export function mayDial(address: string): void {
  const { protocol, hostname } = new URL(address);
  if (protocol === "wss:" || isLoopbackHost(hostname)) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot link with the node at ${address} as nodes on other machines need the cluster's secret: none is configured`,
  );
}
