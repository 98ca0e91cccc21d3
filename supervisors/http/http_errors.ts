/**
 * How errors leave over HTTP: `{code, message}` with the status that an error's class stands for. Refusals of the server
 * below (fastify, and Node's parser of HTTP) are told in the same form: its own codes are none of docs/protocol.md.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { FastifyReply } from "fastify";
import {
  FencedError,
  HeadraceError,
  OverloadedError,
  RejectedError,
  UnavailableError,
} from "../../protocols/errors.ts";
import { FIELD_LIMITS } from "../../protocols/limits.ts";

/** Answers a request whose headers could not be read, and closes its connection. */
export function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return; // the client has gone
  const { status, code, message } = unreadable(error.code);
  const body = JSON.stringify({ code, message: `Cannot read the request as ${message}` });
  const headers = `Connection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`;
  if (socket.writable) socket.write(`HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`);
  socket.destroy(error);
}

/** Answers a request whose header Expect asks for more than `100-continue`. */
export function refuseExpectation(_request: IncomingMessage, response: ServerResponse): void {
  const message = "Cannot answer as the header Expect must be 100-continue, or left out";
  const body = JSON.stringify({ code: "MALFORMED_FRAME", message });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  // The server cannot know whether the request's body follows.
  response.writeHead(417, { ...headers, connection: "close" }).end(body);
}

/**
 * Throws where a request does not name one host for all who read it (RFC 9112, 3.2): none in HTTP/1.1, which Node itself would
 * answer with an empty 400, or two, or one in its target beside the header's.
 */
export function refuseUnclearHost({
  httpVersion,
  headers,
  rawHeaders,
  url = "",
}: Pick<IncomingMessage, "httpVersion" | "headers" | "rawHeaders" | "url">): void {
  if (httpVersion === "1.1" && headers.host === undefined) {
    throw malformed("HTTP/1.1 must have a header Host: it has none");
  }
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length;
  if (hosts > 1) throw malformed(`it must have one header Host: it has ${hosts}`);
  if (!url.startsWith("/")) throw malformed(`its target must be a path: current value is ${url.slice(0, 64)}`);
}

const malformed = (reason: string): RejectedError =>
  new RejectedError("MALFORMED_FRAME", `Cannot read the request as ${reason}`);

function unreadable(code: string | undefined) {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return { status: "408 Request Timeout", code: "TIMEOUT", message: "it must be whole within its time: it is not" };
    case "HPE_HEADER_OVERFLOW":
      return {
        status: "431 Request Header Fields Too Large",
        code: "FRAME_TOO_LARGE",
        message: "its headers must be smaller: docs/protocol.md has the limit",
      };
    default:
      return {
        status: "400 Bad Request",
        code: "MALFORMED_FRAME",
        message: `it must be HTTP/1.1: ${code ?? "it is not"}`,
      };
  }
}

function statusOf(error: unknown): number {
  if (error instanceof RejectedError) return rejectedStatus(error);
  if (error instanceof OverloadedError) return error.code === "TOO_MANY_CONNECTIONS" ? 503 : 429;
  if (error instanceof UnavailableError) return 503;
  if (error instanceof FencedError) return 409;
  const status = (error as { statusCode?: unknown }).statusCode;
  return typeof status === "number" ? status : 500;
}

function rejectedStatus(error: RejectedError): number {
  switch (error.code) {
    case "UNAUTHENTICATED":
      return 401;
    case "FORBIDDEN":
    case "ORIGIN_REFUSED":
    case "HOST_REFUSED":
      return 403;
    case "UNKNOWN_STREAM":
    case "UNKNOWN_PARTITION":
    case "UNKNOWN_NODE":
      return 404;
    case "FRAME_TOO_LARGE":
    case "BATCH_TOO_LARGE":
    case "EVENT_TOO_LARGE":
      return 413;
    case "IDEMPOTENCY_KEY_REUSED":
    case "SCHEMA_VIOLATION":
      return 422;
    default:
      return 400;
  }
}

/** Gives the server's own refusals a code of docs/protocol.md. */
function toldOfError(error: unknown, status: number): { readonly code: string; readonly message: string } {
  if (status === 500)
    return { code: "INVARIANT_VIOLATED", message: "Cannot answer as something failed inside the node: see its log" };
  const { message } = error as Error;
  if (error instanceof HeadraceError) return { code: error.code, message };
  if (status === 415)
    return { code: "UNSUPPORTED_MEDIA_TYPE", message: "Cannot read the request as its body must be application/json" };
  return {
    code: status === 413 ? "FRAME_TOO_LARGE" : "MALFORMED_FRAME",
    message: `Cannot read the request: ${message}`.slice(0, FIELD_LIMITS.messageCharactersMax),
  };
}

/** Answers with an error's status, code, message and the time of the next try (`Retry-After`). */
export function sendError(reply: FastifyReply, error: unknown): FastifyReply {
  const status = statusOf(error);
  const { code, message } = toldOfError(error, status);
  if (error instanceof OverloadedError) reply.header("Retry-After", Math.ceil(error.retryAfterMs / 1000));
  else if (status === 503) reply.header("Retry-After", 1);
  if (error instanceof OverloadedError && error.code === "TOO_MANY_CONNECTIONS") reply.header("Connection", "close");
  if (status === 401) reply.header("WWW-Authenticate", "Bearer");
  return reply.status(status).send({ code, message });
}
