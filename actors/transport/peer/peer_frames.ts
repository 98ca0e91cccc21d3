/**
 * What two nodes say to each other over one WebSocket. A frame is a MessagePack list that begins with the number of its
 * type. A later minor version may add types, fields at a frame's end, and keys to the maps of `hello` and `welcome`: who does
 * not know them leaves them alone. What can not be said so is another major version, another subprotocol.
 *
 *   dialler    hello ->                                       proof ->
 *   acceptor           <- welcome (with the acceptor's proof)          <- ready, or refusal and the end
 */
import type { NodeId } from "../../../protocols/position.ts";
import type { Termination } from "../../kernel/actor.ts";

export const PEER_PATH = "/v1/peer";
export const PEER_SUBPROTOCOL = "headrace.peer.v1";
/** Newest minor version that this program speaks; a link speaks the lower of its two ends'. */
export const PEER_MINOR = 0;

export const PEER_LIMITS = {
  /** A forwarded group of appends is a few MiB at most, as the credit of the sessions that it gathers is. */
  frameBytesMax: 16_777_216,
  /** MessagePack values in a frame, and how deep they lie: a group of 10,000 single appends has 300,000. */
  tokensMax: 1_000_000,
  depthMax: 32,
  /** Pieces that one frame may come in: nodes send each in one. */
  fragmentsMax: 16,
  /** Data that one actor of the peer may be sent before it took any: a share of the link's, so that none holds up others. */
  targetBytesMax: 1_048_576,
  targetMessagesMax: 1_024,
  /** Data that all actors of the peer may be sent before they took any: what the peer sets aside for this node. */
  linkBytesMax: 67_108_864,
  /** Unsent bytes above which no data is added; control still is. */
  unsentBytesMax: 4_194_304,
  /** Unsent bytes that a peer may leave unread for `unsentForMs`, and those that it may not for a moment. */
  unsentHardBytesMax: 16_777_216,
  unsentForMs: 10_000,
  unsentEndBytesMax: 67_108_864,
  /** Local actors that one peer has references to. A node has at most some ten thousand sessions. */
  exportsMax: 65_536,
  /** Of those, the ones whose end nobody tells (reply addresses of `ask`): the oldest makes room. */
  unwatchableExportsMax: 4_096,
  /** From an accepted connection to its proof. */
  handshakeWithinMs: 5_000,
  /** Connections that have not shown who they are. */
  handshakesMax: 256,
  /** An end that the peer does not answer is not waited for longer. */
  closeWithinMs: 1_000,
} as const;

/** An actor as the other side of a link names it: the name that it is published under, or the number it was exported as. */
export type PeerTarget = string | number;

/** How a reference travels: an actor of the sender, or of the receiver who gave it away before. */
export type WireReference =
  | { readonly kind: "mine"; readonly id: number; readonly path: string }
  | { readonly kind: "yours"; readonly target: PeerTarget };

/** What a node sets aside for data of one peer: told in the handshake, as nodes of other releases may have other limits. */
export interface CreditGrant {
  readonly targetBytesMax: number;
  readonly targetMessagesMax: number;
  readonly linkBytesMax: number;
}

export interface HelloFrame {
  readonly type: "hello";
  readonly minor: number;
  readonly cluster: string;
  readonly node: NodeId;
  readonly incarnation: number;
  /** The node that the dialler means to reach: the address may have become another's. */
  readonly to: NodeId;
  readonly nonce: Uint8Array;
  readonly grant: CreditGrant;
  /** The dialler's count of links made and accepted, this attempt included: what it began before its present link is stale. */
  readonly turn: number;
}

export interface WelcomeFrame {
  readonly type: "welcome";
  readonly minor: number;
  readonly cluster: string;
  readonly node: NodeId;
  readonly incarnation: number;
  readonly nonce: Uint8Array;
  readonly grant: CreditGrant;
  /** Absent where the acceptor has no secret. */
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
      /** Credit that it takes; 0 for control. */
      readonly weightBytes: number;
      readonly message: unknown;
    }
  | { readonly type: "credit"; readonly returned: readonly CreditReturn[] }
  | { readonly type: "watch" | "unwatch"; readonly name: string }
  | { readonly type: "terminated"; readonly to: PeerTarget; readonly termination: Termination }
  | { readonly type: "heartbeat" }
  /** Of a later minor version. */
  | { readonly type: "unknown"; readonly number: number };

/** What an actor has taken of the data that it was sent. */
export interface CreditReturn {
  readonly to: PeerTarget;
  readonly bytes: number;
  readonly messages: number;
}

/** Numbers of the types on the wire. Never given to another type. */
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
