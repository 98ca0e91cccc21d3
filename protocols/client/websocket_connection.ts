/**
 * A connection over the Web-standard `WebSocket`: browsers, Deno, Node 22, or the constructor of `ws` on Node 20. A
 * browser cannot ping, so the node does. The clients' machines notice an owed answer that does not come.
 */
import type { Connect, Connection, ConnectionEvents } from "../connection.ts";
import {
  ConfigurationError,
  errorFromCode,
  type HeadraceError,
  type RejectedCode,
  RejectedError,
  UnavailableError,
} from "../errors.ts";
import { CLOSE_CODES } from "../wire/closing.ts";
import { decodeFrame, encodeFrame, FRAME_LIMITS, type FrameLimits, wireBytes } from "../wire/codec.ts";
import { type NodeFrame, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type Subprotocol } from "../wire/frames.ts";

/** The part of a WebSocket that {@linkcode connectWebSocket} uses. */
export interface WebSocketLike {
  binaryType: string;
  readonly protocol: string;
  readonly bufferedAmount: number;
  send(data: Uint8Array<ArrayBuffer> | string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open", listener: () => void): void;
  /** In a browser the event holds no reason; `ws` gives one in `message`. */
  addEventListener(type: "error", listener: (event: { readonly message?: unknown }) => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

/** A constructor of WebSockets, such as `globalThis.WebSocket` or that of `ws`. */
export type WebSocketConstructor = new (address: string, protocols: string[]) => WebSocketLike;

/** The options of {@linkcode connectWebSocket}. */
export interface WebSocketOptions {
  /** {@linkcode SUBPROTOCOL_MSGPACK} or {@linkcode SUBPROTOCOL_JSON}. */
  readonly subprotocol: Subprotocol;
  /** Default: `globalThis.WebSocket`. */
  readonly webSocket?: WebSocketConstructor;
  /** Milliseconds until an attempt to connect is given up. Default: 10,000. */
  readonly connectTimeoutMs?: number;
  /** Bounds of received frames. Default: those of a node's frames, 8 MiB and 1,000,000 values. */
  readonly limits?: FrameLimits;
}

/**
 * Bounds of a node's frames. A record comes whole, however long: the text of an event can be six times as long in JSON as its bytes
 * in MessagePack, and a dead letter holds its event with the reasons.
 */
const NODE_FRAME_LIMITS: FrameLimits = { ...FRAME_LIMITS, frameBytesMax: 8_388_608, tokensMax: 1_000_000 };

const CONNECT_TIMEOUT_MS = 10_000;
/** Close codes after which a client does not try again (docs/protocol.md, "Closing"). */
const FINAL_CLOSE_CODES: ReadonlySet<number> = new Set([1003, CLOSE_CODES.refused]);

/**
 * Answers a function that opens connections to `ws://host:port/v1/connect` (RFC 6455). A client throws
 * `ConfigurationError` when it is made with an address that is no WebSocket URL, an unknown subprotocol, or no
 * WebSocket constructor.
 */
export function connectWebSocket(options: WebSocketOptions): Connect {
  const check = (address: string): void => {
    checkAddress(address);
    checkSubprotocol(options.subprotocol);
    constructorOf(options);
  };
  const connect: Connect = (address, events, signal) =>
    new Promise((resolve, reject) => {
      check(address);
      const Constructor = constructorOf(options);
      open(new Constructor(address, [options.subprotocol]), options, events, { address, signal, resolve, reject });
    });
  return Object.assign(connect, { check });
}

/** Checks an address by the rules of the WebSocket standard's constructor. */
function checkAddress(address: string): void {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isFit = url !== undefined && /^wss?:$/.test(url.protocol) && url.hash === "";
  if (isFit) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot connect as an address must be a URL of ws:// or wss:// without a fragment: current value is ${address}`,
  );
}

function checkSubprotocol(subprotocol: string): void {
  const known: readonly string[] = [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON];
  if (known.includes(subprotocol)) return;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot connect as the subprotocol must be one of ${known.join(", ")}: current value is ${subprotocol}`,
  );
}

function constructorOf(options: WebSocketOptions): WebSocketConstructor {
  const found = options.webSocket ?? (globalThis.WebSocket as unknown as WebSocketConstructor | undefined);
  if (found !== undefined) return found;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    "Cannot connect as a WebSocket constructor must be given (option webSocket): this runtime has none of its own",
  );
}

interface Opening {
  readonly address: string;
  readonly signal: AbortSignal;
  resolve(connection: Connection): void;
  reject(error: Error): void;
}

function open(socket: WebSocketLike, options: WebSocketOptions, events: ConnectionEvents, opening: Opening): void {
  socket.binaryType = "arraybuffer";
  const { subprotocol, limits = NODE_FRAME_LIMITS, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  let phase: "opening" | "open" | "closed" = "opening";
  const fail = (error: Error): void => {
    const before = phase;
    phase = "closed";
    clearTimeout(timer);
    opening.signal.removeEventListener("abort", abort);
    if (before === "opening") opening.reject(error);
    if (before === "open") events.onClose(error);
    if (before !== "closed") socket.close();
  };
  const abort = (): void =>
    fail(new UnavailableError("CONNECTION_LOST", `Cannot connect to ${opening.address} as it was called off`));
  const timer = setTimeout(() => {
    fail(
      new UnavailableError(
        "TIMEOUT",
        `Cannot connect to ${opening.address} as it must answer within ${connectTimeoutMs} ms`,
      ),
    );
  }, connectTimeoutMs);
  opening.signal.addEventListener("abort", abort);
  if (opening.signal.aborted) abort();
  socket.addEventListener("open", () => {
    if (phase !== "opening") return;
    if (socket.protocol !== subprotocol) {
      fail(
        new RejectedError(
          "UNSUPPORTED_PROTOCOL",
          `Cannot use ${opening.address} as it must speak ${subprotocol}: it speaks ${socket.protocol || "none"}`,
        ),
      );
      return;
    }
    phase = "open";
    clearTimeout(timer);
    opening.signal.removeEventListener("abort", abort);
    opening.resolve(
      connectionOver(socket, subprotocol, () => {
        phase = "closed";
      }),
    );
  });
  socket.addEventListener("message", ({ data }) => {
    if (phase !== "open") return;
    const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
    let frame: NodeFrame | undefined;
    try {
      frame = decodeNodeFrame(bytes, subprotocol, limits);
    } catch (error) {
      fail(
        new UnavailableError("CONNECTION_LOST", `Cannot go on with ${opening.address} as it sent no frame`, {
          cause: error,
        }),
      );
      return;
    }
    if (frame !== undefined) events.onFrame(frame, wireBytes(bytes as Uint8Array | string));
  });
  socket.addEventListener("error", ({ message }) =>
    fail(unreachable(opening.address, typeof message === "string" ? message : "")),
  );
  socket.addEventListener("close", ({ code, reason }) => fail(closeError(opening.address, code, reason)));
}

/** Statuses of a refused upgrade that a new try would meet again, with their likely causes. */
const REFUSED_UPGRADES: ReadonlyMap<number, readonly [RejectedCode, string]> = new Map([
  [400, ["UNSUPPORTED_PROTOCOL", "the subprotocol is none of the node's, or something else listens at this address"]],
  [401, ["UNAUTHENTICATED", "the node, or a proxy before it, wants a token or a certificate"]],
  [403, ["FORBIDDEN", "the node does not allow this Origin or this Host (origins and hosts of its configuration)"]],
  [404, ["UNSUPPORTED_PROTOCOL", "the path is not that of the node: /v1/connect"]],
]);

/** @param reason the WebSocket's own: empty in a browser, `Unexpected server response: 403` from `ws` */
function unreachable(address: string, reason: string): HeadraceError {
  const status = Number(/Unexpected server response: (\d{3})/.exec(reason)?.[1]);
  const refused = REFUSED_UPGRADES.get(status);
  if (refused === undefined)
    return new UnavailableError("CONNECTION_LOST", `Cannot reach ${address}${reason === "" ? "" : `: ${reason}`}`);
  const [code, cause] = refused;
  return new RejectedError(
    code,
    `Cannot connect to ${address} as the node must accept the upgrade: it answered ${status}, likely as ${cause}`,
  );
}

/** Decodes a frame; undefined for a frame of a later minor version. */
function decodeNodeFrame(data: unknown, subprotocol: Subprotocol, limits: FrameLimits): NodeFrame | undefined {
  if (typeof data !== "string" && !(data instanceof Uint8Array)) {
    throw new RejectedError("MALFORMED_FRAME", "Cannot read a message as it must be text or binary");
  }
  try {
    return decodeFrame(data, subprotocol, limits) as NodeFrame;
  } catch (error) {
    if (error instanceof RejectedError && error.code === "UNKNOWN_FRAME") return undefined;
    throw error;
  }
}

/** The error of a close. A node's reason begins with an error code: `FORBIDDEN: why`. */
function closeError(address: string, code: number, reason: string): Error {
  const [word = "", ...rest] = reason.split(": ");
  if (/^[A-Z_]+$/.test(word)) return errorFromCode(word, rest.join(": "));
  if (FINAL_CLOSE_CODES.has(code))
    return new RejectedError(
      "UNSUPPORTED_PROTOCOL",
      `Cannot stay connected to ${address} as the node closed with ${code}: ${reason}`,
    );
  return new UnavailableError("CONNECTION_LOST", `Cannot go on with ${address} as the connection closed with ${code}`);
}

function connectionOver(socket: WebSocketLike, subprotocol: Subprotocol, onClosed: () => void): Connection {
  return {
    send(frame) {
      const data = encodeFrame(frame, subprotocol);
      socket.send(data as Uint8Array<ArrayBuffer> | string);
      return wireBytes(data);
    },
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    close() {
      onClosed();
      socket.close(1000);
    },
  };
}
