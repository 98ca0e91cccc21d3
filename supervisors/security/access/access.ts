/**
 * Who may connect, and for how long. Where nothing is configured, everybody on this machine may do everything, and nobody
 * else can connect. Credentials can be read again while the node runs: what they do not grant any more ends.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Timer } from "../../../actors/kernel/actor.ts";
import { isLoopbackAddress, isLoopbackHost } from "../../../actors/transport/network_address.ts";
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { SecurityConfiguration } from "../../configuration/configuration_schema.ts";
import type { ReadSecret } from "../../configuration/environment.ts";
import { Quotas } from "../admission/quotas.ts";
import { admitRequest } from "../admission/request_admission.ts";
import { Credentials } from "./credentials.ts";
import { GrantWatch } from "./grant_watch.ts";
import type { Grants } from "./grants.ts";

export type { Grants } from "./grants.ts";

export interface Access {
  /** What a token allows, or else the certificate of the socket; undefined where neither counts. */
  authenticate(token: string | undefined, socket?: Socket): Promise<Grants | undefined>;
  /**
   * The same for a connection that stays: `onEnd` is called once its grants have ended. Throws `OverloadedError` where its
   * principal has as many connections as it may.
   */
  hold(token: string | undefined, socket: Socket | undefined, onEnd: () => void): Promise<Held | undefined>;
  /** Throws `RejectedError` for a request from a web origin, or for a host, that is not allowed. */
  admit(request: Pick<IncomingMessage, "headers">): void;
  /** Takes the address that the port was bound to. Throws `ConfigurationError` where others reach it and nothing says who they are. */
  bound(address: string): void;
  /** Reads tokens and keys again and ends what they do not grant; answers how many grants ended. Throws `ConfigurationError`, and keeps the old ones. */
  reload(security?: SecurityConfiguration): Promise<number>;
}

export interface Held {
  readonly grants: Grants;
  /** The connection is gone. */
  stop(): void;
}

export interface AccessOptions {
  /** Where other nodes and clients reach this one, as `host:port`. */
  readonly advertise?: string | undefined;
  readonly nowMs?: () => number;
  readonly setTimer?: (delayMs: number, callback: () => void) => Timer;
}

const ownTimer = (delayMs: number, callback: () => void): Timer => {
  const timer = setTimeout(callback, delayMs).unref();
  return { cancel: () => clearTimeout(timer) };
};

/** Throws `ConfigurationError` where others could connect and nothing says who they are. */
export async function createAccess(
  given: SecurityConfiguration,
  listenHost: string,
  readSecret: ReadSecret,
  { advertise, nowMs = () => Date.now(), setTimer = ownTimer }: AccessOptions = {},
): Promise<Access> {
  let security = given;
  let credentials = await Credentials.read(security, readSecret);
  if (credentials.isOpen && !isLoopbackHost(listenHost)) refuseOpen(listenHost);
  const watch = new GrantWatch({ nowMs, setTimer });
  const quotas = new Quotas(security.quotas ?? {}, nowMs);
  const metered = (grants: Grants): Grants => {
    return grants.owner === undefined ? grants : { ...grants, quota: quotas.of(grants.owner) };
  };
  return {
    authenticate: async (token, socket) => {
      const found = await credentials.grant(token, socket);
      return found === undefined ? undefined : metered(found.grants);
    },
    async hold(token, socket, onEnd) {
      const under = credentials;
      const found = await under.grant(token, socket);
      if (found === undefined) return undefined;
      // Credentials that were read meanwhile have judged what was watched, and this grant was not.
      if (credentials !== under && !(await found.holdsUnder(credentials))) return undefined;
      const grants = metered(found.grants);
      const disconnect = grants.owner === undefined ? undefined : quotas.of(grants.owner).connect();
      const { stop } = watch.watch(found, onEnd);
      return {
        grants,
        stop: () => {
          disconnect?.();
          stop();
        },
      };
    },
    admit: (request) => admitRequest(request, security, { listenHost, advertise }),
    // A name such as localhost is what this machine's own tables make of it.
    bound: (address) => {
      if (credentials.isOpen && !isLoopbackAddress(address)) refuseOpen(`${listenHost}, which is ${address},`);
    },
    async reload(next = security) {
      const read = await Credentials.read(next, readSecret);
      if (read.isOpen && !credentials.isOpen) {
        throw new ConfigurationError(
          "INVALID_CONFIGURATION",
          "Cannot take all tokens away while the node runs as it would be open to everybody on this machine: stop the node first",
        );
      }
      quotas.change(next.quotas ?? {});
      security = next;
      credentials = read;
      return await watch.judge(read);
    },
  };
}

function refuseOpen(host: string): never {
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot listen on ${host} as an address that is not loopback needs security.tokens, security.jwt or security.tls.clientCaFile: none is configured`,
  );
}
