/**
 * The contract between `peer_links.ts` and everything that speaks over it: references to actors on other nodes, and which
 * nodes can be reached.
 *
 *   T1. Messages of one node to one actor of another arrive in the order of the calls, lane by lane, at most once.
 *       Nothing is sent again after a link broke.
 *   T2. There are two lanes, as in the kernel (actor K2). `tell` is never refused and never waits behind data. `send` waits
 *       for credit, which comes back as the actor's mailbox takes messages. A link is always read (E19).
 *   T3. A message that cannot be sent is a counted dead letter. When a link ends, the watchers of its references are told
 *       `failed` with `CONNECTION_LOST`; messages under way then have an unknown outcome.
 *   T4. A reference in a message arrives as a reference, so the receiver can answer. It works as long as the link lives.
 *   T5. A link connects one life of each node. A node that was started again is a new life, with a higher incarnation. The
 *       link to its former life ends before the link to the new one is up.
 */
import type { NodeId } from "../../protocols/position.ts";
import type { ActorReference } from "../kernel/actor.ts";

export interface Peer {
  readonly node: NodeId;
  /** Number of the node's present life: a later life has a higher one. */
  readonly incarnation: number;
  /** `ws://host:port/v1/peer`, or `wss://`. */
  readonly address: string;
}

export type LinkEvent =
  | { readonly kind: "up"; readonly node: NodeId; readonly incarnation: number; readonly minor: number }
  /** The link was up and broke. It is dialled again at once. */
  | { readonly kind: "closed"; readonly node: NodeId; readonly incarnation: number }
  /** The node's address refuses connections: its process is gone. Told after each attempt that was refused. */
  | { readonly kind: "refused"; readonly node: NodeId; readonly incarnation: number }
  /** Nothing came from the node for `silentAfterMs`, over an open connection or in attempts to make one. Told once. */
  | { readonly kind: "silent"; readonly node: NodeId; readonly incarnation: number };

/**
 * The other nodes of the cluster. A message to an actor there may hold maps, lists, text, numbers, booleans, null,
 * undefined, `Uint8Array`, `Map`, times, references and errors. A `HeadraceError` arrives with its class, code and message.
 */
export interface Peers {
  /** Sets the nodes to keep links with. Links that an earlier call asked for, and this one does not, are ended. */
  keep(peers: readonly Peer[]): void;
  /** Makes a local actor known to all peers under a name, until `stop` or the next `publish` of that name. */
  publish<Message>(name: string, actor: ActorReference<Message>): { stop(): void };
  /** The actor that a node publishes under a name, in the life of that node that is linked. May be made before the link. */
  reference<Message>(node: NodeId, name: string): ActorReference<Message>;
  /** Whether a link with the node is up; true for this node itself. */
  isUp(node: NodeId): boolean;
  onLink(listener: (event: LinkEvent) => void): { stop(): void };
}
