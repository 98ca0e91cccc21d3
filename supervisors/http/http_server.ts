/** Mounts the HTTP routes of stations beside the one port's WebSocket endpoint; `/openapi.json` describes them. */
import type { Socket } from "node:net";
import type { Server as SecureServer } from "node:tls";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { ConfigurationError, RejectedError } from "../../protocols/errors.ts";
import type { Access, Grants } from "../security/access/access.ts";
import { readTls } from "../security/access/tls_files.ts";
import { NO_AUDIT } from "../security/audit/audit_log.ts";
import { auditRefusal, auditRequests, shownGrants, toldOf } from "../security/audit/audit_requests.ts";
import { createServer } from "./fastify_server.ts";
import { RequestsUnderWay } from "./http_drain.ts";
import { refuseExpectation, refuseUnclearHost, sendError } from "./http_errors.ts";
import type { HttpServerOptions } from "./http_options.ts";
import { answerUpgrades } from "./http_upgrades.ts";
import { lingerOver } from "./lingering_close.ts";
import { type DescribedRoute, mountOpenApi } from "./openapi_document.ts";

export { HTTP_LIMITS, type Routes, type Upgrade } from "./http_options.ts";

/** Longest part of a request's URL that an error repeats, in characters. */
const URL_SHOWN_MAX = 200;

declare module "fastify" {
  interface FastifyRequest {
    grants: Grants;
  }
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
  const { tls } = options;
  const server = await createServer(options);
  const underWay = new RequestsUnderWay();
  answerErrors(server, options);
  admitRequests(server, options, underWay);
  const mounted = await mountRoutes(server, options, underWay);
  answerUpgrades(server, options);
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
    routes: mounted.map(({ method, url }) => `${method} ${url}`),
    address: `${tls === undefined ? "http" : "https"}://${host}:${port}`,
    async reloadTls() {
      if (tls === undefined) return;
      (server.server as unknown as SecureServer).setSecureContext(await readTls(tls, options.nodeCaFile));
    },
    drain: (withinMs) => underWay.drain(withinMs),
    close: () => server.close(),
  };
}

function answerErrors(server: FastifyInstance, { audit = NO_AUDIT, hidden }: HttpServerOptions): void {
  server.setErrorHandler((error, request, reply) => {
    auditRefusal(audit, error, toldOf(request), shownGrants(request));
    return sendError(reply, hidden?.hideInError(error) ?? error);
  });
  auditRequests(server, audit);
  server.setNotFoundHandler((request, reply) => {
    void reply.status(404).send({
      code: "NOT_FOUND",
      message: `Cannot find ${request.method} ${request.url.slice(0, URL_SHOWN_MAX)}: see /openapi.json`,
    });
  });
  server.server.on("checkExpectation", refuseExpectation);
}

function admitRequests(server: FastifyInstance, { access, gate }: HttpServerOptions, underWay: RequestsUnderWay): void {
  Object.assign(server.server, { httpAllowHalfOpen: true }); // Node drops late answers to clients that have ended their side
  server.server.on("connection", (socket: Socket) => gate.accept(socket));
  server.addHook("onRequest", async ({ raw, query }, reply) => {
    const { onAnswered } = gate.ask(raw.socket);
    reply.raw.once("close", onAnswered);
    underWay.begin(reply);
    if (raw.headers.host === undefined) reply.header("Connection", "close");
    refuseUnclearHost(raw);
    access.admit(raw);
    refuseRepeated(query);
  });
  server.addHook("onSend", async ({ raw }, reply) => {
    const isHeard = reply.statusCode < 500; // a 503 goes at once: there are too many connections, or the node stops
    if (isHeard && !raw.complete && reply.getHeader("connection") === "close") lingerOver(raw);
  });
}

async function mountRoutes(
  server: FastifyInstance,
  { access, routes: all }: HttpServerOptions,
  underWay: RequestsUnderWay,
): Promise<readonly DescribedRoute[]> {
  const mounted: DescribedRoute[] = [];
  const description = { isOpen: true, mount: (scope: FastifyInstance) => mountOpenApi(scope, mounted) };
  for (const { isOpen, mount } of [...all, description]) {
    await server.register(async (scope) => {
      scope.addHook("onRoute", ({ method, url, schema }) => {
        for (const one of [method].flat()) if (one !== "HEAD") mounted.push({ method: one, url, schema, isOpen });
      });
      if (!isOpen) {
        scope.addHook("onRequest", async (request) => {
          underWay.refuseDraining();
          await requireToken(request, access);
        });
      }
      mount(scope);
    });
  }
  return mounted;
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
