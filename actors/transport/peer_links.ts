/**
 * Links with the other nodes of a cluster: dials and accepts connections, lets the two ends show who they are, asks
 * `peer_link_machine.ts` which connection stays, and gives those that do to `peer_link.ts`. Decides nothing else.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { WebSocketServer } from "ws";
import { loadDriver } from "../../deps.ts";
import {
  ConfigurationError,
  HeadraceError,
  OverloadedError,
  RejectedError,
  UnavailableError,
} from "../../protocols/errors.ts";
import type { NodeId } from "../../protocols/position.ts";
import type { ActorReference, Timer } from "../kernel/actor.ts";
import { isLoopbackAddress, mayDial, refuseUpgrade } from "./peer_admission.ts";
import { decodePeerFrame, encodePeerFrame } from "./peer_codec.ts";
import type { CreditLimits } from "./peer_credit.ts";
import type { ExportLimits } from "./peer_exports.ts";
import { PEER_LIMITS, PEER_SUBPROTOCOL } from "./peer_frames.ts";
import { AcceptorHandshake, DiallerHandshake, type Identity, identityOf, type ShownPeer } from "./peer_handshake.ts";
import { type OnDeadLetter, PeerLink, type PeerLinkSizes } from "./peer_link.ts";
import {
  initialPeerLink,
  isIdle,
  type PeerLinkEffect,
  type PeerLinkMessage,
  type PeerLinkState,
  stepPeerLink,
} from "./peer_link_machine.ts";
import {
  acceptPeerSocket,
  type ConnectPeer,
  connectPeer,
  type PeerSocket,
  type PeerSocketEvents,
  type PeerTls,
  type SetTimer,
  type SocketEnd,
} from "./peer_socket.ts";
import { Publications } from "./publications.ts";
import { RemoteReference, type Route } from "./remote_reference.ts";
import { absentRoute, localRoute } from "./routes.ts";
import type { LinkEvent, Peer, Peers } from "./transport.ts";

/** Between attempts to dial, before jitter of up to one half. */
const REDIAL = { redialFirstMs: 50, redialMaxMs: 2_000 } as const;

export interface PeerLinksOptions {
  /** This node's present life. */
  readonly self: { readonly node: NodeId; readonly incarnation: number };
  readonly clusterId: string;
  /** What all nodes of the cluster know. Without it only nodes on this machine are linked, or, where `authorizedByTls`, those that TLS vouches for. */
  readonly secret?: string;
  readonly times: { readonly heartbeatEveryMs: number; readonly silentAfterMs: number };
  readonly tls?: PeerTls;
  /** Without a secret: takes peers whose certificate this node's server has verified, and no others. */
  readonly authorizedByTls?: boolean;
  readonly setTimer: SetTimer;
  /** In [0, 1). */
  readonly random: () => number;
  readonly onDeadLetter: OnDeadLetter;
  /** What kept a link from being made, or ended one: for the log. `node` where it is known, or claimed. */
  readonly onProblem: (error: unknown, node: NodeId | undefined) => void;
  /** Default: `ws`. */
  readonly connect?: ConnectPeer;
  /** Smaller ones, where a test is to see them reached. */
  readonly limits?: Partial<CreditLimits & ExportLimits>;
  /** An older one, in tests. */
  readonly minor?: number;
}

export interface PeerLinks extends Peers {
  /** Takes an upgrade of `PEER_PATH`. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Sizes of the tables of the link that is up with a node. */
  sizes(node: NodeId): PeerLinkSizes | undefined;
  /** Ends all links; resolves when their connections are closed. */
  close(): Promise<void>;
}

