/** Checks and finds free ports of this machine. */
import { createServer } from "node:net";
import { ConfigurationError } from "../../../protocols/errors.ts";

/** Throws `ConfigurationError` `PORT_IN_USE` if one of the ports cannot be listened on. */
export async function requireFreePorts(
  host: string,
  ports: readonly { readonly what: string; readonly port: number }[],
): Promise<void> {
  for (const { what, port } of ports) {
    const tried = await listenOnce(host, port);
    if (typeof tried === "number") continue;
    const reason = tried === "EADDRINUSE" ? "another program holds it" : `listening there failed with ${tried}`;
    throw new ConfigurationError(
      "PORT_IN_USE",
      `Cannot start ${what} on ${host}:${port} as the port must be free: ${reason} (choose others with --port)`,
    );
  }
}

export async function freePort(host: string): Promise<number> {
  const tried = await listenOnce(host, 0);
  if (typeof tried === "number") return tried;
  throw new ConfigurationError("PORT_IN_USE", `Cannot listen on ${host} as a port must be free there: ${tried}`);
}

/** Listens on the port for a moment. Answers the port, or the system's error code. */
function listenOnce(host: string, port: number): Promise<number | string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : port));
    });
  });
}
