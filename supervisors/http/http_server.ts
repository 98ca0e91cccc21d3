/**
 * The one port: mounts the HTTP routes that stations offer beside the WebSocket endpoint. Errors leave as
 * `{code, message}` with the status that their class stands for.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Server as SecureServer } from "node:tls";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { refuseUpgrade, refuseUpgradePath } from "../../actors/transport/refuse_upgrade.ts";
import { loadDriver } from "../../deps.ts";
import { ConfigurationError, RejectedError } from "../../protocols/errors.ts";
import type { SecurityConfiguration } from "../configuration/configuration_schema.ts";
import type { Access, Grants } from "../security/access/access.ts";
import { readTls } from "../security/access/tls_files.ts";
import type { ConnectionGate } from "../security/admission/connection_gate.ts";
import { type Audit, NO_AUDIT } from "../security/audit/audit_log.ts";
import { auditRefusal, auditRequests, pathOf, shownGrants, toldOf } from "../security/audit/audit_requests.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";
import { RequestsUnderWay } from "./http_drain.ts";
import { refuseUnclearHost, refuseUnreadable, sendError } from "./http_errors.ts";
import { asksForWebSocket, headWithoutUpgrade, UnansweredRequests } from "./ignored_upgrades.ts";
import { lingerOver } from "./lingering_close.ts";

export interface HttpLimits {
  /** From the connection, or the first byte of a further request, to the end of its headers; and for a TLS handshake. */
  readonly headersWithinMs: number;
  /** To the end of the request's body. */
  readonly requestWithinMs: number;
  readonly keepAliveMs: number;
  /** Interval of the check for connections over a time limit: such a connection ends at most this much later. */
  readonly checkEveryMs: number;
  readonly headerBytesMax: number;
  readonly bodyBytesMax: number;
}

/** Time limits of HTTP: a client that sends its request too slowly is cut off, and delays no other client. */
export const HTTP_LIMITS: HttpLimits = {
  headersWithinMs: 10_000,
  requestWithinMs: 60_000,
  keepAliveMs: 65_000,
  checkEveryMs: 1_000,
  headerBytesMax: 16_384,
  bodyBytesMax: 16_777_216,
};

/** Longest part of a request's URL that an error repeats, in characters. */
const URL_SHOWN_MAX = 200;

declare module "fastify" {
  interface FastifyRequest {
    grants: Grants;
  }
}

export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** A station's routes. Those mounted `open` need no token. */
export interface Routes {
  readonly isOpen: boolean;
  mount(server: FastifyInstance): void;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly access: Access;
  /** Sees every connection before anything of it is read. */
  readonly gate: ConnectionGate;
  readonly tls: SecurityConfiguration["tls"];
  /** Records administrative calls and refusals. */
  readonly audit?: Audit;
  /** Takes secrets out of errors. */
  readonly hidden?: HiddenTexts;
  /** Authorities of the certificates that nodes present. */
  readonly nodeCaFile?: string | undefined;
  readonly routes: readonly Routes[];
  /** Handlers of WebSocket upgrades, by path. */
  readonly upgrades: ReadonlyMap<string, Upgrade>;
  /** Smaller limits, for tests that reach them. */
  readonly limits?: Partial<HttpLimits>;
}

export interface HttpServer {
  /** `http://host:port`, with the port that the operating system assigned. */
  readonly address: string;
  readonly port: number;
  /** Each mounted route, such as `GET /v1/streams/:stream`. */
  readonly routes: readonly string[];
  /** Reads the certificate, its key and the authorities again, for connections from now on. Throws `ConfigurationError`. */
  reloadTls(): Promise<void>;
  /**
   * Answers requests that come from now on with 503, but for those that need no token. Resolves once none is under way: those
   * that are not answered by then are answered with 503 too.
   */
  drain(withinMs: number): Promise<void>;
  close(): Promise<void>;
}

