/**
 * How two nodes prove to each other who they are, before any other frame. With a secret, each sends a keyed digest
 * (HMAC-SHA256) over both lives, both nonces, the cluster and both minor versions, each side under a label of its own. So
 * the secret never travels, and a digest that was overheard proves nothing in a later handshake or from the other side.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { errorFromCode, RejectedError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import {
  type CreditGrant,
  type HelloFrame,
  PEER_LIMITS,
  PEER_MINOR,
  type PeerFrame,
  type WelcomeFrame,
} from "./peer_frames.ts";

const NONCE_BYTES = 32;

export interface Identity {
  readonly node: NodeId;
  readonly incarnation: number;
  readonly cluster: string;
  /** Newest minor version that the node speaks: `PEER_MINOR`, but in tests of other versions. */
  readonly minor: number;
  readonly secret: string | undefined;
  readonly grant: CreditGrant;
}

export function identityOf(
  of: Omit<Identity, "minor" | "grant">,
  { targetBytesMax, targetMessagesMax, linkBytesMax }: CreditGrant = PEER_LIMITS,
  minor = PEER_MINOR,
): Identity {
  return { ...of, minor, grant: { targetBytesMax, targetMessagesMax, linkBytesMax } };
}

/** Who the other side is, once its handshake has proved it. */
export interface ShownPeer {
  readonly node: NodeId;
  readonly incarnation: number;
  readonly minor: number;
  readonly turn: number;
  readonly grant: CreditGrant;
}

/** The dialler's side. The caller sends `hello`, then each frame of `take`, which throws the peer's refusal. */
export class DiallerHandshake {
  readonly hello: HelloFrame;
  readonly #self: Identity;
  #welcome: WelcomeFrame | undefined;

  constructor(self: Identity, to: NodeId, turn: number) {
    const { minor, cluster, node, incarnation, grant } = self;
    const nonce = randomBytes(NONCE_BYTES);
    this.#self = self;
    this.hello = { type: "hello", minor, cluster, node, incarnation, to, nonce, grant, turn };
  }

  take(frame: PeerFrame): PeerFrame | ShownPeer | undefined {
    if (frame.type === "refusal") throw errorFromCode(frame.code, frame.message);
    if (frame.type === "unknown") return undefined;
    if (this.#welcome === undefined && frame.type === "welcome") return this.#prove(frame);
    if (this.#welcome !== undefined && frame.type === "ready") {
      const { node, incarnation, minor, grant } = this.#welcome;
      return { node, incarnation, minor: Math.min(minor, this.#self.minor), turn: frame.turn, grant };
    }
    throw unexpected(frame);
  }

  #prove(welcome: WelcomeFrame): PeerFrame {
    const { hello } = this;
    checkCluster(this.#self, welcome.cluster);
    if (welcome.node !== hello.to) throw wrongNode(hello.to, welcome.node);
    checkProof(this.#self, "acceptor", hello, welcome, welcome.proof);
    this.#welcome = { ...welcome, nonce: Uint8Array.from(welcome.nonce) };
    return { type: "proof", proof: proofOf(this.#self, "dialler", hello, welcome) };
  }
}

/** The acceptor's side. `take` returns the answer to send, then the peer, to whom the caller sends `ready` or a refusal. */
export class AcceptorHandshake {
  readonly #self: Identity;
  #hello: HelloFrame | undefined;
  #welcome: WelcomeFrame | undefined;

  constructor(self: Identity) {
    this.#self = self;
  }

  /** The node that the dialler says it is, before its proof. */
  get claimedNode(): NodeId | undefined {
    return this.#hello?.node;
  }

  take(frame: PeerFrame): PeerFrame | ShownPeer | undefined {
    if (frame.type === "unknown") return undefined;
    if (this.#hello === undefined && frame.type === "hello") return this.#answer(frame);
    if (this.#hello !== undefined && this.#welcome !== undefined && frame.type === "proof") {
      checkProof(this.#self, "dialler", this.#hello, this.#welcome, frame.proof);
      const { node, incarnation, minor, turn, grant } = this.#hello;
      return { node, incarnation, minor: Math.min(minor, this.#self.minor), turn, grant };
    }
    throw unexpected(frame);
  }

  #answer(hello: HelloFrame): PeerFrame {
    const { node, incarnation, cluster, minor, grant } = this.#self;
    checkCluster(this.#self, hello.cluster);
    if (hello.to !== node) throw wrongNode(hello.to, node);
    if (hello.node === node) throw wrongNode("another node", hello.node);
    this.#hello = { ...hello, nonce: Uint8Array.from(hello.nonce) }; // the frame's bytes are let go
    const nonce = randomBytes(NONCE_BYTES);
    const welcome = { type: "welcome", minor, cluster, node, incarnation, nonce, grant } as const;
    this.#welcome = { ...welcome, proof: proofOf(this.#self, "acceptor", hello, { ...welcome, proof: undefined }) };
    return this.#welcome;
  }
}

function checkCluster({ cluster }: Identity, other: string): void {
  if (other === cluster) return;
  throw new RejectedError(
    "FORBIDDEN",
    `Cannot link two nodes as they must be of one cluster: ${JSON.stringify(other)} is not this node's`,
  );
}

const wrongNode = (wanted: string, found: string): RejectedError =>
  new RejectedError(
    "UNKNOWN_NODE",
    `Cannot link with ${wanted} as the node at its address must be that one: it is ${found}`,
  );

const unexpected = (frame: PeerFrame): RejectedError =>
  new RejectedError(
    "HELLO_REQUIRED",
    `Cannot accept a frame as nodes must prove who they are first: current type is ${frame.type}`,
  );

type Side = "dialler" | "acceptor";

/** The digest of one side; undefined without a secret. It is made of a JSON list, so no two handshakes share a text. */
function proofOf(
  { secret, cluster }: Identity,
  side: Side,
  hello: HelloFrame,
  welcome: WelcomeFrame,
): Uint8Array | undefined {
  if (secret === undefined) return undefined;
  const amounts = (of: CreditGrant) => [of.targetBytesMax, of.targetMessagesMax, of.linkBytesMax];
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  const text = JSON.stringify([
    "headrace.peer.v1",
    side,
    cluster,
    [hello.node, hello.incarnation, hello.minor, hello.turn, hello.to, hex(hello.nonce), amounts(hello.grant)],
    [welcome.node, welcome.incarnation, welcome.minor, hex(welcome.nonce), amounts(welcome.grant)],
  ]);
  return createHmac("sha256", secret).update(text).digest();
}

/** Throws `RejectedError` for a wrong proof. A node without a secret checks none: address or TLS decided before. */
function checkProof(
  self: Identity,
  side: Side,
  hello: HelloFrame,
  welcome: WelcomeFrame,
  proof: Uint8Array | undefined,
): void {
  const expected = proofOf(self, side, hello, welcome);
  if (expected === undefined) return;
  if (proof !== undefined && proof.length === expected.length && timingSafeEqual(proof, expected)) return;
  const other = side === "dialler" ? hello.node : welcome.node;
  throw new RejectedError(
    "UNAUTHENTICATED",
    `Cannot link with ${other} as it must prove that it knows the cluster's secret: ${proof === undefined ? "it has none" : "its proof is wrong"}`,
  );
}
