/**
 * Decides who may connect, and for how long. If nothing is configured, everybody on this machine may do everything, and
 * nobody else can connect. Credentials can be read again while the node runs; grants that they no longer give end.
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
  /** The grants of the token, or else of the socket's certificate. Undefined if neither is valid. */
  authenticate(token: string | undefined, socket?: Socket): Promise<Grants | undefined>;
  /** As `authenticate`, kept until `onEnd`, when its grants end. Throws `OverloadedError` for too many connections. */
  hold(token: string | undefined, socket: Socket | undefined, onEnd: () => void): Promise<Held | undefined>;
  /** Throws `RejectedError` for a request whose web origin or host is not allowed. */
  admit(request: Pick<IncomingMessage, "headers">): void;
  /** Called with the port's bound address. Throws `ConfigurationError` if others could connect without credentials. */
  bound(address: string): void;
  /** Reads tokens and keys again; answers how many grants ended. Throws `ConfigurationError` and keeps the old ones. */
  reload(security?: SecurityConfiguration): Promise<number>;
}

export interface Held {
  readonly grants: Grants;
  /** To be called once the connection is gone. */
  stop(): void;
}

export interface AccessOptions {
  /** The address at which other nodes and clients reach this node, as `host:port`. */
  readonly advertise?: string | undefined;
  readonly nowMs?: () => number;
  readonly setTimer?: (delayMs: number, callback: () => void) => Timer;
}

const ownTimer = (delayMs: number, callback: () => void): Timer => {
  const timer = setTimeout(callback, delayMs).unref();
  return { cancel: () => clearTimeout(timer) };
};

/** Throws `ConfigurationError` if others could connect without credentials. */
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
  const metered = (grants: Grants): Grants =>
    grants.owner === undefined ? grants : { ...grants, quota: quotas.of(grants.owner) };
  return {
    authenticate: async (token, socket) => {
      const found = await credentials.grant(token, socket);
      return found === undefined ? undefined : metered(found.grants);
    },
    async hold(token, socket, onEnd) {
      const under = credentials;
      const found = await under.grant(token, socket);
      if (found === undefined) return undefined;
      // New credentials judge only watched grants, and this grant was not watched yet: it is judged here.
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
    // A name such as localhost may resolve to any address, so the bound address is judged.
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
