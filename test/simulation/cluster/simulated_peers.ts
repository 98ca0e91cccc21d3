/**
 * Links between the nodes of a simulated cluster: the product's own `PeerLink`, with its codec, credit, references and
 * watches, over connections that are slow, cut, silent in one direction or both, or refused. It replaces `peer_links.ts` and its
 * machine, without heartbeats: a simulated network knows when nothing passes.
 *   - Frames of a connection arrive in order, each once, often several together. A connection that is cut may still bring
 *     frames that were under way, until its end arrives.
 *   - A blocked path loses nothing: frames arrive late, or not at all if the link has ended meanwhile.
 *   - A frozen node receives and sends nothing. After the thaw it receives everything at once.
 */
import type { ActorReference } from "../../../actors/kernel/actor.ts";
import type { CreditGrant } from "../../../actors/transport/peer/peer_frames.ts";
import { PEER_LIMITS } from "../../../actors/transport/peer/peer_frames.ts";
import { PeerLink, type PeerLinkSizes } from "../../../actors/transport/peer/peer_link.ts";
import type { PeerLinks } from "../../../actors/transport/peer/peer_links.ts";
import type { PeerSocket } from "../../../actors/transport/peer/peer_socket.ts";
import { Publications } from "../../../actors/transport/peer/publications.ts";
import { RemoteReference, type Route } from "../../../actors/transport/peer/remote_reference.ts";
import { absentRoute, localRoute } from "../../../actors/transport/peer/routes.ts";
import type { LinkEvent, Peer } from "../../../actors/transport/transport.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { Life } from "../../../supervisors/cluster/cluster.ts";
import type { SimulatedKernel } from "../parts/simulated_kernel.ts";
import type { World } from "../parts/world.ts";

const REDIAL_FIRST_MS = 50;
const REDIAL_MAX_MS = 2_000;
/** The node with the higher name dials this much later, so that both do not dial at once. */
const DIAL_SECOND_MS = 100;

export class PeerNetwork {
  readonly world: World;
  readonly silentAfterMs: number;
  /** The credit of links: how much a node may send before the other node's actors have taken any. */
  readonly limits: typeof PEER_LIMITS;
  readonly connections = new Set<Connection>();
  /** Kernels of the processes that run, by the node's name: their ports answer. */
  readonly #ports = new Map<NodeId, SimulatedKernel>();
  readonly #lives = new Map<NodeId, SimulatedPeers>();
  /** Paths on which nothing passes, as `from>to`. */
  readonly #blocked = new Set<string>();
  /** Nodes whose machine is gone: a connection to them hangs instead of being refused. */
  readonly #vanished = new Set<NodeId>();

  constructor(world: World, silentAfterMs: number, limits: Partial<CreditGrant> = {}) {
    this.world = world;
    this.limits = { ...PEER_LIMITS, ...limits } as typeof PEER_LIMITS;
    this.silentAfterMs = silentAfterMs;
  }

  /** A process begins to listen at its node's address. */
  listen(node: NodeId, kernel: SimulatedKernel): void {
    this.#ports.set(node, kernel);
    this.#vanished.delete(node);
  }

  join(self: Life, kernel: SimulatedKernel): SimulatedPeers {
    const peers = new SimulatedPeers(this, self, kernel);
    this.#lives.set(self.node, peers);
    return peers;
  }

