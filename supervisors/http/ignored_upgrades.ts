/**
 * A server ignores an upgrade that it does not take, and answers the request (RFC 9110, 7.8). Java's client and curl ask for
 * HTTP/2 (`h2c`) with their first request. Node hands the connection of every such request to one listener, after the head. The
 * head is then written again without the upgrade and put back before the bytes behind it, so that the parser reads the request.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** Most headers that Node's parser reads; a `Content-Length` beyond them would be lost. */
const HEADERS_MAX = 1_000;

/** What WebSockets ask for (RFC 6455, 4.1). All other upgrades are ignored. */
export const asksForWebSocket = ({ method, headers }: IncomingMessage): boolean =>
  method === "GET" && headers.upgrade?.trim().toLowerCase() === "websocket";

/** Undefined where the head cannot be rewritten completely. */
export function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer | undefined {
  if (rawHeaders.length >= 2 * HEADERS_MAX) return undefined;
  let head = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const value = rawHeaders[at + 1] ?? "";
    const kept = keptOf(name.toLowerCase(), value);
    // Without a space, so that rewriting never takes a head over the size limit.
    if (kept !== undefined) head += `${name}:${kept}\r\n`;
  }
  // Bytes of a header are characters to Node's parser, and a line within one would be another header.
  return /[\r\n\0]/.test(head.replaceAll("\r\n", "")) ? undefined : Buffer.from(`${head}\r\n`, "latin1");
}

function keptOf(name: string, value: string): string | undefined {
  if (name === "upgrade" || name === "http2-settings") return undefined;
  if (name !== "connection") return value;
  const kept = value.split(",").filter((token) => !/^\s*(upgrade|http2-settings)\s*$/i.test(token));
  return kept.length === 0 ? undefined : kept.join(",");
}

interface Unanswered {
  count: number;
  onNone?: () => void;
}

/** Answers leave in the order of their requests: the next request is read once the earlier ones are answered. */
export class UnansweredRequests {
  readonly #of = new WeakMap<Duplex, Unanswered>();

  asked({ socket }: IncomingMessage, response: ServerResponse): void {
    const unanswered = this.#of.get(socket) ?? { count: 0 };
    this.#of.set(socket, unanswered);
    unanswered.count += 1;
    response.once("close", () => {
      unanswered.count -= 1;
      if (unanswered.count > 0) return;
      const { onNone } = unanswered;
      delete unanswered.onNone;
      onNone?.();
    });
  }

  whenAnswered(socket: Duplex, go: () => void): void {
    const unanswered = this.#of.get(socket);
    if (unanswered === undefined || unanswered.count === 0) {
      go();
      return;
    }
    const onError = () => socket.destroy();
    socket.on("error", onError);
    unanswered.onNone = () => {
      socket.off("error", onError);
      if (!socket.destroyed) go();
    };
  }
}
