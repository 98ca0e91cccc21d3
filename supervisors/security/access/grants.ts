/**
 * The grants of a token, a signed token or a certificate. Scopes are `produce`, `consume`, `observe` and `admin`, for
 * every stream or for one (`produce:orders`). `produce` and `consume` include `observe`, and `admin` includes all. Only
 * `admin` may read the audit stream, and no scope may produce to it.
 */
import type { Permissions } from "../../../actors/ingest/session.ts";

export interface Grants extends Permissions {
  readonly mayAdministrate: boolean;
  /** Whether data of no single stream is visible, such as actors and decisions. */
  readonly mayObserveAll: boolean;
  /** When the grants end, in ms since 1970. Undefined for grants without an end. */
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

/** The grants of the node's own sources and pipelines. */
export const INSIDE: Grants = {
  subject: "this node",
  mayAdministrate: false,
  mayObserveAll: true,
  mayProduce: () => true,
  mayConsume: () => true,
  mayObserve: () => true,
};
