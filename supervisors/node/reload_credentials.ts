/** Reads a running node's tokens, keys and certificates again: on request, and when a file has changed. */
import type { Timer } from "../../actors/kernel/actor.ts";
import type { SecurityConfiguration } from "../configuration/configuration_schema.ts";
import { filesOf, type Reloading, startReloading } from "../security/access/reloading.ts";
import type { Audit } from "../security/audit/audit_log.ts";
import type { Foundation } from "./foundation.ts";

export interface ReloadParts {
  readonly audit: Audit;
  /** Reads the current security section. Default: the section given at the start. */
  readonly readSecurity: (() => Promise<SecurityConfiguration>) | undefined;
  /** TLS is read before tokens: an unusable certificate leaves tokens and TLS unchanged. */
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

/** Watches files without keeping the process alive. */
export function setTimer(delayMs: number, callback: () => void): Timer {
  const timer = setTimeout(callback, delayMs).unref();
  return { cancel: () => clearTimeout(timer) };
}
