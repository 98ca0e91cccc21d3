/** A TCP address that can be led to another port, or cut, as a virtual address is at a failover. */
import { connect, createServer, type Socket } from "node:net";

export interface MovableAddress {
  readonly port: number;
  /** Leads new connections to `port`. Open connections go on, or are cut first. */
  leadTo(port: number, options?: { readonly isCutting?: boolean }): void;
  /** Breaks every open connection at both ends; answers their number. */
  breakAll(): number;
  /** Ends all connections and refuses new ones until it leads somewhere again. */
  cut(): void;
  close(): Promise<void>;
}

/** @param breaksOn whether the bytes that just came break all connections, before they are passed on */
export async function startMovableAddress(
  toPort: number,
  breaksOn: (bytes: Buffer) => boolean = () => false,
): Promise<MovableAddress> {
  let target: number | undefined = toPort;
  const open = new Set<Socket>();
  const incoming = new Set<Socket>();
  const server = createServer((from) => {
    if (target === undefined) {
      from.destroy();
      return;
    }
    const to = connect(target, "127.0.0.1");
    from.on("data", (bytes: Buffer) => {
      if (breaksOn(bytes)) cutAll();
    });
    incoming.add(from);
    from.on("close", () => incoming.delete(from));
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      open.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const cutAll = () => {
    const broken = incoming.size;
    for (const socket of incoming) socket.resetAndDestroy();
    for (const socket of open) socket.destroy();
    return broken;
  };
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    leadTo(port, { isCutting = true } = {}) {
      target = port;
      if (isCutting) cutAll();
    },
    breakAll: cutAll,
    cut() {
      target = undefined;
      cutAll();
    },
    async close() {
      cutAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
