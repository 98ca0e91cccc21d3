/**
 * One client's WebSocket and its session, which gets the client's frames through its mailbox. Keeps a bad client from
 * harming others: bounds its unsent bytes and its frames without credit, and finds half-open connections by pings.
 *
 * Frames that arrive in one turn of the event loop go to the session as one message. Frames that a turn sends leave in one
 * write, because the system call costs more than a small frame.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { HeadraceError, InvariantError, OverloadedError, RejectedError, reasonOf } from "../../protocols/errors.ts";
import { CLOSE_CODES, closeCodeOf, closeReasonOf } from "../../protocols/wire/closing.ts";
import { decodeFrame, encodeFrame, FRAME_LIMITS } from "../../protocols/wire/codec.ts";
import { encodeJsonRecords } from "../../protocols/wire/codec_json.ts";
import { type ClientFrame, SUBPROTOCOL_JSON, type Subprotocol } from "../../protocols/wire/frames.ts";
import type { EncodedFrame, SessionInput, SessionPeer } from "../ingest/session.ts";
import type { ActorReference, Timer } from "../kernel/actor.ts";
import { FRAME_ALLOWANCE, FrameAllowance } from "./frame_allowance.ts";

export const LISTENER_LIMITS = {
  /** Fragments of one message. The default of `ws` lets a client make the node hold megabytes for each connection. */
  fragmentsMax: 128,
  /** Unsent bytes of a connection, above which the node stops reading it: its client does not read. */
  unsentBytesMax: 8_388_608,
  /** How long a connection may stay above `unsentBytesMax` before it is ended. */
  unsentForMs: 30_000,
  /** Frames that a session gets as one message. It handles them in one step, in which no other actor has a turn. */
  framesTogetherMax: 256,
  /** Unsent pongs of a connection: as many as a client can cause before its allowance stops the reading. */
  pongsUnsentMax: FRAME_ALLOWANCE.costMax,
  /** Time between pings. A connection that has not answered the last ping is ended. */
  pingEveryMs: 20_000,
  /** How long the node waits for a client's answer to a close frame before it ends the connection. */
  closeWithinMs: 2_000,
} as const;

export interface ConnectionOptions {
  readonly frameBytesMax: number;
  readonly openSession: OpenSessionFor;
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** The session calls `onEnd` when it ends by itself. Rejects with `OverloadedError` where the node lacks memory. */
export type OpenSessionFor = (
  peer: SessionPeer,
  decode: (data: Uint8Array | string) => ClientFrame,
  request: IncomingMessage,
  onEnd: () => void,
) => Promise<ActorReference<SessionInput>>;

/** Memory that a small frame takes beside its bytes, counted so that no mailbox holds tens of thousands of them. */
const FRAME_OVERHEAD_BYTES = 128;

const CLIENT_FRAMES: ReadonlySet<string> = new Set([
  ...["hello", "open", "append", "lost"],
  ...["subscribe", "unsubscribe", "credit", "goodbye"],
]);

export class ServedConnection {
  readonly #webSocket: WebSocket;
  readonly #socket: Duplex;
  readonly #options: ConnectionOptions;
  readonly #subprotocol: Subprotocol;
  #session: ActorReference<SessionInput> | undefined;
  #isAlive = true;
  #hasEnded = false;
  #isRefused = false;
  #pauses = 0;
  #unsentTimer: Timer | undefined;
  #waitTimer: Timer | undefined;
  #pingTimer: Timer | undefined;
  #heldUntilMs = 0;
  readonly #allowance = new FrameAllowance(performance.now());
  #arrived: EncodedFrame[] = [];
  #isCorked = false;

  constructor(webSocket: WebSocket, socket: Duplex, options: ConnectionOptions) {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#options = options;
    this.#subprotocol = webSocket.protocol as Subprotocol;
  }