/** Throws `ConfigurationError` for a secret that can be guessed. */
export async function createPeerLinks(options: PeerLinksOptions): Promise<PeerLinks> {
  const length = options.secret?.length ?? SECRET_CHARACTERS_MIN;
  if (length < SECRET_CHARACTERS_MIN) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot link nodes as their secret must have at least ${SECRET_CHARACTERS_MIN} characters: current length is ${length}`,
    );
  }
  const ws = await loadDriver("ws");
  const server: WebSocketServer = new ws.WebSocketServer({
    noServer: true,
    maxPayload: PEER_LIMITS.frameBytesMax,
    perMessageDeflate: false,
    maxFragments: PEER_LIMITS.fragmentsMax,
    closeTimeout: PEER_LIMITS.closeWithinMs,
    handleProtocols: (offered) => (offered.has(PEER_SUBPROTOCOL) ? PEER_SUBPROTOCOL : false),
  } as ConstructorParameters<typeof ws.WebSocketServer>[0]);
  return new Links(server, options.connect ?? connectPeer(ws, options.tls ?? {}, options.setTimer), options);
}

const SECRET_CHARACTERS_MIN = 32;

/** A node that is kept, linked or both. */
interface Neighbour {
  readonly node: NodeId;
  readonly connections: Map<number, Connection>;
  readonly queue: PeerLinkMessage[];
  state: PeerLinkState;
  link: PeerLink | undefined;
  pauseTimer: Timer | undefined;
  isStepping: boolean;
}

interface Connection {
  readonly number: number;
  socket: PeerSocket | undefined;
  handshake: DiallerHandshake | AcceptorHandshake;
  neighbour: Neighbour | undefined;
  link: PeerLink | undefined;
  timer: Timer | undefined;
  isOver: boolean;
}

class Links implements PeerLinks {
  readonly #server: WebSocketServer;
  readonly #connect: ConnectPeer;
  readonly #options: PeerLinksOptions;
  readonly #identity: Identity;
  readonly #publications = new Publications();
  readonly #localRoute: Route;
  readonly #neighbours = new Map<NodeId, Neighbour>();
  readonly #listeners = new Set<(event: LinkEvent) => void>();
  readonly #open = new Set<Connection>();
  #lookTimer: Timer | undefined;
  #unshown = 0;
  #accepted = 0;
  /** Highest turn of a neighbour that is not kept in mind any more: turns only rise. */
  #turn = 0;
  #closed: Promise<void> | undefined;
  #onAllClosed: (() => void) | undefined;

  constructor(server: WebSocketServer, connect: ConnectPeer, options: PeerLinksOptions) {
    this.#server = server;
    this.#connect = connect;
    this.#options = options;
    const { node, incarnation } = options.self;
    const identity = identityOf({ node, incarnation, cluster: options.clusterId, secret: options.secret });
    this.#identity = options.minor === undefined ? identity : { ...identity, minor: options.minor };
    this.#localRoute = localRoute(this.#publications, options.onDeadLetter);
    this.#lookLater();
  }

  keep(peers: readonly Peer[]): void {
    if (this.#closed !== undefined) return;
    const kept = new Map(peers.filter(({ node }) => node !== this.#identity.node).map((peer) => [peer.node, peer]));
    for (const neighbour of [...this.#neighbours.values()]) {
      // One that was never kept has linked itself: the list lags, and it stays (L6).
      if (!kept.has(neighbour.node) && neighbour.state.address !== undefined) this.#step(neighbour, { type: "forget" });
    }
    for (const { node, incarnation, address } of kept.values())
      this.#step(this.#neighbourOf(node), { type: "keep", incarnation, address });
  }

  publish<Message>(name: string, actor: ActorReference<Message>): { stop(): void } {
    return this.#publications.publish(name, actor as unknown as ActorReference<never>);
  }

  reference<Message>(node: NodeId, name: string): ActorReference<Message> {
    const absent = absentRoute(node, this.#options.onDeadLetter);
    const route =
      node === this.#identity.node ? () => this.#localRoute : (): Route => this.#neighbours.get(node)?.link ?? absent;
    return new RemoteReference<Message>(`${node}:${name}`, name, route);
  }

  isUp(node: NodeId): boolean {
    return node === this.#identity.node || this.#neighbours.get(node)?.link !== undefined;
  }

  onLink(listener: (event: LinkEvent) => void): { stop(): void } {
    const own = (event: LinkEvent) => listener(event); // one listener may be given twice
    this.#listeners.add(own);
    return { stop: () => void this.#listeners.delete(own) };
  }

  sizes(node: NodeId): PeerLinkSizes | undefined {
    return this.#neighbours.get(node)?.link?.sizes();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#lookTimer?.cancel();
    for (const neighbour of [...this.#neighbours.values()]) this.#step(neighbour, { type: "forget" });
    for (const connection of [...this.#open]) this.#end(connection, 1001, "going away");
    if (this.#open.size > 0) await new Promise<void>((resolve) => (this.#onAllClosed = resolve));
    this.#server.close();
  }

  // Steps of the machine ----------------------------------------------------------------------------------------------

  #neighbourOf(node: NodeId): Neighbour {
    const known = this.#neighbours.get(node);
    if (known !== undefined) return known;
    const { times } = this.#options;
    const neighbour: Neighbour = {
      node,
      connections: new Map(),
      queue: [],
      state: initialPeerLink(this.#identity.node, node, { ...times, ...REDIAL }, this.#turn),
      link: undefined,
      pauseTimer: undefined,
      isStepping: false,
    };
    this.#neighbours.set(node, neighbour);
    return neighbour;
  }

  /** What a step's effects bring about at once (a listener that keeps other nodes) is stepped after them. */
  #step(neighbour: Neighbour, message: PeerLinkMessage): void {
    neighbour.queue.push(message);
    if (neighbour.isStepping) return;
    neighbour.isStepping = true;
    for (let next = neighbour.queue.shift(); next !== undefined; next = neighbour.queue.shift()) {
      const [state, effects] = stepPeerLink(neighbour.state, next, 0);
      neighbour.state = state;
      for (const effect of effects) this.#perform(neighbour, effect);
    }
    neighbour.isStepping = false;
    if (!isIdle(neighbour.state) || this.#neighbours.get(neighbour.node) !== neighbour) return;
    neighbour.pauseTimer?.cancel();
    this.#turn = Math.max(this.#turn, neighbour.state.turn);
    this.#neighbours.delete(neighbour.node);
  }

  #perform(neighbour: Neighbour, effect: PeerLinkEffect): void {
    switch (effect.type) {
      case "dial":
        this.#dial(neighbour, effect.connection, effect.address);
        return;
      case "pause": {
        const { pause, delayMs } = effect;
        const withJitterMs = delayMs * (0.5 + this.#options.random() / 2);
        neighbour.pauseTimer?.cancel();
        neighbour.pauseTimer = this.#options.setTimer(withJitterMs, () =>
          this.#step(neighbour, { type: "paused", pause }),
        );
        return;
      }
      case "open":
        this.#speak(neighbour, effect.connection, effect.turn);
        return;
      case "refuse": {
        const connection = neighbour.connections.get(effect.connection);
        if (connection !== undefined) this.#refuse(connection, effect.error);
        return;
      }
      case "close": {
        const connection = neighbour.connections.get(effect.connection);
        if (connection !== undefined) this.#end(connection, 1000, "");
        return;
      }
      case "heartbeat":
        neighbour.link?.heartbeat();
        return;
      case "tell":
        for (const listener of [...this.#listeners]) this.#guarded(neighbour.node, () => listener(effect.event));
        return;
    }
  }

  #guarded(node: NodeId | undefined, act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#options.onProblem(error, node);
    }
  }

  #lookLater(): void {
    this.#lookTimer = this.#options.setTimer(this.#options.times.heartbeatEveryMs, () => {
      if (this.#closed !== undefined) return;
      this.#lookLater();
      for (const neighbour of [...this.#neighbours.values()])
        this.#step(neighbour, { type: "look", wasHeard: neighbour.link?.takeHeard() ?? false });
    });
  }

  // Connections -------------------------------------------------------------------------------------------------------

  #dial(neighbour: Neighbour, number: number, address: string): void {
    const handshake = new DiallerHandshake(this.#identity, neighbour.node, number);
    const connection = this.#newConnection(number, handshake, neighbour);
    neighbour.connections.set(number, connection);
    try {
      if (this.#identity.secret === undefined) mayDial(address);
      connection.socket = this.#connect(address, this.#eventsOf(connection));
    } catch (error) {
      this.#onEnd(connection, { isRefused: false, error: asHeadraceError(error) });
    }
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    try {
      this.#admit(request);
    } catch (error) {
      this.#options.onProblem(error, undefined);
      refuseUpgrade(socket, error);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#accepted += 1;
      this.#unshown += 1;
      const connection = this.#newConnection(-this.#accepted, new AcceptorHandshake(this.#identity), undefined);
      connection.socket = acceptPeerSocket(webSocket, socket, this.#eventsOf(connection), this.#options.setTimer);
      connection.timer = this.#options.setTimer(PEER_LIMITS.handshakeWithinMs, () => connection.socket?.terminate());
    });
  }

  #admit(request: IncomingMessage): void {
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
    if (!offered.includes(PEER_SUBPROTOCOL)) {
      throw new RejectedError(
        "UNSUPPORTED_PROTOCOL",
        `Cannot link with a node as the subprotocol must be ${PEER_SUBPROTOCOL}: offered were [${offered.join(", ")}]`,
      );
    }
    const { secret, authorizedByTls = false } = this.#options;
    const address = request.socket.remoteAddress ?? "unknown";
    const isVouchedFor = authorizedByTls
      ? (request.socket as Partial<TLSSocket>).authorized === true
      : isLoopbackAddress(address);
    if (secret === undefined && !isVouchedFor) {
      throw new RejectedError(
        "UNAUTHENTICATED",
        `Cannot link with a node at ${address} as without a secret it must ${authorizedByTls ? "show a certificate that this node trusts" : "be on this machine"}`,
      );
    }
    if (this.#closed !== undefined || this.#unshown >= PEER_LIMITS.handshakesMax) {
      throw new OverloadedError(
        "TOO_MANY_CONNECTIONS",
        `Cannot link with a node as handshakes under way must stay below ${PEER_LIMITS.handshakesMax}: current value is ${this.#unshown}`,
        1_000,
      );
    }
  }

  #newConnection(number: number, handshake: Connection["handshake"], neighbour: Neighbour | undefined): Connection {
    const connection: Connection = {
      number,
      socket: undefined,
      handshake,
      neighbour,
      link: undefined,
      timer: undefined,
      isOver: false,
    };
    this.#open.add(connection);
    return connection;
  }

  #eventsOf(connection: Connection): PeerSocketEvents {
    return {
      onOpen: () => {
        if (!connection.isOver && connection.handshake instanceof DiallerHandshake)
          connection.socket?.send(encodePeerFrame(connection.handshake.hello));
      },
      onFrame: (bytes) => this.#take(connection, bytes),
      onFull: (isFull) => connection.link?.setSocketFull(isFull),
      onEnd: (end) => this.#onEnd(connection, end),
    };
  }

  #take(connection: Connection, bytes: Uint8Array): void {
    if (connection.isOver) return;
    try {
      if (connection.link !== undefined) connection.link.receive(bytes);
      else this.#goOn(connection, bytes);
    } catch (error) {
      const { neighbour } = connection;
      this.#report(connection, error);
      this.#refuse(connection, asHeadraceError(error));
      if (neighbour !== undefined) this.#step(neighbour, { type: "broke", connection: connection.number });
    }
  }

  /** Two nodes that dial at once are no problem: one of them is told that the other's connection stays. */
  #report({ neighbour, handshake }: Connection, error: unknown): void {
    if (error instanceof UnavailableError && error.code === "NOT_READY") return;
    const claimed = handshake instanceof AcceptorHandshake ? handshake.claimedNode : undefined;
    this.#options.onProblem(error, neighbour?.node ?? claimed);
  }

  #goOn(connection: Connection, bytes: Uint8Array): void {
    const answer = connection.handshake.take(decodePeerFrame(bytes));
    if (answer === undefined) return;
    if ("type" in answer) {
      if (answer.type !== "unknown") connection.socket?.send(encodePeerFrame(answer));
      return;
    }
    this.#shown(connection, answer);
  }

  #shown(connection: Connection, { node, incarnation, minor, turn }: ShownPeer): void {
    const type = connection.handshake instanceof DiallerHandshake ? "ready" : "asked";
    if (type === "asked") {
      this.#unshown -= 1;
      connection.timer?.cancel();
      connection.neighbour = this.#neighbourOf(node);
      connection.neighbour.connections.set(connection.number, connection);
    }
    if (connection.neighbour !== undefined)
      this.#step(connection.neighbour, { type, connection: connection.number, incarnation, minor, turn });
  }

  /** The machine took this connection for the link. */
  #speak(neighbour: Neighbour, number: number, turn: number): void {
    const connection = neighbour.connections.get(number);
    if (connection?.socket === undefined) return;
    if (connection.handshake instanceof AcceptorHandshake)
      connection.socket.send(encodePeerFrame({ type: "ready", turn }));
    const { onDeadLetter, onProblem, limits } = this.#options;
    connection.link = new PeerLink({
      node: neighbour.node,
      socket: connection.socket,
      publications: this.#publications,
      localRoute: this.#localRoute,
      onDeadLetter,
      onProblem: (error) => onProblem(error, neighbour.node),
      limits: { ...PEER_LIMITS, ...limits },
    });
    neighbour.link = connection.link;
  }

  #refuse(connection: Connection, error: HeadraceError): void {
    const { code, message } = error;
    if (connection.link === undefined && connection.handshake instanceof AcceptorHandshake)
      connection.socket?.send(encodePeerFrame({ type: "refusal", code, message }));
    this.#end(connection, 1008, code);
  }

  /** Ends a connection from here. */
  #end(connection: Connection, code: number, reason: string): void {
    if (connection.isOver) return;
    this.#leave(connection);
    connection.socket?.close(code, reason);
  }

  /** A connection has ended. */
  #onEnd(connection: Connection, { isRefused, error }: SocketEnd): void {
    this.#open.delete(connection);
    if (this.#open.size === 0) this.#onAllClosed?.();
    if (connection.isOver) return;
    const { number, neighbour, link } = connection;
    if (link === undefined && !isRefused && this.#closed === undefined) this.#options.onProblem(error, neighbour?.node);
    // The link ends before anybody is told; the machine then finds nothing left to close.
    this.#leave(connection);
    if (neighbour !== undefined) this.#step(neighbour, { type: isRefused ? "refused" : "broke", connection: number });
  }

  #leave(connection: Connection): void {
    connection.isOver = true;
    connection.timer?.cancel();
    const { neighbour, link, number, handshake } = connection;
    neighbour?.connections.delete(number);
    if (neighbour === undefined && handshake instanceof AcceptorHandshake) this.#unshown -= 1;
    if (link === undefined) return;
    if (neighbour?.link === link) neighbour.link = undefined;
    this.#guarded(neighbour?.node, () => link.end());
  }
}

const asHeadraceError = (error: unknown): HeadraceError =>
  error instanceof HeadraceError
    ? error
    : new UnavailableError("CONNECTION_LOST", error instanceof Error ? error.message : String(error), { cause: error });
