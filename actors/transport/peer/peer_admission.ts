/** Which addresses a node without a secret may dial: those of its own machine, and those that TLS vouches for. */
import { ConfigurationError } from "../../../protocols/errors.ts";
import { isLoopbackHost } from "../network_address.ts";

/** Throws `ConfigurationError` where a node without a secret must not dial the address. */
export function mayDial(address: string): void {
  const { protocol, hostname } = new URL(address);
  if (protocol === "wss:" || isLoopbackHost(hostname)) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot link with the node at ${address} as a node on another machine needs the cluster's secret: none is configured`,
  );
}
