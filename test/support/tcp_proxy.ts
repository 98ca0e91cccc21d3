/** A wire between a client and a node that the test can cut: both ends see a connection that breaks. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface TcpProxy {
  readonly port: number;
  /** Breaks every connection there is; answers how many. */
  cut(): number;
  end(): Promise<void>;
}

export async function tcpProxy(targetPort: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((near) => {
    const far = connect(targetPort, "127.0.0.1");
    const pair = [near, far] as const;
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of pair) socket.on("error", end).on("close", end);
    near.pipe(far).pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): number => {
    const open = [...pairs];
    for (const [near, far] of open) {
      near.resetAndDestroy();
      far.destroy();
    }
    return open.length;
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    async end() {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
