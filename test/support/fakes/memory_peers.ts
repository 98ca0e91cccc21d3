/**
 * Peers of the nodes in one process. Messages arrive in a turn of their own, in order, at most once. Links are made as
 * soon as both lives exist; a test can cut, refuse and silence them. The product's own links are in `peer_links.ts`.
 */
import type { ActorReference, Termination } from "../../../actors/kernel/actor.ts";
import type { LinkEvent, Peer, Peers } from "../../../actors/transport/transport.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";

interface Life {
  readonly node: NodeId;
  readonly incarnation: number;
}

export class MemoryNetwork {
  readonly #nodes = new Map<NodeId, MemoryPeers>();
  /** Pairs that do not hear each other, as `from>to`. */
  readonly silenced = new Set<string>();
  delivered = 0;

  join(self: Life): MemoryPeers {
    const peers = new MemoryPeers(this, self);
    this.#nodes.get(self.node)?.end();
    this.#nodes.set(self.node, peers);
    for (const other of this.#nodes.values()) other.look();
    return peers;
  }

  /** The process is gone: its links close, and its port refuses. */
  kill(node: NodeId): void {
    const gone = this.#nodes.get(node);
    if (gone === undefined) return;
    this.#nodes.delete(node);
    gone.end();
    for (const other of this.#nodes.values()) other.lost(gone.self);
  }

  /** No message passes between the node and the others, and no side is told: both fall silent. */
  silence(node: NodeId): void {
    const of = this.#nodes.get(node);
    for (const other of this.#nodes.values()) {
      if (other === of || of === undefined) continue;
      this.silenced.add(`${node}>${other.self.node}`).add(`${other.self.node}>${node}`);
      other.fellSilent(of.self);
      of.fellSilent(other.self);
    }
  }

  find(node: NodeId): MemoryPeers | undefined {
    return this.#nodes.get(node);
  }
}

export class MemoryPeers implements Peers {
  readonly self: Life;
  readonly #network: MemoryNetwork;
  readonly #kept = new Map<NodeId, Peer>();
  readonly #up = new Set<NodeId>();
  readonly #published = new Map<string, ActorReference<never>>();
  readonly #listeners = new Set<(event: LinkEvent) => void>();
  readonly #watchers = new Map<NodeId, Set<(termination: Termination) => void>>();
  #hasEnded = false;

  constructor(network: MemoryNetwork, self: Life) {
    this.#network = network;
    this.self = self;
  }

  keep(peers: readonly Peer[]): void {
    this.#kept.clear();
    for (const peer of peers) this.#kept.set(peer.node, peer);
    this.look();
  }

  look(): void {
    for (const peer of this.#kept.values()) {
      const other = this.#network.find(peer.node);
      if (this.#up.has(peer.node) || other?.self.incarnation !== peer.incarnation) continue;
      this.#up.add(peer.node);
      this.#tell({ kind: "up", node: peer.node, incarnation: peer.incarnation, minor: 0 });
    }
  }

  lost({ node, incarnation }: Life): void {
    if (!this.#up.delete(node)) return;
    this.#tell({ kind: "closed", node, incarnation });
    const error = new UnavailableError("CONNECTION_LOST", `Cannot reach ${node} as its link must stand: it has ended`);
    for (const watcher of this.#watchers.get(node) ?? []) watcher({ kind: "failed", error });
    this.#watchers.delete(node);
    queueMicrotask(() => this.#tell({ kind: "refused", node, incarnation }));
  }

  fellSilent({ node, incarnation }: Life): void {
    this.#tell({ kind: "silent", node, incarnation });
  }

  end(): void {
    this.#hasEnded = true;
  }

  publish<Message>(name: string, actor: ActorReference<Message>): { stop(): void } {
    this.#published.set(name, actor as ActorReference<never>);
    return {
      stop: () => {
        if (this.#published.get(name) === (actor as ActorReference<never>)) this.#published.delete(name);
      },
    };
  }

  reference<Message>(node: NodeId, name: string): ActorReference<Message> {
    const deliver = (message: Message): boolean => {
      const other = this.#network.find(node);
      const isHeard = !this.#network.silenced.has(`${this.self.node}>${node}`);
      if (this.#hasEnded || other === undefined || !isHeard) return false;
      setImmediate(() => {
        if (this.#network.find(node) !== other) return;
        this.#network.delivered += 1;
        other.#published.get(name)?.tell(message as never);
      });
      return true;
    };
    const reference = {
      path: `${node}/${name}`,
      tell: (message: Message) => void deliver(message),
      send: async (message: Message) => deliver(message),
      trySend: (message: Message) => deliver(message),
      onTerminated: (listener: (termination: Termination) => void) => {
        const watchers = this.#watchers.get(node) ?? new Set();
        this.#watchers.set(node, watchers.add(listener));
        return () => watchers.delete(listener);
      },
    };
    return reference;
  }

  isUp(node: NodeId): boolean {
    return this.#up.has(node);
  }

  onLink(listener: (event: LinkEvent) => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => this.#listeners.delete(listener) };
  }

  #tell(event: LinkEvent): void {
    if (this.#hasEnded) return;
    for (const listener of this.#listeners) listener(event);
  }
}