  /** Ends a process, or its whole machine, which neither closes nor refuses connections. */
  died(node: NodeId, kernel: SimulatedKernel, isMachine: boolean): void {
    if (this.#ports.get(node) === kernel) this.#ports.delete(node);
    if (isMachine) this.#vanished.add(node);
    const life = this.#lives.get(node);
    if (life?.kernel !== kernel) return;
    this.#lives.delete(node);
    if (isMachine) this.fallsQuiet(node);
    else for (const { ends } of this.connections) for (const end of ends) if (end.owner === life) end.break();
  }

  /** Ends a connection: each side hears of it in its own time. */
  cut(connection: Connection): void {
    for (const end of connection.ends) this.world.after(this.world.random.next() * 20, () => end.owner.broke(end));
  }

  /** Nothing passes from one node to another for a while. */
  block(from: NodeId, to: NodeId, forMs: number): void {
    this.#blocked.add(`${from}>${to}`);
    this.fallsQuiet(from);
    this.world.after(forMs, () => this.#unblock(from, to));
  }

  #unblock(from: NodeId, to: NodeId): void {
    this.#blocked.delete(`${from}>${to}`);
    for (const { ends } of this.connections) {
      for (const end of ends) if (end.owner.self.node === from && end.peer.node === to) end.flush();
    }
  }

  unblockAll(): void {
    for (const path of [...this.#blocked]) this.#unblock(...(path.split(">") as [NodeId, NodeId]));
    this.#vanished.clear();
  }

  isBlocked(from: NodeId, to: NodeId): boolean {
    return this.#blocked.has(`${from}>${to}`);
  }

  /** The node froze, or a path from it is blocked: peers that hear nothing for too long take their links to it for dead. */
  fallsQuiet(node: NodeId): void {
    for (const { ends } of this.connections) {
      for (const end of ends) if (end.peer.node === node) end.expectWord();
    }
  }

  /** The outcome of an attempt to reach a node. */
  reach(dialler: SimulatedPeers, node: NodeId): "refused" | "nobody" | "hangs" | SimulatedPeers {
    const from = dialler.self.node;
    if (this.isBlocked(from, node) || this.isBlocked(node, from) || this.#vanished.has(node)) return "hangs";
    const port = this.#ports.get(node);
    if (port === undefined) return "refused";
    if (port.frozenUntilMs > this.world.trueMs) return "hangs";
    return this.#lives.get(node) ?? "nobody";
  }

  ended(life: SimulatedPeers): void {
    if (this.#lives.get(life.self.node) === life) this.#lives.delete(life.self.node);
  }

  latencyMs(): number {
    if (this.world.fault("a link is slow", 0.001)) return this.world.random.below(3_000);
    return this.world.random.next() * 3;
  }
}

export interface Connection {
  readonly ends: readonly [End, End];
}

/** One side of a connection, and the frames that its node sends. */
class End implements PeerSocket {
  readonly unsentBytes = 0;
  readonly owner: SimulatedPeers;
  readonly peer: Life;
  readonly link: PeerLink;
  other!: End;
  isOpen = true;
  readonly #network: PeerNetwork;
  #arrivesAtMs = 0;
  /** The frames that arrive together; empty if none is under way. */
  #together: (() => void)[] = [];
  /** The frames that wait while the path is blocked. */
  readonly #held: (() => void)[] = [];
  #heard = 0;

  constructor(network: PeerNetwork, owner: SimulatedPeers, peer: Life) {
    this.#network = network;
    this.owner = owner;
    this.peer = peer;
    this.link = owner.linkOver(this, peer.node);
  }

  send(frame: Uint8Array): void {
    if (this.isOpen) this.say(() => this.other.hear(frame));
  }

  /** Brings something to the other side, in order. */
  say(arrive: () => void): void {
    const { world } = this.#network;
    if (this.#together.length === 0 || world.random.chance(0.3)) {
      const together: (() => void)[] = [];
      this.#together = together;
      this.#arrivesAtMs = Math.max(this.#arrivesAtMs, world.trueMs + this.#network.latencyMs());
      world.at(this.#arrivesAtMs, () => {
        if (this.#together === together) this.#together = [];
        this.#held.push(...together);
        this.flush();
      });
    }
    this.#together.push(arrive);
  }

  flush(): void {
    if (this.#network.isBlocked(this.owner.self.node, this.peer.node)) return;
    for (const arrive of this.#held.splice(0)) this.other.owner.kernel.whenAwake(arrive);
  }

  hear(frame: Uint8Array): void {
    if (!this.isOpen) return;
    this.#heard += 1;
    this.link.receive(frame);
  }

  /** Takes the link for dead if no frame arrives within about `silentAfterMs`. */
  expectWord(): void {
    const { world, silentAfterMs } = this.#network;
    const heard = this.#heard;
    world.after(silentAfterMs * (0.8 + world.random.next() * 0.4), () =>
      this.owner.kernel.whenAwake(() => {
        if (this.isOpen && heard === this.#heard && this.#isQuiet()) this.owner.fellSilent(this);
      }),
    );
  }

  #isQuiet(): boolean {
    const { kernel } = this.other.owner;
    const isFrozen = kernel.frozenUntilMs > this.#network.world.trueMs;
    return isFrozen || !kernel.isAlive || this.#network.isBlocked(this.peer.node, this.owner.self.node);
  }

  /** Ends this side. Frames that were sent before still arrive, and then the end does. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.break();
  }

  terminate(): void {
    this.close();
  }

  /** The other side hears of the end. */
  break(): void {
    this.say(() => this.other.owner.broke(this.other));
  }
}

interface Neighbour {
  readonly node: NodeId;
  peer: Peer | undefined;
  incarnation: number;
  end: End | undefined;
  /** An attempt under way, or the pause before the next. */
  attempt: object | undefined;
  tries: number;
  isSilentTold: boolean;
}

/** The links of one life of a node. */
export class SimulatedPeers implements PeerLinks {
  readonly self: Life;
  readonly kernel: SimulatedKernel;
  readonly #network: PeerNetwork;
  readonly #publications = new Publications();
  readonly #localRoute: Route;
  readonly #neighbours = new Map<NodeId, Neighbour>();
  readonly #listeners = new Set<(event: LinkEvent) => void>();
  #isClosed = false;

  constructor(network: PeerNetwork, self: Life, kernel: SimulatedKernel) {
    this.#network = network;
    this.self = self;
    this.kernel = kernel;
    this.#localRoute = localRoute(this.#publications, this.#onDeadLetter);
  }

  readonly #onDeadLetter = (): void => this.#network.world.count("a message between nodes was a dead letter");

  linkOver(socket: PeerSocket, node: NodeId): PeerLink {
    const { world } = this.#network;
    return new PeerLink({
      node,
      socket,
      publications: this.#publications,
      localRoute: this.#localRoute,
      onDeadLetter: this.#onDeadLetter,
      onProblem: (error) => world.problem(`a link of ${this.self.node} with ${node}: ${String(error)}`),
      limits: this.#network.limits,
      granted: this.#network.limits,
      setTimer: (delayMs, act) => world.after(delayMs, () => this.kernel.whenAwake(act)),
    });
  }

  keep(peers: readonly Peer[]): void {
    if (this.#isClosed) return;
    const kept = new Map(peers.filter(({ node }) => node !== this.self.node).map((peer) => [peer.node, peer]));
    for (const neighbour of [...this.#neighbours.values()]) {
      if (kept.has(neighbour.node) || neighbour.peer === undefined) continue;
      this.#neighbours.delete(neighbour.node);
      neighbour.attempt = undefined;
      this.#endLink(neighbour);
    }
    for (const peer of kept.values()) this.#keepOne(this.#neighbourOf(peer.node), peer);
  }

  #keepOne(neighbour: Neighbour, peer: Peer): void {
    const isNewer = peer.incarnation > neighbour.incarnation;
    const isNew = neighbour.peer === undefined;
    neighbour.peer = peer;
    if (isNewer) {
      neighbour.incarnation = peer.incarnation;
      neighbour.isSilentTold = false;
    }
    if (neighbour.end !== undefined && neighbour.end.peer.incarnation >= peer.incarnation) return;
    if (!isNewer && !isNew) return;
    this.#endLink(neighbour);
    if (this.self.node < peer.node) this.#dial(neighbour);
    else this.#dialLater(neighbour, DIAL_SECOND_MS);
  }

  #neighbourOf(node: NodeId): Neighbour {
    const known = this.#neighbours.get(node);
    if (known !== undefined) return known;
    const made = { node, peer: undefined, incarnation: 0, end: undefined, attempt: undefined, tries: 0 };
    const neighbour: Neighbour = { ...made, isSilentTold: false };
    this.#neighbours.set(node, neighbour);
    return neighbour;
  }

  #dialLater(neighbour: Neighbour, delayMs: number): void {
    const attempt = {};
    neighbour.attempt = attempt;
    this.#after(delayMs * (0.5 + this.#network.world.random.next() / 2), () => {
      if (neighbour.attempt === attempt) this.#dial(neighbour);
    });
  }

  #pause(neighbour: Neighbour): void {
    neighbour.tries += 1;
    this.#dialLater(neighbour, Math.min(REDIAL_MAX_MS, REDIAL_FIRST_MS * 2 ** neighbour.tries));
  }

  #dial(neighbour: Neighbour): void {
    if (neighbour.peer === undefined) return;
    const attempt = {};
    neighbour.attempt = attempt;
    this.#after(this.#network.latencyMs(), () => {
      if (neighbour.attempt !== attempt) return;
      const found = this.#network.reach(this, neighbour.node);
      if (found instanceof SimulatedPeers) {
        if (found.self.incarnation < neighbour.incarnation || !found.asked(this, neighbour, attempt))
          this.#pause(neighbour);
        return;
      }
      if (found === "refused") this.#tell({ kind: "refused", ...this.#lifeOf(neighbour) });
      if (found !== "hangs") this.#pause(neighbour);
      else {
        this.#after(this.#network.silentAfterMs, () => {
          if (neighbour.attempt !== attempt) return;
          this.#tellSilent(neighbour);
          this.#pause(neighbour);
        });
      }
    });
  }

  /** Another node asks for a link. False if it is refused. */
  asked(dialler: SimulatedPeers, theirs: Neighbour, attempt: object): boolean {
    const ours = this.#neighbourOf(dialler.self.node);
    if (this.#isClosed || dialler.self.incarnation < ours.incarnation) return false;
    this.#endLink(ours); // the newer stays
    const mine = new End(this.#network, this, dialler.self);
    const other = new End(this.#network, dialler, this.self);
    mine.other = other;
    other.other = mine;
    this.#network.connections.add({ ends: [mine, other] });
    this.#open(ours, mine);
    mine.say(() => {
      if (theirs.attempt === attempt && !dialler.#isClosed) dialler.#open(theirs, other);
      else other.close();
    });
    return true;
  }

  #open(neighbour: Neighbour, end: End): void {
    if (!end.isOpen) return;
    neighbour.attempt = undefined;
    neighbour.incarnation = end.peer.incarnation;
    neighbour.end = end;
    neighbour.tries = 0;
    neighbour.isSilentTold = false;
    this.#tell({ kind: "up", ...this.#lifeOf(neighbour), minor: 0 });
  }

  /** A connection has ended. */
  broke(end: End): void {
    end.isOpen = false;
    this.kernel.whenAwake(() => {
      const neighbour = this.#neighbours.get(end.peer.node);
      if (neighbour?.end !== end) end.link.end();
      else {
        this.#endLink(neighbour);
        this.#dial(neighbour);
      }
    });
  }

  fellSilent(end: End): void {
    const neighbour = this.#neighbours.get(end.peer.node);
    if (neighbour?.end !== end) return;
    this.#endLink(neighbour);
    this.#tellSilent(neighbour);
    this.#dial(neighbour);
  }

  #tellSilent(neighbour: Neighbour): void {
    if (neighbour.isSilentTold) return;
    neighbour.isSilentTold = true;
    this.#tell({ kind: "silent", ...this.#lifeOf(neighbour) });
  }

  #endLink(neighbour: Neighbour): void {
    const { end } = neighbour;
    if (end === undefined) return;
    neighbour.end = undefined;
    end.close();
    end.link.end();
    for (const connection of this.#network.connections) {
      if (connection.ends.every(({ isOpen }) => !isOpen)) this.#network.connections.delete(connection);
    }
    this.#tell({ kind: "closed", node: neighbour.node, incarnation: end.peer.incarnation });
  }

  #lifeOf({ node, incarnation }: Neighbour): Life {
    return { node, incarnation };
  }

  #tell(event: LinkEvent): void {
    const { world } = this.#network;
    world.count(`link: ${event.kind}`);
    world.say(`${this.self.node} finds ${event.node}#${event.incarnation} ${event.kind}`);
    for (const listener of [...this.#listeners]) listener(event);
  }

  #after(delayMs: number, act: () => void): void {
    this.#network.world.after(delayMs, () =>
      this.kernel.whenAwake(() => {
        if (!this.#isClosed) act();
      }),
    );
  }

  publish<Message>(name: string, actor: ActorReference<Message>): { stop(): void } {
    return this.#publications.publish(name, actor as unknown as ActorReference<never>);
  }

  reference<Message>(node: NodeId, name: string): ActorReference<Message> {
    const absent = absentRoute(node, this.#onDeadLetter);
    const route =
      node === this.self.node ? () => this.#localRoute : (): Route => this.#neighbours.get(node)?.end?.link ?? absent;
    return new RemoteReference<Message>(`${node}:${name}`, name, route);
  }

  isUp(node: NodeId): boolean {
    return node === this.self.node || this.#neighbours.get(node)?.end !== undefined;
  }

  onLink(listener: (event: LinkEvent) => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => void this.#listeners.delete(listener) };
  }

  upgrade(): void {
    throw new Error("Cannot upgrade as only simulated nodes may dial a simulated node");
  }

  sizes(node: NodeId): PeerLinkSizes | undefined {
    return this.#neighbours.get(node)?.end?.link.sizes();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const neighbour of this.#neighbours.values()) {
      neighbour.attempt = undefined;
      this.#endLink(neighbour);
    }
    this.#network.ended(this);
  }
}
