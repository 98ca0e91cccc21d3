/** Tokens, keys and certificates of a running node, read again: when it is asked to, and when a file has changed. */
import type { Timer } from "../../actors/kernel/actor.ts";
import type { SecurityConfiguration } from "../configuration/configuration_schema.ts";
import { filesOf, type Reloading, startReloading } from "../security/access/reloading.ts";
import type { Audit } from "../security/audit/audit_log.ts";
import type { Foundation } from "./foundation.ts";

export interface ReloadParts {
  readonly audit: Audit;
  /** The security section as it is now. Default: as it was at the start. */
  readonly readSecurity: (() => Promise<SecurityConfiguration>) | undefined;
  /** TLS is read before tokens: a certificate that can not be used leaves everything as it was. */
  readonly readCertificates: () => Promise<void>;
}

export async function reloadCredentials(
  { configuration, access, nodeLog }: Pick<Foundation, "configuration" | "access" | "nodeLog">,
  { audit, readSecurity, readCertificates }: ReloadParts,
): Promise<Reloading> {
  let security = configuration.security;
  return await startReloading({
    files: () => filesOf(security),
    read: async () => {
      const next = (await readSecurity?.()) ?? security;
      await readCertificates();
      const ended = await access.reload(next);
      security = next;
      return ended;
    },
    log: nodeLog,
    onReloaded: (outcome) =>
      audit.record({
        ...{ kind: "reload", action: outcome.why },
        outcome: outcome.kind === "reloaded" ? `reloaded, ${outcome.grantsEnded} grants ended` : "refused",
      }),
    setTimer,
  });
}

/** Keeps no process running. */
export function setTimer(delayMs: number, callback: () => void): Timer {
  const timer = setTimeout(callback, delayMs).unref();
  return { cancel: () => clearTimeout(timer) };
}
