/**
 * One connection with another node, dialled or accepted, from its opening to its end: first the handshake, then, where the
 * machine takes it, the link. Tells its owner what became of it, and decides nothing.
 */
import { HeadraceError, UnavailableError } from "../../../protocols/errors.ts";
import type { NodeId } from "../../../protocols/position.ts";
import type { Timer } from "../../kernel/actor.ts";
import { decodePeerFrame, encodePeerFrame } from "./peer_codec.ts";
import { type CreditGrant, PEER_LIMITS } from "./peer_frames.ts";
import { AcceptorHandshake, type DiallerHandshake, type ShownPeer } from "./peer_handshake.ts";
import type { PeerLink } from "./peer_link.ts";
import type { PeerSocket, PeerSocketEvents, SetTimer, SocketEnd } from "./peer_socket.ts";

export interface ConnectionOwner {
  /** The other side has shown who it is. */
  onShown(connection: PeerConnection, peer: ShownPeer): void;
  /** It is not to be used any more: called once, whichever side ended it. */
  onOver(connection: PeerConnection): void;
  /** As `onOver`, and not by the owner's own doing. */
  onBroke(connection: PeerConnection, isRefused: boolean): void;
  /** The socket is closed. */
  onClosed(connection: PeerConnection): void;
  onProblem(error: unknown, node: NodeId | undefined): void;
}

export class PeerConnection {
  /** As the machine numbers it. */
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

  /** The node that is dialled, or the one that an accepted connection was shown to be from. */
  get node(): NodeId | undefined {
    return this.#node;
  }

  get isAccepted(): boolean {
    return this.#handshake instanceof AcceptorHandshake;
  }

  get link(): PeerLink | undefined {
    return this.#link;
  }

  /** Opens it; where that throws it has broken. An accepted one is ended if the other side does not show itself in time. */
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

  /** From here on it is a link. Who was accepted is told so first. */
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

  /** Two nodes that dial at once are no problem: one of them is told that the other's connection stays. */
  #report(error: unknown): void {
    if (error instanceof UnavailableError && error.code === "NOT_READY") return;
    const claimed = this.#handshake instanceof AcceptorHandshake ? this.#handshake.claimedNode : undefined;
    this.#owner.onProblem(error, this.#node ?? claimed);
  }

  #onEnd({ isRefused, error }: SocketEnd): void {
    this.#owner.onClosed(this);
    if (this.#isOver) return;
    if (this.#link === undefined && !isRefused) this.#owner.onProblem(error, this.#node);
    // The link ends before anybody is told; the machine then finds nothing left to close.
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
  error instanceof HeadraceError
    ? error
    : new UnavailableError("CONNECTION_LOST", error instanceof Error ? error.message : String(error), { cause: error });
