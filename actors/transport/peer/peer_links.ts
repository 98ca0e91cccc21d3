/**
 * Links with the other nodes of a cluster: dials and accepts connections, runs their handshakes, and gives each neighbour
 * (`peer_neighbour.ts`) those of its node. Leaves to `peer_admission.ts` which upgrades are refused.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocketServer } from "ws";
import { loadDriver } from "../../../deps.ts";
import { shortenedMs } from "../../../protocols/clock.ts";
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { ActorReference, Timer } from "../../kernel/actor.ts";
import { refuseHandshake, refuseUpgrade } from "../refuse_upgrade.ts";
import type { LinkEvent, Peer, Peers } from "../transport.ts";
import { admit, mayDial } from "./peer_admission.ts";
import { type ConnectionOwner, PeerConnection } from "./peer_connection.ts";
import type { ExportLimits } from "./peer_exports.ts";
import { type CreditGrant, PEER_LIMITS, PEER_SUBPROTOCOL } from "./peer_frames.ts";
import { AcceptorHandshake, DiallerHandshake, type Identity, identityOf, type ShownPeer } from "./peer_handshake.ts";
import { PeerLink, type PeerLinkSizes } from "./peer_link.ts";
import { initialPeerLink } from "./peer_link_machine.ts";
import { Neighbour } from "./peer_neighbour.ts";
import {
  type ConnectPeer,
  connectPeer,
  NodePeerSocket,
  type PeerSocket,
  type PeerSocketEvents,
  type PeerTls,
  type SetTimer,
} from "./peer_socket.ts";
import { Publications } from "./publications.ts";
import { type OnDeadLetter, RemoteReference, type Route } from "./remote_reference.ts";
import { absentRoute, localRoute } from "./routes.ts";

/** Pause between attempts to dial, before up to half of it is taken off as jitter. */
const REDIAL = { redialFirstMs: 50, redialMaxMs: 2_000 } as const;

export interface PeerLinksOptions {
  readonly self: { readonly node: NodeId; readonly incarnation: number };
  readonly clusterId: string;
  /** The cluster's secret, of at least 32 characters. Without it `peer_admission.ts` says which nodes are linked. */
  readonly secret?: string;
  readonly times: { readonly heartbeatEveryMs: number; readonly silentAfterMs: number };
  readonly tls?: PeerTls;
  /** Without a secret: accepts only peers whose certificate this node's server has verified. */
  readonly authorizedByTls?: boolean;
  readonly setTimer: SetTimer;
  /** In [0, 1). */
  readonly random: () => number;
  readonly onDeadLetter: OnDeadLetter;
  /** Called with an error that ended a link or kept one from being made, for the log. `node` is known or only claimed. */
  readonly onProblem: (error: unknown, node: NodeId | undefined) => void;
  readonly connect?: ConnectPeer;
  /** Replaces limits of `PEER_LIMITS`: tests use small ones, to reach them. */
  readonly limits?: Partial<CreditGrant & ExportLimits>;
  /** The minor version to speak. Default: `PEER_MINOR`; tests give another one. */
  readonly minor?: number;
}

export interface PeerLinks extends Peers {
  /** Accepts an upgrade at `PEER_PATH`. Calls `onShown` once the other end has proved that it is a node of the cluster. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, onShown?: () => void): void;
  sizes(node: NodeId): PeerLinkSizes | undefined;
  /** Ends all links. Resolves when their connections are closed. */
  close(): Promise<void>;
}

/** Links without peers: `keep` names those. Rejects with `ConfigurationError` for a secret of less than 32 characters. */
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
  server.on("wsClientError", refuseHandshake);
  return new Links(server, options.connect ?? connectPeer(ws, options.tls ?? {}, options.setTimer), options);
}

const SECRET_CHARACTERS_MIN = 32;

class Links implements PeerLinks, ConnectionOwner {
  readonly #server: WebSocketServer;
  readonly #connect: ConnectPeer;
  readonly #options: PeerLinksOptions;
  readonly #identity: Identity;
  readonly #limits: CreditGrant & ExportLimits;
  readonly #publications = new Publications();
  readonly #localRoute: Route;
  readonly #neighbours = new Map<NodeId, Neighbour>();
  readonly #listeners = new Set<(event: LinkEvent) => void>();
  readonly #open = new Set<PeerConnection>();
  #lookTimer: Timer | undefined;
  /** Accepted connections before their proof, the oldest first, each with the `onShown` of its upgrade. */
  readonly #unshown = new Map<PeerConnection, () => void>();
  #accepted = 0;
  /** Highest turn of a neighbour that was forgotten: when it comes back its turns go on from there (peer link L3). */
  #turn = 0;
  #closed: Promise<void> | undefined;
  #onAllClosed: (() => void) | undefined;

  constructor(server: WebSocketServer, connect: ConnectPeer, options: PeerLinksOptions) {
    this.#server = server;
    this.#connect = connect;
    this.#options = options;
    const { self, clusterId: cluster, secret, minor } = options;
    this.#limits = { ...PEER_LIMITS, ...options.limits };
    this.#identity = identityOf({ ...self, cluster, secret }, this.#limits, minor);
    this.#localRoute = localRoute(this.#publications, options.onDeadLetter);
    this.#lookLater();
  }

