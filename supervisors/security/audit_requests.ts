/** Tells the audit of what came over HTTP: calls that administer, and requests that were refused. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HeadraceError } from "../../protocols/errors.ts";
import type { Audit } from "./audit_log.ts";
import type { AuditKind } from "./audit_machine.ts";
import type { Grants } from "./grants.ts";

const READS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/** Appends are what a node is for, and have their own records. */
const APPEND_ROUTE = "/v1/streams/:stream/events";

const REFUSALS: Readonly<Record<string, AuditKind>> = {
  UNAUTHENTICATED: "refused_login",
  FORBIDDEN: "refused_scope",
  HOST_REFUSED: "refused_request",
  ORIGIN_REFUSED: "refused_request",
};

export function auditRequests(server: FastifyInstance, audit: Audit): void {
  server.addHook("onResponse", async (request, reply) => {
    if (!isAdministration(request)) return;
    audit.record({ kind: "admin_call", ...toldOf(request), outcome: String(reply.statusCode) });
  });
}

/** Of an error that a request, an upgrade or a connection was answered with. */
export function auditRefusal(
  audit: Audit,
  error: unknown,
  about: { readonly subject?: string | undefined; readonly address?: string | undefined; readonly action: string },
): void {
  const kind = error instanceof HeadraceError ? REFUSALS[error.code] : undefined;
  if (kind !== undefined) audit.record({ kind, ...about, outcome: (error as HeadraceError).code });
}

export function toldOf(request: FastifyRequest) {
  const { grants } = request as { readonly grants?: Grants };
  return {
    subject: grants?.subject,
    address: request.raw.socket.remoteAddress,
    action: `${request.method} ${pathOf(request.raw.url)}`,
  };
}

/** Without its query, which may hold anything. */
export const pathOf = (url: string | undefined): string => (url ?? "/").split("?")[0] ?? "/";

function isAdministration(request: FastifyRequest): boolean {
  const { grants } = request as { readonly grants?: Grants };
  const route = request.routeOptions.url;
  return (
    grants?.mayAdministrate === true && route !== undefined && route !== APPEND_ROUTE && !READS.has(request.method)
  );
}
