/** Ports of this machine: whether one is free, and one that is. */
import { createServer } from "node:net";
import { ConfigurationError } from "../../protocols/errors.ts";

/** Throws `ConfigurationError` `PORT_IN_USE` where somebody listens on one of them. */
export async function requireFreePorts(
  host: string,
  ports: readonly { readonly what: string; readonly port: number }[],
): Promise<void> {
  for (const { what, port } of ports) {
    if ((await listenOnce(host, port)) !== undefined) continue;
    throw new ConfigurationError(
      "PORT_IN_USE",
      `Cannot start ${what} on ${host}:${port} as the port must be free: another program holds it (choose others with --port)`,
    );
  }
}

export async function freePort(host: string): Promise<number> {
  const port = await listenOnce(host, 0);
  if (port !== undefined) return port;
  throw new ConfigurationError("PORT_IN_USE", `Cannot listen on ${host} as a port must be free there: none is`);
}

/** The port that was listened on for a moment; undefined where another program holds it. */
function listenOnce(host: string, port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : undefined));
    });
  });
}