  keep(peers: readonly Peer[]): void {
    if (this.#closed !== undefined) return;
    const kept = new Map(peers.filter(({ node }) => node !== this.#identity.node).map((peer) => [peer.node, peer]));
    for (const neighbour of [...this.#neighbours.values()]) {
      // A neighbour that was never kept has linked itself, ahead of the list: it stays (peer link L6).
      if (!kept.has(neighbour.node) && neighbour.isKept) neighbour.step({ type: "forget" });
    }
    for (const { node, incarnation, address } of kept.values())
      this.#neighbourOf(node).step({ type: "keep", incarnation, address });
  }

  publish<Message>(name: string, actor: ActorReference<Message>): { stop(): void } {
    return this.#publications.publish(name, actor as unknown as ActorReference<never>);
  }

  reference<Message>(node: NodeId, name: string): ActorReference<Message> {
    const absent = absentRoute(node, this.#options.onDeadLetter);
    const isOwn = node === this.#identity.node;
    const route = (): Route => (isOwn ? this.#localRoute : (this.#neighbours.get(node)?.link ?? absent));
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
    for (const neighbour of [...this.#neighbours.values()]) neighbour.step({ type: "forget" });
    for (const connection of [...this.#open]) connection.end(1001, "going away");
    if (this.#open.size > 0) await new Promise<void>((resolve) => (this.#onAllClosed = resolve));
    this.#server.close();
  }

  #neighbourOf(node: NodeId): Neighbour {
    const known = this.#neighbours.get(node);
    if (known !== undefined) return known;
    const { times, setTimer, onDeadLetter } = this.#options;
    const onProblem = (error: unknown) => this.onProblem(error, node);
    const [publications, localRoute, limits] = [this.#publications, this.#localRoute, this.#limits];
    const ofLink = { node, publications, localRoute, limits, setTimer, onDeadLetter, onProblem };
    const neighbour: Neighbour = new Neighbour({
      state: initialPeerLink(this.#identity.node, node, { ...times, ...REDIAL }, this.#turn),
      shortened: (delayMs) => shortenedMs(delayMs, this.#options.random()),
      setTimer,
      dial: (number, address) => this.#dial(neighbour, number, address),
      makeLink: (socket, granted) => new PeerLink({ ...ofLink, socket, granted }),
      tell: (event) => this.#tell(event),
      onProblem,
      onIdle: (turn) => this.#forget(neighbour, turn),
    });
    this.#neighbours.set(node, neighbour);
    return neighbour;
  }

  #forget(neighbour: Neighbour, turn: number): void {
    if (this.#neighbours.get(neighbour.node) !== neighbour) return;
    this.#turn = Math.max(this.#turn, turn);
    this.#neighbours.delete(neighbour.node);
  }

  #tell(event: LinkEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        this.onProblem(error, event.node);
      }
    }
  }

  #lookLater(): void {
    this.#lookTimer = this.#options.setTimer(this.#options.times.heartbeatEveryMs, () => {
      if (this.#closed !== undefined) return;
      this.#lookLater();
      for (const neighbour of [...this.#neighbours.values()])
        neighbour.step({ type: "look", wasHeard: neighbour.link?.takeHeard() ?? false });
    });
  }

  #dial(neighbour: Neighbour, number: number, address: string): void {
    const handshake = new DiallerHandshake(this.#identity, neighbour.node, number);
    const connection = new PeerConnection(number, handshake, this);
    this.#open.add(connection);
    neighbour.connections.set(number, connection);
    const open = (events: PeerSocketEvents): PeerSocket => {
      if (this.#identity.secret === undefined) mayDial(address);
      return this.#connect(address, events);
    };
    connection.begin(open, this.#options.setTimer);
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, onShown: () => void = () => undefined): void {
    socket.on("error", () => socket.destroy());
    try {
      const { secret, authorizedByTls = false } = this.#options;
      admit(request, secret !== undefined, authorizedByTls, this.#closed !== undefined);
    } catch (error) {
      this.onProblem(error, undefined);
      refuseUpgrade(socket, error);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#accepted += 1;
      const connection = new PeerConnection(-this.#accepted, new AcceptorHandshake(this.#identity), this);
      this.#open.add(connection);
      this.#unshown.set(connection, onShown);
      this.#endLongestUnshown();
      const { setTimer } = this.#options;
      connection.begin((events) => new NodePeerSocket(webSocket, socket, events, setTimer), setTimer);
    });
  }

  /** Beyond `handshakesMax` handshakes the oldest one is ended. A node's own takes milliseconds, so silent ones go first. */
  #endLongestUnshown(): void {
    if (this.#unshown.size <= PEER_LIMITS.handshakesMax) return;
    const longest = this.#unshown.keys().next().value;
    longest?.end(1013, "too many handshakes under way");
  }

  onShown(connection: PeerConnection, { node, incarnation, minor, turn }: ShownPeer): void {
    const { number, isAccepted } = connection;
    const neighbour = this.#neighbourOf(node);
    if (isAccepted) {
      this.#unshown.get(connection)?.();
      this.#unshown.delete(connection);
      neighbour.connections.set(number, connection);
    }
    neighbour.step({ type: isAccepted ? "asked" : "ready", connection: number, incarnation, minor, turn });
  }

  onOver(connection: PeerConnection): void {
    const { node, number, link } = connection;
    this.#unshown.delete(connection);
    if (node === undefined) return;
    const neighbour = this.#neighbours.get(node);
    neighbour?.connections.delete(number);
    if (neighbour !== undefined && neighbour.link === link) neighbour.link = undefined;
  }

  onBroke({ node, number }: PeerConnection, isRefused: boolean): void {
    const neighbour = node === undefined ? undefined : this.#neighbours.get(node);
    neighbour?.step({ type: isRefused ? "refused" : "broke", connection: number });
  }

  onClosed(connection: PeerConnection): void {
    this.#open.delete(connection);
    if (this.#open.size === 0) this.#onAllClosed?.();
  }

  onProblem(error: unknown, node: NodeId | undefined): void {
    if (this.#closed === undefined) this.#options.onProblem(error, node);
  }
}
