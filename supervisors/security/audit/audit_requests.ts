/** Tells the audit of what came over HTTP: calls that administer, and requests that were refused. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HeadraceError } from "../../../protocols/errors.ts";
import type { Grants } from "../access/grants.ts";
import type { Audit } from "./audit_log.ts";
import type { AuditKind } from "./audit_machine.ts";

const READS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/** Appends are what a node is for, and have their own records. */
const APPEND_ROUTE = "/v1/streams/:stream/events";

const REFUSALS: Readonly<Record<string, AuditKind>> = {
  UNAUTHENTICATED: "refused_login",
  FORBIDDEN: "refused_scope",
  UNKNOWN_STREAM: "refused_scope", // one that the token does not show, whether it is there or not
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
  grants?: Grants,
): void {
  if (!(error instanceof HeadraceError)) return;
  const kind = refusalKind(error.code, grants);
  if (kind !== undefined) audit.record({ kind, ...about, outcome: error.code });
}

/** What the audit calls a refusal; undefined for what is none. Whoever is shown all streams has asked for one that is not there. */
export const refusalKind = (code: string, grants: Grants | undefined): AuditKind | undefined =>
  code === "UNKNOWN_STREAM" && grants?.mayAdministrate !== false ? undefined : REFUSALS[code];

export function toldOf(request: FastifyRequest) {
  const grants = shownGrants(request);
  return {
    subject: grants?.subject,
    address: request.raw.socket.remoteAddress,
    action: `${request.method} ${pathOf(request.raw.url)}`,
  };
}

/** What the request's token allows, once it was judged. */
export const shownGrants = (request: FastifyRequest): Grants | undefined =>
  (request as { readonly grants?: Grants }).grants;

/** Without its query, which may hold anything. */
export const pathOf = (url: string | undefined): string => (url ?? "/").split("?")[0] ?? "/";

function isAdministration(request: FastifyRequest): boolean {
  const grants = shownGrants(request);
  const route = request.routeOptions.url;
  return (
    grants?.mayAdministrate === true && route !== undefined && route !== APPEND_ROUTE && !READS.has(request.method)
  );
}
