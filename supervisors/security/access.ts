/**
 * Who may connect, and what a token allows. Fixed tokens and signed ones (JWT) carry scopes: `produce`, `consume` or
 * `admin`, for every stream or for one (`produce:orders`); `admin` includes the others. Where nothing is configured,
 * everybody on this machine may do everything, and nobody else can connect.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import type { Permissions } from "../../actors/ingest/session.ts";
import { isLoopbackAddress, isLoopbackHost } from "../../actors/transport/network_address.ts";
import { loadDriver } from "../../deps.ts";
import { ConfigurationError } from "../../protocols/errors.ts";
import type { SecurityConfiguration } from "../configuration_schema.ts";
import { admitRequest } from "./request_admission.ts";

export interface Access {
  /** What a token allows; undefined for one that does not count. */
  authenticate(token: string | undefined): Promise<Grants | undefined>;
  /** Throws `RejectedError` for a request from a web origin, or for a host, that is not allowed. */
  admit(request: Pick<IncomingMessage, "headers">): void;
  /** Takes the address that the port was bound to. Throws `ConfigurationError` where others reach it and nothing says who they are. */
  bound(address: string): void;
}

export interface Grants extends Permissions {
  readonly mayAdministrate: boolean;
}

/** Reads a secret from a file or from the environment; never from the configuration's own text. */
export type ReadSecret = (source: { readonly file?: string; readonly variable?: string }) => Promise<string>;

/** Throws `ConfigurationError` where others could connect and nothing says who they are. */
export async function createAccess(
  security: SecurityConfiguration,
  listenHost: string,
  readSecret: ReadSecret,
  advertise?: string,
): Promise<Access> {
  const isOpen = security.tokens.length === 0 && security.jwt === undefined;
  const refuseOpen = (host: string): never => {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot listen on ${host} as an address that is not loopback needs security.tokens or security.jwt: none is configured`,
    );
  };
  if (isOpen && !isLoopbackHost(listenHost)) refuseOpen(listenHost);
  const fixed = await Promise.all(
    security.tokens.map(async ({ name, scopes, valueFile, valueEnv }) => {
      const value = await readSecret(asSource(valueFile, valueEnv));
      return { digest: digestOf(value), grants: grantsOf(name, scopes) };
    }),
  );
  const verify = security.jwt === undefined ? undefined : await jwtVerifier(security.jwt, readSecret);
  return {
    async authenticate(token) {
      if (isOpen) return grantsOf("anybody on this machine", ["admin"]);
      if (token === undefined) return undefined;
      const digest = digestOf(token);
      return fixed.find((one) => timingSafeEqual(one.digest, digest))?.grants ?? (await verify?.(token));
    },
    admit: (request) => admitRequest(request, security, { listenHost, advertise }),
    // A name such as localhost is what this machine's own tables make of it.
    bound: (address) => {
      if (isOpen && !isLoopbackAddress(address)) refuseOpen(`${listenHost}, which is ${address},`);
    },
  };
}

const asSource = (file: string | undefined, variable: string | undefined) => ({
  ...(file === undefined ? {} : { file }),
  ...(variable === undefined ? {} : { variable }),
});

/** Compared by digest, so that the time taken tells nothing of the token, its length included. */
const digestOf = (token: string): Buffer => createHash("sha256").update(token).digest();

function grantsOf(subject: string, scopes: readonly string[]): Grants {
  const has = (action: string, stream?: string): boolean =>
    scopes.some((scope) => scope === action || (stream !== undefined && scope === `${action}:${stream}`));
  const mayAdministrate = has("admin");
  return {
    subject,
    mayAdministrate,
    mayProduce: (stream) => mayAdministrate || has("produce", stream),
    mayConsume: (stream) => mayAdministrate || has("consume", stream),
  };
}

async function jwtVerifier(
  jwt: NonNullable<SecurityConfiguration["jwt"]>,
  readSecret: ReadSecret,
): Promise<(token: string) => Promise<Grants | undefined>> {
  const jose = await loadDriver("jose");
  const options = {
    ...(jwt.issuer === undefined ? {} : { issuer: jwt.issuer }),
    ...(jwt.audience === undefined ? {} : { audience: jwt.audience }),
    // A token without an end would outlive whatever it was given for.
    requiredClaims: ["exp"],
  };
  const { key, algorithms } = await verificationKey(jwt, readSecret);
  return async (token) => {
    try {
      const { payload } = await jose.jwtVerify(token, key, { ...options, algorithms });
      const scope = payload.scope;
      const scopes = typeof scope === "string" ? scope.split(" ") : [];
      return grantsOf(payload.sub ?? "unnamed", scopes);
    } catch (error) {
      if (error instanceof jose.errors.JOSEError) return undefined;
      throw error;
    }
  };
}

async function verificationKey(jwt: NonNullable<SecurityConfiguration["jwt"]>, readSecret: ReadSecret) {
  const { createPublicKey, createSecretKey } = await import("node:crypto");
  if (jwt.publicKeyFile !== undefined) {
    const key = createPublicKey(await readFile(jwt.publicKeyFile, "utf8"));
    return { key, algorithms: ["RS256", "PS256", "ES256", "EdDSA"] };
  }
  const secret = await readSecret(asSource(jwt.secretFile, jwt.secretEnv));
  if (secret.length < 32) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot verify tokens as the secret must have at least 32 characters: current length is ${secret.length}`,
    );
  }
  return { key: createSecretKey(Buffer.from(secret)), algorithms: ["HS256"] };
}
