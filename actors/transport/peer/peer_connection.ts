/**
 * One connection with another node, dialled or accepted, from its opening to its end: first the handshake, then, where the
 * machine chooses this connection, the link. Tells its owner of its handshake and its end, and decides nothing.
 */
import { HeadraceError, reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { Timer } from "../../kernel/actor.ts";
import { decodePeerFrame, encodePeerFrame } from "./peer_codec.ts";
import { type CreditGrant, PEER_LIMITS } from "./peer_frames.ts";
import { AcceptorHandshake, type DiallerHandshake, type ShownPeer } from "./peer_handshake.ts";
import type { PeerLink } from "./peer_link.ts";
import type { PeerSocket, PeerSocketEvents, SetTimer, SocketEnd } from "./peer_socket.ts";

export interface ConnectionOwner {
  onShown(connection: PeerConnection, peer: ShownPeer): void;
  /** The connection is not used any more. Called once, whichever side ended it. */
  onOver(connection: PeerConnection): void;
  /** The connection ended without the owner's doing. `isRefused`: no process listens at the address. */
  onBroke(connection: PeerConnection, isRefused: boolean): void;
  onClosed(connection: PeerConnection): void;
  onProblem(error: unknown, node: NodeId | undefined): void;
}

export class PeerConnection {
  readonly number: number;
  readonly #handshake: DiallerHandshake | AcceptorHandshake;
  readonly #owner: ConnectionOwner;
  #node: NodeId | undefined;
  #granted: CreditGrant | undefined;
  #socket: PeerSocket | undefined;
  #link: PeerLink | undefined;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(number: number, handshake: DiallerHandshake | AcceptorHandshake, owner: ConnectionOwner) {
    this.number = number;
    this.#handshake = handshake;
    this.#owner = owner;
    this.#node = handshake instanceof AcceptorHandshake ? undefined : handshake.hello.to;
  }

  /** The node that is dialled, or the node that an accepted connection has proved to come from. */
  get node(): NodeId | undefined {
    return this.#node;
  }

  get isAccepted(): boolean {
    return this.#handshake instanceof AcceptorHandshake;
  }

  get link(): PeerLink | undefined {
    return this.#link;
  }

  /** Opens the connection; a throw counts as its end. An accepted one is ended without a proof in `handshakeWithinMs`. */
  begin(open: (events: PeerSocketEvents) => PeerSocket, setTimer: SetTimer): void {
    try {
      this.#socket = open({
        onOpen: () => this.#greet(),
        onFrame: (bytes) => this.#take(bytes),
        onFull: (isFull) => this.#link?.setSocketFull(isFull),
        onEnd: (end) => this.#onEnd(end),
      });
    } catch (error) {
      this.#onEnd({ isRefused: false, error: asHeadraceError(error) });
      return;
    }
    if (this.isAccepted) this.#timer = setTimer(PEER_LIMITS.handshakeWithinMs, () => this.#socket?.terminate());
  }

  /** Makes the connection a link. An accepted peer is first sent `ready`. Returns undefined where the connection has ended. */
  speak(turn: number, makeLink: (socket: PeerSocket, granted: CreditGrant) => PeerLink): PeerLink | undefined {
    if (this.#socket === undefined || this.#granted === undefined || this.#isOver) return undefined;
    if (this.isAccepted) this.#socket.send(encodePeerFrame({ type: "ready", turn }));
    this.#link = makeLink(this.#socket, this.#granted);
    return this.#link;
  }

  refuse({ code, message }: HeadraceError): void {
    if (this.#link === undefined && this.isAccepted)
      this.#socket?.send(encodePeerFrame({ type: "refusal", code, message }));
    this.end(1008, code);
  }

  end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#leave();
    this.#socket?.close(code, reason);
  }

  #greet(): void {
    if (!this.#isOver && !(this.#handshake instanceof AcceptorHandshake))
      this.#socket?.send(encodePeerFrame(this.#handshake.hello));
  }

  #take(bytes: Uint8Array): void {
    if (this.#isOver) return;
    try {
      if (this.#link !== undefined) this.#link.receive(bytes);
      else this.#goOn(bytes);
    } catch (error) {
      this.#report(error);
      this.refuse(asHeadraceError(error));
      this.#owner.onBroke(this, false);
    }
  }

  #goOn(bytes: Uint8Array): void {
    const answer = this.#handshake.take(decodePeerFrame(bytes));
    if (answer === undefined) return;
    if ("type" in answer) {
      if (answer.type !== "unknown") this.#socket?.send(encodePeerFrame(answer));
      return;
    }
    this.#timer?.cancel();
    this.#node = answer.node;
    this.#granted = answer.grant;
    this.#owner.onShown(this, answer);
  }

  /** Reports an error to the owner, but for `NOT_READY`: two nodes dialled at once, and the other connection stays. */
  #report(error: unknown): void {
    if (error instanceof UnavailableError && error.code === "NOT_READY") return;
    const claimed = this.#handshake instanceof AcceptorHandshake ? this.#handshake.claimedNode : undefined;
    this.#owner.onProblem(error, this.#node ?? claimed);
  }

  #onEnd({ isRefused, error }: SocketEnd): void {
    this.#owner.onClosed(this);
    if (this.#isOver) return;
    if (this.#link === undefined && !isRefused) this.#owner.onProblem(error, this.#node);
    // The link ends before the owner is told, so that the machine finds nothing left to close.
    this.#leave();
    this.#owner.onBroke(this, isRefused);
  }

  #leave(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#owner.onOver(this);
    try {
      this.#link?.end();
    } catch (error) {
      this.#owner.onProblem(error, this.#node);
    }
  }
}

const asHeadraceError = (error: unknown): HeadraceError =>
  error instanceof HeadraceError ? error : new UnavailableError("CONNECTION_LOST", reasonOf(error), { cause: error });
