/**
 * Accepts WebSocket upgrades, refuses those without a subprotocol of ours, and closes all connections when the node stops.
 * Leaves each connection to `websocket_connection.ts`. Which clients may connect, and how many, the HTTP server decides
 * before the upgrade.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket, WebSocketServer } from "ws";
import { loadDriver } from "../../deps.ts";
import { OverloadedError, RejectedError } from "../../protocols/errors.ts";
import { CLOSE_CODES } from "../../protocols/wire/closing.ts";
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type Subprotocol } from "../../protocols/wire/frames.ts";
import type { SessionInput } from "../ingest/session.ts";
import type { ActorReference } from "../kernel/actor.ts";
import { refuseHandshake, refuseUpgrade } from "./refuse_upgrade.ts";
import { type ConnectionOptions, LISTENER_LIMITS, ServedConnection } from "./websocket_connection.ts";

export { LISTENER_LIMITS } from "./websocket_connection.ts";

/** Told to clients of a node that stops: by then it has stopped, and its next life may accept the connection. */
const STOPPING_RETRY_AFTER_MS = 2_000;

export interface WebSocketListener {
  readonly connectionCount: number;
  /** Accepts an upgrade, or refuses it with an HTTP status. Never throws. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Tells every session to accept nothing more. Resolves when all connections are closed. */
  close(): Promise<void>;
}

/** A listener without connections. It gets its upgrades from the HTTP server by `upgrade`. */
export async function createWebSocketListener(options: ConnectionOptions): Promise<WebSocketListener> {
  const ws = await loadDriver("ws");
  const server: WebSocketServer = new ws.WebSocketServer({
    noServer: true,
    maxPayload: options.frameBytesMax,
    perMessageDeflate: false,
    maxFragments: LISTENER_LIMITS.fragmentsMax,
    closeTimeout: LISTENER_LIMITS.closeWithinMs,
    maxPendingAutoPongs: LISTENER_LIMITS.pongsUnsentMax,
    handleProtocols: (offered) => subprotocolOf(offered) ?? false,
  } as ConstructorParameters<typeof ws.WebSocketServer>[0]);
  server.on("wsClientError", refuseHandshake);
  return new Listener(server, options);
}

const subprotocolOf = (offered: ReadonlySet<string>): Subprotocol | undefined =>
  ([SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const).find((name) => offered.has(name));

class Listener implements WebSocketListener {
  readonly #server: WebSocketServer;
  readonly #options: ConnectionOptions;
  readonly #open = new Map<WebSocket, ActorReference<SessionInput> | undefined>();
  #closed: Promise<void> | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(server: WebSocketServer, options: ConnectionOptions) {
    this.#server = server;
    this.#options = options;
  }

  get connectionCount(): number {
    return this.#open.size;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    try {
      this.#admit(request);
    } catch (error) {
      refuseUpgrade(socket, error);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#connected(webSocket, request));
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    for (const [webSocket, session] of this.#open) {
      if (session === undefined) webSocket.close(CLOSE_CODES.goingAway, "going away");
      else session.tell({ type: "stopping" });
    }
    if (this.#open.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    this.#server.close();
  }

  #admit(request: IncomingMessage): void {
    const offered = new Set((request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim()));
    if (subprotocolOf(offered) === undefined) {
      throw new RejectedError(
        "UNSUPPORTED_PROTOCOL",
        `Cannot upgrade as the subprotocol must be ${SUBPROTOCOL_MSGPACK} or ${SUBPROTOCOL_JSON}: offered were [${[...offered].join(", ")}]`,
      );
    }
    if (this.#closed === undefined) return;
    throw new OverloadedError(
      "TOO_MANY_CONNECTIONS",
      "Cannot upgrade as the node must take connections: it is stopping",
      STOPPING_RETRY_AFTER_MS,
    );
  }

  #connected(webSocket: WebSocket, request: IncomingMessage): void {
    this.#open.set(webSocket, undefined);
    const connection = new ServedConnection(webSocket, request.socket, this.#options);
    webSocket.on("close", () => {
      this.#open.delete(webSocket);
      if (this.#open.size === 0) this.#onEmpty?.();
    });
    connection.serve(request).then(
      (session) => {
        if (!this.#open.has(webSocket)) return;
        this.#open.set(webSocket, session);
        if (this.#closed !== undefined) session.tell({ type: "stopping" });
      },
      (error) => connection.refuse(error),
    );
  }
}
