/**
 * One WebSocket between two nodes, dialled or accepted. Small frames of one turn leave in one write. Bounds the bytes that
 * a peer leaves unread: above `unsentBytesMax` no data is added, above `unsentEndBytesMax` the connection ends.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { type HeadraceError, RejectedError, UnavailableError } from "../../../protocols/errors.ts";
import type { Timer } from "../../kernel/actor.ts";
import { PEER_LIMITS, PEER_SUBPROTOCOL } from "./peer_frames.ts";

/** A frame of this size is written by itself, so that the other side can begin to read it. */
const LARGE_BYTES = 16_384;

/** One WebSocket to a peer. Frames leave in the order of `send`; after the end `send` does nothing. */
export interface PeerSocket {
  readonly unsentBytes: number;
  send(frame: Uint8Array): void;
  /** Ends the connection by a close frame, after the frames that were sent. */
  close(code: number, reason: string): void;
  /** Ends the connection at once; unsent frames are lost. */
  terminate(): void;
}

export interface PeerSocketEvents {
  onOpen(): void;
  onFrame(bytes: Uint8Array): void;
  /** With true: too many bytes are unsent, so no data must be added. With false: data may be added again. */
  onFull(isFull: boolean): void;
  /** Called once. */
  onEnd(end: SocketEnd): void;
}

export interface SocketEnd {
  /** No process listens at the address. */
  readonly isRefused: boolean;
  readonly error: HeadraceError;
}

/** Dials an address. A failed attempt calls `onEnd`; nothing is thrown. */
export type ConnectPeer = (address: string, events: PeerSocketEvents) => PeerSocket;

export interface PeerTls {
  /** Certificates of the authorities that signed the other nodes' certificates, in PEM. Default: the runtime's own list. */
  readonly ca?: string | Buffer;
  /** This node's certificate and key, in PEM, for peers that ask for one. */
  readonly certificate?: string | Buffer;
  readonly key?: string | Buffer;
}

/** Calls back once after `delayMs`, unless cancelled before. */
export type SetTimer = (delayMs: number, callback: () => void) => Timer;

export function connectPeer(ws: typeof import("ws"), tls: PeerTls, setTimer: SetTimer): ConnectPeer {
  // Made anew for each connection, because the certificate may have been replaced.
  const options = () => ({
    perMessageDeflate: false,
    maxPayload: PEER_LIMITS.frameBytesMax,
    maxFragments: PEER_LIMITS.fragmentsMax,
    closeTimeout: PEER_LIMITS.closeWithinMs,
    followRedirects: false,
    // The mask of RFC 6455 protects proxies from bytes that a script in a browser chose. No script runs here, and a mask of
    // zeros saves each side a pass over every byte.
    generateMask: (mask: Buffer) => void mask.fill(0),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
  });
  return (address, events) =>
    new NodePeerSocket(new ws.WebSocket(address, [PEER_SUBPROTOCOL], options() as object), undefined, events, setTimer);
}

export class NodePeerSocket implements PeerSocket {
  readonly #webSocket: WebSocket;
  readonly #events: PeerSocketEvents;
  readonly #setTimer: SetTimer;
  #socket: Duplex | undefined;
  #error: Error | undefined;
  #isCorked = false;
  #isFull = false;
  #hardTimer: Timer | undefined;

  /** @param socket the TCP socket of a WebSocket that was accepted; a dialled one brings its own with the upgrade */
  constructor(webSocket: WebSocket, socket: Duplex | undefined, events: PeerSocketEvents, setTimer: SetTimer) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#events = events;
    this.#setTimer = setTimer;
    webSocket.binaryType = "nodebuffer";
    webSocket.on("upgrade", (response) => (this.#socket = response.socket));
    webSocket.on("open", () => events.onOpen());
    webSocket.on("message", (data, isBinary) => {
      if (isBinary) events.onFrame(data as Buffer);
      else this.terminate();
    });
    webSocket.on("error", (error) => {
      this.#error ??= error;
      webSocket.terminate();
    });
    webSocket.on("close", (code, reason) => {
      this.#hardTimer?.cancel();
      events.onEnd(endOf(webSocket.url, this.#error, code, reason.toString()));
    });
  }

  get unsentBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  send(frame: Uint8Array): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return;
    if (frame.length < LARGE_BYTES) this.#cork();
    this.#webSocket.send(frame, this.#onSent);
    const unsent = this.unsentBytes;
    if (unsent <= PEER_LIMITS.unsentBytesMax) return;
    if (!this.#isFull) {
      this.#isFull = true;
      this.#events.onFull(true);
    }
    if (unsent > PEER_LIMITS.unsentEndBytesMax) this.terminate();
    else if (unsent > PEER_LIMITS.unsentHardBytesMax)
      this.#hardTimer ??= this.#setTimer(PEER_LIMITS.unsentForMs, () => this.terminate());
  }

  close(code: number, reason: string): void {
    this.#webSocket.close(code, reason);
  }

  terminate(): void {
    this.#webSocket.terminate();
  }

  readonly #onSent = (): void => {
    if (!this.#isFull) return;
    const unsent = this.unsentBytes;
    if (unsent <= PEER_LIMITS.unsentHardBytesMax) {
      this.#hardTimer?.cancel();
      this.#hardTimer = undefined;
    }
    if (unsent > PEER_LIMITS.unsentBytesMax / 2) return;
    this.#isFull = false;
    this.#events.onFull(false);
  };

  #cork(): void {
    if (this.#isCorked || this.#socket === undefined) return;
    this.#isCorked = true;
    this.#socket.cork();
    queueMicrotask(this.#uncork); // runs after the turn of the actor that sends
  }

  readonly #uncork = (): void => {
    this.#isCorked = false;
    this.#socket?.uncork();
  };
}

function endOf(address: string, error: Error | undefined, code: number, reason: string): SocketEnd {
  const where = address === "" ? "a node" : address;
  const text = error?.message ?? `it was closed with ${code} ${reason}`;
  const isRefused = (error as NodeJS.ErrnoException | undefined)?.code === "ECONNREFUSED";
  // The message of `ws` for an answer that is no upgrade.
  const status = /^Unexpected server response: (\d+)/.exec(text)?.[1];
  if (status === "403") {
    const message = `Cannot link with ${where} as it must trust this node: it answered 403, see its log`;
    return { isRefused, error: new RejectedError("FORBIDDEN", message, { cause: error }) };
  }
  if ((status !== undefined && !status.startsWith("5")) || /subprotocol/.test(error?.message ?? "")) {
    const message = `Cannot link with ${where} as it must speak ${PEER_SUBPROTOCOL}: it answered ${status ?? "without it"}`;
    return { isRefused, error: new RejectedError("UNSUPPORTED_PROTOCOL", message, { cause: error }) };
  }
  const message = `Cannot go on with the connection to ${where}: ${text}`;
  return { isRefused, error: new UnavailableError("CONNECTION_LOST", message, { cause: error }) };
}
