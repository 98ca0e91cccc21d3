/**
 * A TCP link on loopback that a test can slow, cut and swallow: one listening port before one protected port.
 *   L1. Bytes pass in their order, none is lost and none is added, unless the link is cut or an end of it breaks.
 *   L2. What can not be written is not read: a slow end slows the other.
 *   L3. An end is passed on after all that came before it; a connection that breaks on one side is reset on the other.
 *
 * What it can not do: where the protected port itself refuses, a connection is accepted here and then reset, as whoever
 * connects is told by the kernel before the proxy knows. A test that kills a process cuts its link as well.
 */
import { createServer, type Server, Socket } from "node:net";
import { type Clock, SYSTEM_CLOCK } from "../../../protocols/clock.ts";
import { LinkFlow, type WayState } from "./link_flow.ts";

/** `out` is from those that connect to the protected port, `back` from it to them. */
export type Way = "out" | "back";

const WAYS: readonly Way[] = ["out", "back"];

export interface LinkProxy {
  /** Those that use the link connect here; it stays the same for the life of the proxy. */
  readonly port: number;
  readonly connectionCount: number;
  /** Listens again after a cut, lets go on what a black hole holds, and passes on all that comes without delay. */
  resume(): Promise<void>;
  /** What comes from now on arrives so much later; a black hole on that way ends. A way not named stays as it is. */
  delay(delayMs: { readonly [way in Way]?: number }): void;
  /** Resets all connections and refuses new ones: they get ECONNREFUSED. Answers once it does. */
  cut(): Promise<void>;
  /**
   * Connections stay, and new ones are accepted, but nothing passes, not even an end: on the ways named, else on both. Bytes
   * sent meanwhile pass when it ends, as TCP sends them again.
   */
  blackHole(...ways: readonly Way[]): void;
  /** Ends all connections and the listener. */
  close(): Promise<void>;
}

export async function startLinkProxy(toPort: number, clock: Clock = SYSTEM_CLOCK): Promise<LinkProxy> {
  const links = new Set<Link>();
  const states: Record<Way, WayState> = { out: { delayMs: 0 }, back: { delayMs: 0 } };
  const accept = (near: Socket) => {
    const link = new Link(near, toPort, clock, states);
    links.add(link);
    void link.closed.then(() => links.delete(link));
  };
  const set = (way: Way, state: WayState) => {
    states[way] = state;
    for (const link of links) link.set(way, state);
  };
  let server: Server | undefined = await listen(0, accept);
  const port = portOf(server);
  const stop = async () => {
    const stopped = server;
    server = undefined;
    // First, as whoever is reset connects again at once.
    const isClosed = new Promise<void>((resolve) =>
      stopped === undefined ? resolve() : stopped.close(() => resolve()),
    );
    const closed = [...links].map((link) => link.closed);
    for (const link of links) link.break();
    await Promise.all(closed);
    await isClosed;
  };
  return {
    port,
    get connectionCount() {
      return links.size;
    },
    async resume() {
      for (const way of WAYS) set(way, { delayMs: 0 });
      server ??= await listen(port, accept);
    },
    delay(delayMs) {
      for (const way of WAYS) if (delayMs[way] !== undefined) set(way, { delayMs: delayMs[way] });
    },
    cut: stop,
    blackHole(...ways) {
      for (const way of ways.length === 0 ? WAYS : ways) set(way, "black_hole");
    },
    close: stop,
  };
}

/** One connection: the socket of the one that connected, the one to the protected port, and a flow each way. */
class Link {
  readonly #near: Socket;
  readonly #far = new Socket({ allowHalfOpen: true });
  readonly #flows: Readonly<Record<Way, LinkFlow>>;
  /** Resolves once both sockets are closed. */
  readonly closed: Promise<void>;

  constructor(near: Socket, toPort: number, clock: Clock, states: Readonly<Record<Way, WayState>>) {
    this.#near = near;
    this.#flows = {
      out: new LinkFlow(near, this.#far, clock, states.out),
      back: new LinkFlow(this.#far, near, clock, states.back),
    };
    this.#watch(near, "out");
    this.#watch(this.#far, "back");
    this.closed = Promise.all([near, this.#far].map((socket) => closing(socket))).then(() => this.#closeFlows());
    // In a black hole nobody hears of a new connection.
    this.#flows.out.whenPassing(() => this.#far.connect(toPort, "127.0.0.1"));
  }

  set(way: Way, state: WayState): void {
    this.#flows[way].set(state);
  }

  break(): void {
    this.#closeFlows();
    reset(this.#near);
    reset(this.#far);
  }

  #closeFlows(): void {
    for (const flow of Object.values(this.#flows)) flow.close();
  }

  /** L3: that a socket broke is told to the other by the way that leads there. */
  #watch(socket: Socket, way: Way): void {
    const [other, flow] = way === "out" ? [this.#far, this.#flows.out] : [this.#near, this.#flows.back];
    socket.setNoDelay(true);
    socket.on("error", () => undefined); // a close follows, and knows of it
    socket.on("close", (hadError) => {
      if (hadError) flow.whenPassing(() => reset(other));
    });
  }
}

function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** Its peer gets ECONNRESET, if there is a connection; an end, where one is on its way already. */
function reset(socket: Socket): void {
  const isThere = socket.connecting || socket.remoteAddress !== undefined;
  // While an end is being sent a reset fails, and the socket is never told to be closed.
  if (isThere && !socket.writableEnded) socket.resetAndDestroy();
  else socket.destroy();
}

function listen(port: number, accept: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, accept);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot proxy a link as it listens on no port");
  return address.port;
}
