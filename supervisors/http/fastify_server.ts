/** Makes the HTTP server below the routes: its limits, its certificates, and how it reads parameters and writes answers. */
import type { FastifyInstance, FastifyReply, FastifyServerOptions } from "fastify";
import { parameterReader } from "../../actors/ingest/http/parameters.ts";
import { loadDriver } from "../../deps.ts";
import { readTls } from "../security/access/tls_files.ts";
import { refuseUnreadable, sendError } from "./http_errors.ts";
import { HTTP_LIMITS, type HttpLimits, type HttpServerOptions } from "./http_options.ts";

/** In place of fastify's own compilers, which are then not even loaded: decision 0013 (docs/decisions/) has the reasons. */
export const SCHEMA_CONTROLLER: NonNullable<FastifyServerOptions["schemaController"]> = {
  compilersFactory: { buildValidator: () => parameterReader as never, buildSerializer: () => () => JSON.stringify },
};

export async function createServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const { fastify } = await loadDriver("fastify");
  const limits: HttpLimits = { ...HTTP_LIMITS, ...options.limits };
  const common = {
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    requestTimeout: limits.requestWithinMs,
    keepAliveTimeout: limits.keepAliveMs,
    forceCloseConnections: true,
    exposeHeadRoutes: true,
    schemaController: SCHEMA_CONTROLLER,
    frameworkErrors: (error: unknown, _request: unknown, reply: FastifyReply) => sendError(reply, error),
    clientErrorHandler: refuseUnreadable,
  } as const;
  const http = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersWithinMs,
    requestTimeout: limits.requestWithinMs,
    // Node checks its connections only every 30 s by default.
    connectionsCheckingInterval: limits.checkEveryMs,
    requireHostHeader: false, // refused by http_server.ts, with a code and a message
  };
  return (options.tls === undefined
    ? fastify({ ...common, http })
    : fastify({
        ...common,
        https: { ...http, ...(await secured(options, options.tls, limits)) },
      })) as unknown as FastifyInstance;
}

async function secured(
  { nodeCaFile }: HttpServerOptions,
  tls: NonNullable<HttpServerOptions["tls"]>,
  { headersWithinMs }: HttpLimits,
) {
  const asksCertificate = nodeCaFile !== undefined || tls.clientCaFile !== undefined;
  return {
    handshakeTimeout: headersWithinMs,
    ...(await readTls(tls, nodeCaFile)),
    // A client without a certificate is accepted here, as a token may identify it.
    ...(asksCertificate ? { requestCert: true, rejectUnauthorized: false } : {}),
  };
}
