/** Records administrative calls and refused requests over HTTP in the audit. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HeadraceError } from "../../../protocols/errors.ts";
import type { Grants } from "../access/grants.ts";
import type { Audit } from "./audit_log.ts";
import type { AuditKind } from "./audit_machine.ts";

const READS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/** Appends are no administration, and are not audited. */
const APPEND_ROUTE = "/v1/streams/:stream/events";

const REFUSALS: Readonly<Record<string, AuditKind>> = {
  UNAUTHENTICATED: "refused_login",
  FORBIDDEN: "refused_scope",
  UNKNOWN_STREAM: "refused_scope", // a stream that the token may not see, whether it exists or not
  HOST_REFUSED: "refused_request",
  ORIGIN_REFUSED: "refused_request",
};

export function auditRequests(server: FastifyInstance, audit: Audit): void {
  server.addHook("onResponse", async (request, reply) => {
    if (!isAdministration(request)) return;
    audit.record({ kind: "admin_call", ...toldOf(request), outcome: String(reply.statusCode) });
  });
}

/** Records an error that a request, an upgrade or a connection was answered with, if it is a refusal. */
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

/** The kind of a refusal, or undefined. To a token that may see all streams an unknown stream is no refusal. */
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

/** The grants of the request's token; undefined before it was judged. */
export const shownGrants = (request: FastifyRequest): Grants | undefined =>
  (request as { readonly grants?: Grants }).grants;

/** The path of an address, without its query, which may hold secrets. */
export const pathOf = (url: string | undefined): string => (url ?? "/").split("?")[0] ?? "/";

function isAdministration(request: FastifyRequest): boolean {
  const grants = shownGrants(request);
  const route = request.routeOptions.url;
  return (
    grants?.mayAdministrate === true && route !== undefined && route !== APPEND_ROUTE && !READS.has(request.method)
  );
}
