/**
 * A TCP link on loopback that a test can slow down, cut and turn into a black hole: one listening port before one
 * protected port.
 *   - Bytes pass in their order. No byte is lost or added, unless the link is cut or a socket of it breaks.
 *   - Bytes that cannot be written are not read: a slow end slows the other.
 *   - An end is passed on after all bytes before it. A connection that breaks on one side is reset on the other.
 *
 * Where the protected port itself refuses, a connection is accepted here and then reset: the kernel accepts it before
 * the proxy can know. A test that kills a process therefore cuts its link as well.
 */
import { createServer, type Server, Socket } from "node:net";
import { type Clock, SYSTEM_CLOCK } from "../../../protocols/clock.ts";
import { LinkFlow, type WayState } from "./link_flow.ts";

/** `out` is from those that connect to the protected port, `back` from it to them. */
export type Way = "out" | "back";

const WAYS: readonly Way[] = ["out", "back"];

export interface LinkProxy {
  /** The port that clients of the link connect to. It stays the same for the life of the proxy. */
  readonly port: number;
  readonly connectionCount: number;
  /** Listens again after a cut, lets the bytes of a black hole pass, and ends every delay. */
  resume(): Promise<void>;
  /** Delays later bytes by these times in ms, and ends a black hole there. A way that is not named stays as it is. */
  delay(delayMs: { readonly [way in Way]?: number }): void;
  /** Resets all connections and refuses new ones: they get ECONNREFUSED. Answers once it does. */
  cut(): Promise<void>;
  /**
   * Keeps connections and accepts new ones, but lets no byte and no end pass: on the ways named, else on both. Bytes
   * sent meanwhile pass when the black hole ends, as TCP sends them again.
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
    // The listener closes first, as clients that are reset connect again at once.
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
    // While `out` is a black hole, the protected port hears of no new connection.
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

  /** Passes a broken socket on to the other socket, as a reset, behind the bytes of the way that leads there. */
  #watch(socket: Socket, way: Way): void {
    const [other, flow] = way === "out" ? [this.#far, this.#flows.out] : [this.#near, this.#flows.back];
    socket.setNoDelay(true);
    socket.on("error", () => undefined); // `close` follows, with `hadError`
    socket.on("close", (hadError) => {
      if (hadError) flow.whenPassing(() => reset(other));
    });
  }
}

function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** Resets a socket: its peer gets ECONNRESET, or an end where one is on its way already. */
function reset(socket: Socket): void {
  const isThere = socket.connecting || socket.remoteAddress !== undefined;
  // While an end is being sent a reset fails, and the socket never emits `close`.
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
