/** What the one port is made of: its routes and upgrades, whom it asks about requests, and its limits. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { FastifyInstance } from "fastify";
import type { SecurityConfiguration } from "../configuration/configuration_schema.ts";
import type { Access } from "../security/access/access.ts";
import type { ConnectionGate } from "../security/admission/connection_gate.ts";
import type { Audit } from "../security/audit/audit_log.ts";
import type { HiddenTexts } from "../security/secrets/hidden_texts.ts";

export interface HttpLimits {
  /** From the connection, or the first byte of a further request, to the end of its headers; and for a TLS handshake. */
  readonly headersWithinMs: number;
  /** To the end of the request's body. */
  readonly requestWithinMs: number;
  readonly keepAliveMs: number;
  /** Interval of the check for connections over a time limit: such a connection ends at most this much later. */
  readonly checkEveryMs: number;
  readonly headerBytesMax: number;
  readonly bodyBytesMax: number;
}

/** Time limits of HTTP: a client that sends its request too slowly is cut off, and delays no other client. */
export const HTTP_LIMITS: HttpLimits = {
  headersWithinMs: 10_000,
  requestWithinMs: 60_000,
  keepAliveMs: 65_000,
  checkEveryMs: 1_000,
  headerBytesMax: 16_384,
  bodyBytesMax: 16_777_216,
};

export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** A station's routes. Those mounted `open` need no token. */
export interface Routes {
  readonly isOpen: boolean;
  mount(server: FastifyInstance): void;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly access: Access;
  /** Sees every connection before anything of it is read. */
  readonly gate: ConnectionGate;
  readonly tls: SecurityConfiguration["tls"];
  readonly audit?: Audit;
  readonly hidden?: HiddenTexts;
  /** Authorities of the certificates that nodes present. */
  readonly nodeCaFile?: string | undefined;
  readonly routes: readonly Routes[];
  /** Handlers of WebSocket upgrades, by path. */
  readonly upgrades: ReadonlyMap<string, Upgrade>;
  /** Smaller limits, for tests that reach them. */
  readonly limits?: Partial<HttpLimits>;
}