  async serve(request: IncomingMessage): Promise<ActorReference<SessionInput>> {
    const webSocket = this.#webSocket;
    webSocket.binaryType = "nodebuffer";
    this.#pause(); // until the session is open
    webSocket.on("message", (data, isBinary) => this.#take(data as Buffer, isBinary));
    webSocket.on("pong", () => {
      this.#isAlive = true;
      this.#charge(1);
    });
    webSocket.on("ping", () => this.#charge(1));
    webSocket.on("error", () => webSocket.terminate());
    webSocket.on("close", () => {
      this.#hasEnded = true;
      this.#unsentTimer?.cancel();
      this.#waitTimer?.cancel();
      this.#pingTimer?.cancel(); // the timer would keep this connection's memory until the next ping
      this.#session?.tell({ type: "disconnected" });
    });
    const limits = { ...FRAME_LIMITS, frameBytesMax: this.#options.frameBytesMax };
    const decode = (data: Uint8Array | string): ClientFrame =>
      asClientFrame(decodeFrame(data, this.#subprotocol, limits));
    const session = await this.#options.openSession(this.#peer(), decode, request, () =>
      webSocket.close(CLOSE_CODES.restarting, "session ended"),
    );
    this.#session = session;
    if (this.#hasEnded) session.tell({ type: "disconnected" });
    this.#resume();
    this.#pingLater();
    return session;
  }

  refuse(error: unknown): void {
    const reason = reasonOf(error);
    const told = error instanceof HeadraceError ? error : new InvariantError(`Cannot serve the connection: ${reason}`);
    const retry = told instanceof OverloadedError ? { retryAfterMs: told.retryAfterMs } : {};
    const frame = { type: "error", code: told.code, message: told.message, ...retry } as const;
    this.#webSocket.send(encodeFrame(frame, this.#subprotocol));
    this.#webSocket.close(closeCodeOf(told), closeReasonOf(told));
    // Reading goes on: a paused socket shows neither the client's close frame nor its end, and would stay open until
    // `closeWithinMs`.
    this.#isRefused = true;
    this.#resume();
  }

  #peer(): SessionPeer {
    const sendsJson = this.#subprotocol === SUBPROTOCOL_JSON;
    return {
      sendsJson,
      send: (frame, onLeft, texts) => {
        if (this.#hasEnded) {
          onLeft?.();
          return 0;
        }
        const data =
          texts !== undefined && frame.type === "records"
            ? encodeJsonRecords(frame, texts)
            : encodeFrame(frame, this.#subprotocol);
        // Text is encoded here, once: counting its bytes and letting `ws` encode it would be two passes.
        const bytes = typeof data === "string" ? Buffer.from(data) : data;
        this.#cork();
        const onSent = onLeft === undefined ? this.#onSent : () => this.#left(onLeft);
        this.#webSocket.send(bytes, { binary: !sendsJson }, onSent);
        if (this.#webSocket.bufferedAmount > LISTENER_LIMITS.unsentBytesMax) this.#holdBack();
        return bytes.byteLength;
      },
      close: (code, reason) => this.#webSocket.close(code, reason),
      abandon: () => this.#webSocket.terminate(),
      charge: (cost) => this.#charge(cost),
      hold: (forMs) => this.#hold(forMs),
    };
  }

  /** Stops reading while the connection's allowance is used up. */
  #charge(cost: number): void {
    const waitMs = this.#allowance.charge(cost, performance.now());
    if (waitMs > 0) this.#hold(waitMs);
  }

  /** Stops reading for `forMs`. Of several holds the one that ends last counts. */
  #hold(forMs: number): void {
    if (this.#hasEnded) return;
    const untilMs = performance.now() + forMs;
    this.#heldUntilMs = Math.max(this.#heldUntilMs, untilMs);
    if (this.#waitTimer !== undefined) return;
    this.#pause();
    this.#waitTimer = this.#options.setTimer(forMs, () => {
      this.#waitTimer = undefined;
      const leftMs = this.#heldUntilMs - performance.now();
      if (leftMs > 0) this.#hold(leftMs);
      this.#resume();
    });
  }

  #take(data: Buffer, isBinary: boolean): void {
    if (this.#isRefused) return;
    if (this.#arrived.length === 0) queueMicrotask(this.#handOver);
    this.#arrived.push({ data: isBinary ? data : data.toString("utf8"), wireBytes: data.byteLength });
  }

  readonly #handOver = (): void => {
    const arrived = this.#arrived;
    this.#arrived = [];
    for (let from = 0; from < arrived.length; from += LISTENER_LIMITS.framesTogetherMax) {
      const whole = from === 0 && arrived.length <= LISTENER_LIMITS.framesTogetherMax;
      this.#handOverFrames(whole ? arrived : arrived.slice(from, from + LISTENER_LIMITS.framesTogetherMax));
    }
  };

  /** Hands over at most `framesTogetherMax` frames as one message, so that other actors have turns in between. */
  #handOverFrames(frames: readonly EncodedFrame[]): void {
    let weightBytes = 0;
    for (const frame of frames) weightBytes += frame.wireBytes + FRAME_OVERHEAD_BYTES;
    const input: SessionInput = { type: "data", frames };
    if (this.#session?.trySend(input, weightBytes) === true) return;
    this.#pause();
    void this.#session?.send(input, weightBytes).then(() => this.#resume());
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
    // The microtask runs right after the turn of the session, so that all frames of the turn leave together.
    queueMicrotask(this.#uncork);
  }

  readonly #uncork = (): void => {
    this.#isCorked = false;
    this.#socket.uncork();
  };

  /** Stops reading a client that does not read, and ends its connection after `unsentForMs`. */
  #holdBack(): void {
    if (this.#unsentTimer !== undefined) return;
    this.#pause();
    this.#unsentTimer = this.#options.setTimer(LISTENER_LIMITS.unsentForMs, () => this.#webSocket.terminate());
  }

  #left(onLeft: () => void): void {
    onLeft();
    this.#onSent();
  }

  readonly #onSent = (): void => {
    if (this.#unsentTimer === undefined || this.#webSocket.bufferedAmount > LISTENER_LIMITS.unsentBytesMax / 2) return;
    this.#unsentTimer.cancel();
    this.#unsentTimer = undefined;
    this.#resume();
  };

  #pause(): void {
    this.#pauses += 1;
    if (this.#pauses === 1) this.#webSocket.pause();
  }

  #resume(): void {
    this.#pauses -= 1;
    if (this.#pauses === 0) this.#webSocket.resume();
  }

  #pingLater(): void {
    if (this.#hasEnded) return;
    this.#pingTimer = this.#options.setTimer(LISTENER_LIMITS.pingEveryMs, () => {
      if (!this.#isAlive && this.#pauses === 0) {
        this.#webSocket.terminate();
        return;
      }
      this.#isAlive = false;
      this.#webSocket.ping();
      this.#pingLater();
    });
  }
}

function asClientFrame(frame: { readonly type: string }): ClientFrame {
  if (CLIENT_FRAMES.has(frame.type)) return frame as ClientFrame;
  throw new RejectedError(
    "UNKNOWN_FRAME",
    `Cannot accept a frame as its type must be one that clients send: current value is ${frame.type}`,
  );
}
