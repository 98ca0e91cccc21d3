/**
 * The frames of two nodes on one WebSocket. A frame is a MessagePack list that begins with the number of its type. A later
 * minor version may add types, fields at a frame's end, and keys to the maps of `hello` and `welcome`: older nodes ignore
 * these. Any other change is a new major version, with another subprotocol.
 *
 *   dialler    hello ->                                       proof ->
 *   acceptor           <- welcome (with the acceptor's proof)          <- ready, or refusal and the end
 */
import type { NodeId } from "../../../protocols/position.ts";
import type { Termination } from "../../kernel/actor.ts";

export const PEER_PATH = "/v1/peer";
export const PEER_SUBPROTOCOL = "headrace.peer.v1";
/** Newest minor version that this program speaks. A link uses the lower one of its two ends. */
export const PEER_MINOR = 0;

export const PEER_LIMITS = {
  /** Bytes of one frame. A group of forwarded appends has a few MiB at most, as its sessions' credit has. */
  frameBytesMax: 16_777_216,
  /** MessagePack values in a frame (a group of 10,000 single appends has 300,000), and levels of nesting. */
  tokensMax: 1_000_000,
  depthMax: 32,
  /** Fragments of one WebSocket message. Nodes send each frame in one. */
  fragmentsMax: 16,
  /** Data under way to one actor: a share of the link's, so that an actor which takes nothing holds up no other. */
  targetBytesMax: 1_048_576,
  targetMessagesMax: 1_024,
  /** Bytes of data under way to all actors of the peer: the memory that the peer sets aside for this node. */
  linkBytesMax: 67_108_864,
  /** Unsent bytes above which no data is added. Control still is. */
  unsentBytesMax: 4_194_304,
  /** A link ends after `unsentForMs` above `unsentHardBytesMax`, and at once above `unsentEndBytesMax`. */
  unsentHardBytesMax: 16_777_216,
  unsentForMs: 10_000,
  unsentEndBytesMax: 67_108_864,
  /** Local actors that one peer has references to: more than the sessions of a node, of which there are some 10,000. */
  exportsMax: 65_536,
  /** Of those, the references that cannot be watched. Beyond this the one that was used longest ago is forgotten. */
  unwatchableExportsMax: 4_096,
  handshakeWithinMs: 5_000,
  /** Accepted connections that have sent no proof yet. Beyond this the oldest is ended. */
  handshakesMax: 256,
  /** How long a node waits for the answer to a close frame before it ends the connection. */
  closeWithinMs: 1_000,
} as const;

/** How the other side of a link names an actor: by the name under which it is published, or by the number of its export. */
export type PeerTarget = string | number;

/** A reference in a message: to an actor of the sender (`mine`), or back to an actor of the receiver (`yours`). */
export type WireReference =
  | { readonly kind: "mine"; readonly id: number; readonly path: string }
  | { readonly kind: "yours"; readonly target: PeerTarget };

/** The credit that a node grants one peer, told in the handshake, because other releases may have other limits. */
export interface CreditGrant {
  readonly targetBytesMax: number;
  readonly targetMessagesMax: number;
  readonly linkBytesMax: number;
}

/** What each side tells of its present life. */
interface Greeting {
  readonly minor: number;
  readonly cluster: string;
  readonly node: NodeId;
  readonly incarnation: number;
  readonly nonce: Uint8Array;
  readonly grant: CreditGrant;
}

export interface HelloFrame extends Greeting {
  readonly type: "hello";
  /** The node that the dialler means to reach. The address may belong to another node by now. */
  readonly to: NodeId;
  /** The dialler's count of its attempts and accepted links, this attempt included (peer link L3). */
  readonly turn: number;
}

export interface WelcomeFrame extends Greeting {
  readonly type: "welcome";
  /** Undefined where the acceptor has no secret. */
  readonly proof: Uint8Array | undefined;
}

export type PeerFrame =
  | HelloFrame
  | WelcomeFrame
  | { readonly type: "proof"; readonly proof: Uint8Array | undefined }
  | { readonly type: "ready"; readonly turn: number }
  | { readonly type: "refusal"; readonly code: string; readonly message: string }
  | {
      readonly type: "message";
      readonly lane: "control" | "data";
      readonly to: PeerTarget;
      /** Memory that the message holds; 0 for control. */
      readonly weightBytes: number;
      readonly message: unknown;
    }
  | { readonly type: "credit"; readonly returned: readonly CreditReturn[] }
  | { readonly type: "watch" | "unwatch"; readonly name: string }
  | { readonly type: "terminated"; readonly to: PeerTarget; readonly termination: Termination }
  | { readonly type: "heartbeat" }
  /** A frame of a later minor version. */
  | { readonly type: "unknown"; readonly number: number };

/** Credit of one actor on its way back: the data that its mailbox took. */
export interface CreditReturn {
  readonly to: PeerTarget;
  readonly bytes: number;
  readonly messages: number;
}

/** Numbers of the types on the wire. A number is never given to another type. */
export const FRAME_NUMBERS = {
  hello: 1,
  welcome: 2,
  proof: 3,
  ready: 4,
  refusal: 5,
  heartbeat: 6,
  message: 7,
  credit: 8,
  watch: 9,
  unwatch: 10,
  terminated: 11,
} as const;