/** Listens. Throws `ConfigurationError` `PORT_IN_USE`. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { fastify } = await loadDriver("fastify");
  const tls = options.tls;
  const limits: HttpLimits = { ...HTTP_LIMITS, ...options.limits };
  const common = {
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestWithinMs,
    keepAliveTimeout: limits.keepAliveMs,
    forceCloseConnections: true,
    exposeHeadRoutes: true,
    frameworkErrors: (error: unknown, _request: unknown, reply: FastifyReply) => sendError(reply, error),
    clientErrorHandler: refuseUnreadable,
  } as const;
  const http = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersWithinMs,
    requestTimeout: limits.requestWithinMs,
    // Node checks its connections only every 30 s by default.
    connectionsCheckingInterval: limits.checkEveryMs,
    requireHostHeader: false, // refused with a code and a message below
  };
  const server = (tls === undefined
    ? fastify({ ...common, http })
    : fastify({
        ...common,
        https: {
          ...http,
          handshakeTimeout: limits.headersWithinMs,
          ...(await readTls(tls, options.nodeCaFile)),
          // A client without a certificate is accepted here, as a token may identify it.
          ...(options.nodeCaFile === undefined && tls.clientCaFile === undefined
            ? {}
            : { requestCert: true, rejectUnauthorized: false }),
        },
      })) as unknown as FastifyInstance;
  const { audit = NO_AUDIT } = options;
  server.setErrorHandler((error, request, reply) => {
    auditRefusal(audit, error, toldOf(request), shownGrants(request));
    return sendError(reply, options.hidden?.hideInError(error) ?? error);
  });
  auditRequests(server, audit);
  server.setNotFoundHandler((request, reply) => {
    void reply.status(404).send({
      code: "NOT_FOUND",
      message: `Cannot find ${request.method} ${request.url.slice(0, URL_SHOWN_MAX)}: see /openapi.json`,
    });
  });
  const { gate } = options;
  server.server.on("connection", (socket: Socket) => gate.accept(socket));
  const underWay = new RequestsUnderWay();
  server.addHook("onRequest", async ({ raw, query }, reply) => {
    const { onAnswered } = gate.ask(raw.socket);
    reply.raw.once("close", onAnswered);
    underWay.begin(reply);
    if (raw.headers.host === undefined) reply.header("Connection", "close");
    refuseUnclearHost(raw);
    options.access.admit(raw);
    refuseRepeated(query);
  });
  server.addHook("onSend", async ({ raw }, reply) => {
    const isHeard = reply.statusCode < 500; // a 503 goes at once: there are too many connections, or the node stops
    if (isHeard && !raw.complete && reply.getHeader("connection") === "close") lingerOver(raw);
  });
  const mounted: string[] = [];
  server.addHook("onRoute", ({ method, url }) => {
    for (const one of [method].flat()) if (one !== "HEAD") mounted.push(`${one} ${url}`);
  });
  for (const routes of options.routes) {
    await server.register(async (scope) => {
      if (!routes.isOpen) {
        scope.addHook("onRequest", async (request) => {
          underWay.refuseDraining();
          await requireToken(request, options.access);
        });
      }
      routes.mount(scope);
    });
  }
  const unanswered = new UnansweredRequests();
  server.server.prependListener("request", (request, response) => unanswered.asked(request, response));
  server.server.on("checkExpectation", (_request, response) => {
    const message = "Cannot answer as the header Expect must be 100-continue, or left out";
    const body = JSON.stringify({ code: "MALFORMED_FRAME", message });
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    // The server cannot know whether the request's body follows.
    response.writeHead(417, { ...headers, connection: "close" }).end(body);
  });
  const readAnew = (request: IncomingMessage, socket: Duplex, rest: Buffer): void => {
    const head = headWithoutUpgrade(request);
    if (head === undefined) {
      socket.on("error", () => undefined); // no other listener handles the socket's errors
      refuseUnreadable(Object.assign(new Error("too many headers"), { code: "HPE_HEADER_OVERFLOW" }), socket);
      return;
    }
    // At once, as a connection with unread bytes does not end before they are read.
    socket.unshift(Buffer.concat([head, rest]));
    unanswered.whenAnswered(socket, () => {
      if (socket.destroyed || !server.server.listening) socket.destroy();
      else server.server.emit(tls === undefined ? "connection" : "secureConnection", socket);
    });
  };
  server.server.on("upgrade", (request, socket, head) => {
    if (!asksForWebSocket(request)) {
      readAnew(request, socket, head);
      return;
    }
    try {
      refuseUnclearHost(request);
      options.access.admit(request);
      gate.upgrade(request.socket);
    } catch (error) {
      auditRefusal(audit, error, { address: request.socket.remoteAddress, action: `upgrade ${pathOf(request.url)}` });
      refuseUpgrade(socket, error);
      return;
    }
    const upgrade = options.upgrades.get(pathOf(request.url));
    if (upgrade !== undefined) upgrade(request, socket, head);
    else refuseUpgradePath(socket);
  });
  await listen(server, options);
  const bound = server.server.address();
  try {
    if (typeof bound === "object" && bound !== null) options.access.bound(bound.address);
  } catch (error) {
    await server.close();
    throw error;
  }
  const port = typeof bound === "object" && bound !== null ? bound.port : options.port;
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    port,
    routes: mounted,
    address: `${tls === undefined ? "http" : "https"}://${host}:${port}`,
    async reloadTls() {
      if (tls === undefined) return;
      (server.server as unknown as SecureServer).setSecureContext(await readTls(tls, options.nodeCaFile));
    },
    drain: (withinMs) => underWay.drain(withinMs),
    close: () => server.close(),
  };
}

async function listen(server: FastifyInstance, options: HttpServerOptions): Promise<void> {
  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new ConfigurationError(
      "PORT_IN_USE",
      `Cannot listen on ${options.host}:${options.port} as the port must be free: another program holds it (choose one with node.port or HEADRACE_PORT)`,
      { cause: error },
    );
  }
}

/** The scheme's name is written in any case (RFC 9110, 11.1). */
export const bearerOf = (header: string | undefined): string | undefined =>
  /^Bearer +(.*\S) *$/i.exec(header ?? "")?.[1];

/** Refuses a parameter that is given twice, as the server cannot know which value is meant. */
function refuseRepeated(query: unknown): void {
  const repeated = Object.entries(query ?? {}).find(([, value]) => typeof value !== "string");
  if (repeated === undefined) return;
  throw new RejectedError(
    "MALFORMED_FRAME",
    `Cannot answer as a parameter must be given once: current value of ${repeated[0].slice(0, 64)} is a list`,
  );
}

async function requireToken(request: FastifyRequest, access: Access): Promise<void> {
  const grants = await access.authenticate(bearerOf(request.headers.authorization), request.raw.socket);
  if (grants === undefined) {
    throw new RejectedError(
      "UNAUTHENTICATED",
      "Cannot answer as the request must bear a valid token (Authorization: Bearer ...): none was accepted",
    );
  }
  request.grants = grants;
}
