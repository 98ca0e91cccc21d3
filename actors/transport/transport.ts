/**
 * What the actors of a node see of other nodes: references to actors there, and whether a node can be reached. The
 * contract between `peer_links.ts` and everything that speaks over it.
 *
 *   T1. What one node says to one actor of another arrives in the order of the calls, lane by lane, at most once. Nothing
 *       is sent again after a link broke.
 *   T2. Two lanes, as in the kernel (K2): `tell` is never refused and never waits behind data; `send` waits for credit,
 *       which the actor's own mailbox gives back as it takes what came. A link is always read (E19).
 *   T3. What can not be sent, as the link is down or out of its limit, is a dead letter: counted, never silent. Who watches
 *       a reference is told when its link ends, as `failed` with `CONNECTION_LOST`; what was under way then has an unknown
 *       outcome.
 *   T4. A reference in a message travels as one: the other side can answer to it. It is good for the life of the link.
 *   T5. A link is between two lives. A node that was started again is another life, with a higher incarnation; the link
 *       to the former life ends first.
 */
import type { NodeId } from "../../protocols/position.ts";
import type { ActorReference } from "../kernel/actor.ts";

/** A node to keep a link with. */
export interface Peer {
  readonly node: NodeId;
  /** Number of the node's present life; the higher is the later. */
  readonly incarnation: number;
  /** `ws://host:port/v1/peer`, or `wss://`. */
  readonly address: string;
}

/** What became of the link to one life of a node. */
export type LinkEvent =
  | { readonly kind: "up"; readonly node: NodeId; readonly incarnation: number; readonly minor: number }
  /** Was up and broke; it is tried again at once. */
  | { readonly kind: "closed"; readonly node: NodeId; readonly incarnation: number }
  /** Nobody listens at its address: the process there is gone. Told after each such attempt. */
  | { readonly kind: "refused"; readonly node: NodeId; readonly incarnation: number }
  /** Nothing was heard of it for `silentAfterMs`, over an open connection or in attempts to make one. Told once. */
  | { readonly kind: "silent"; readonly node: NodeId; readonly incarnation: number };

/**
 * What may be said to an actor on another node: maps, lists, text, numbers, booleans, null, undefined, `Uint8Array`, `Map`,
 * `HeadraceError` (which arrives with its class, code and message) and, as values of the message's own fields, references.
 */
export interface Peers {
  /** The nodes to keep links with; links to others are ended. */
  keep(peers: readonly Peer[]): void;
  /** Makes a local actor known to all peers under a name. */
  publish<Message>(name: string, actor: ActorReference<Message>): { stop(): void };
  /** An actor that a node publishes, in whichever life of the node is linked. Good also before the link is up. */
  reference<Message>(node: NodeId, name: string): ActorReference<Message>;
  isUp(node: NodeId): boolean;
  onLink(listener: (event: LinkEvent) => void): { stop(): void };
}
