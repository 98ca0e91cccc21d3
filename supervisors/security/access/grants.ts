/**
 * What a token, a signed token or a certificate allows. Scopes are `produce`, `consume`, `observe` and `admin`, for every
 * stream or for one (`produce:orders`). A stream that may be produced to or consumed may be looked at; `admin` includes the
 * others. The audit stream is for `admin` alone to read, and for nobody to produce to.
 */
import type { Permissions } from "../../../actors/ingest/session.ts";

export interface Grants extends Permissions {
  readonly mayAdministrate: boolean;
  /** Sees what belongs to no stream, such as actors and decisions. */
  readonly mayObserveAll: boolean;
  /** When the grants end; undefined for grants without an end. */
  readonly expiresAtMs?: number;
}

export interface GrantTerms {
  readonly subject: string;
  readonly scopes: readonly string[];
  readonly expiresAtMs?: number | undefined;
  readonly auditStream?: string | undefined;
}

export function grantsOf({ subject, scopes, expiresAtMs, auditStream }: GrantTerms): Grants {
  const held = new Set(scopes);
  const mayAdministrate = held.has("admin");
  const has = (action: string, stream: string): boolean =>
    stream === auditStream ? false : held.has(action) || held.has(`${action}:${stream}`);
  const allows = (stream: string, ...actions: readonly string[]): boolean =>
    mayAdministrate || actions.some((action) => has(action, stream));
  return {
    subject,
    owner: subject,
    mayAdministrate,
    mayObserveAll: mayAdministrate || held.has("observe"),
    mayProduce: (stream) => stream !== auditStream && allows(stream, "produce"),
    mayConsume: (stream) => allows(stream, "consume"),
    mayObserve: (stream) => allows(stream, "observe", "produce", "consume"),
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  };
}

/** What the node's own sources and pipelines may do. */
export const INSIDE: Grants = {
  subject: "this node",
  mayAdministrate: false,
  mayObserveAll: true,
  mayProduce: () => true,
  mayConsume: () => true,
  mayObserve: () => true,
};
