/** The valid tokens and certificates, as read from files, variables and the configuration at one moment. */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { SecurityConfiguration, TokenConfiguration } from "../../configuration/configuration_schema.ts";
import type { ReadSecret } from "../../configuration/environment.ts";
import { type Authorities, authoritiesOf, certificateOf, entryFor } from "./client_certificates.ts";
import { type Grants, grantsOf } from "./grants.ts";
import { scopesOf, signedTokens, type VerifyToken } from "./signed_tokens.ts";

/** Fewest characters of a token: a shorter one could be guessed. */
export const TOKEN_CHARACTERS_MIN = 16;

interface FixedToken {
  readonly digest: Buffer;
  readonly grants: Grants;
  /** The configured terms of the token. If they change, the old grants end. */
  readonly terms: string;
}

/** Grants, with a check whether other credentials give the same grants. */
export interface Granted {
  readonly grants: Grants;
  holdsUnder(next: Credentials): Promise<boolean>;
}

export class Credentials {
  /** Whether nothing is configured, so that everybody on this machine may do everything. */
  readonly isOpen: boolean;
  readonly #security: SecurityConfiguration;
  readonly #fixed: readonly FixedToken[];
  readonly #verify: VerifyToken | undefined;
  readonly #authorities: Authorities;

  /** Throws `ConfigurationError` for a secret that is missing or too short, and for an invalid key. */
  static async read(security: SecurityConfiguration, readSecret: ReadSecret): Promise<Credentials> {
    const fixed = await Promise.all(security.tokens.map((token) => readFixed(token, security, readSecret)));
    const verify = security.jwt === undefined ? undefined : await signedTokens(security.jwt, readSecret);
    const caFile = security.tls?.clientCaFile;
    const authorities = caFile === undefined ? [] : authoritiesOf(await readPem(caFile), caFile);
    return new Credentials(security, fixed, verify, authorities);
  }

  private constructor(
    security: SecurityConfiguration,
    fixed: readonly FixedToken[],
    verify: VerifyToken | undefined,
    authorities: Authorities,
  ) {
    this.isOpen = security.tokens.length === 0 && security.jwt === undefined && authorities.length === 0;
    this.#security = security;
    this.#fixed = fixed;
    this.#verify = verify;
    this.#authorities = authorities;
  }

  /** A token wins over a certificate. Undefined if neither is valid. */
  async grant(token: string | undefined, socket: Socket | undefined): Promise<Granted | undefined> {
    if (this.isOpen) return this.#anybody();
    if (token !== undefined) return this.#fixedGrant(token) ?? (await this.#signedGrant(token));
    return socket === undefined ? undefined : this.#certificateGrant(socket);
  }

  #anybody(): Granted {
    const terms = { ...this.#audit(), subject: "anybody on this machine", scopes: ["admin"] };
    const { owner: _, ...grants } = grantsOf(terms); // an open node knows no principals
    return { grants, holdsUnder: async (next) => next.isOpen };
  }

  #fixedGrant(token: string): Granted | undefined {
    const digest = digestOf(token);
    const found = this.#fixed.find((one) => timingSafeEqual(one.digest, digest));
    if (found === undefined) return undefined;
    const isSame = (one: FixedToken) => timingSafeEqual(one.digest, found.digest) && one.terms === found.terms;
    return { grants: found.grants, holdsUnder: async (next) => next.#fixed.some(isSame) };
  }

  async #signedGrant(token: string): Promise<Granted | undefined> {
    const payload = await this.#verify?.(token);
    if (payload?.sub === undefined) return undefined;
    const grants = grantsOf({
      ...this.#audit(),
      ...{ subject: payload.sub, scopes: scopesOf(payload) },
      expiresAtMs: payload.exp === undefined ? undefined : payload.exp * 1_000,
    });
    return { grants, holdsUnder: async (next) => (await next.#verify?.(token)) !== undefined };
  }

  #certificateGrant(socket: Socket): Granted | undefined {
    const shown = certificateOf(socket, this.#authorities);
    const entry = shown === undefined ? undefined : entryFor(shown, this.#security.certificates ?? []);
    if (shown === undefined || entry === undefined) return undefined;
    const { name: subject, scopes } = entry;
    const grants = grantsOf({ ...this.#audit(), subject, scopes, expiresAtMs: shown.validUntilMs });
    const holdsUnder = async (next: Credentials) =>
      JSON.stringify(entryFor(shown, next.#security.certificates ?? [])) === JSON.stringify(entry) &&
      certificateOf(socket, next.#authorities) !== undefined;
    return { grants, holdsUnder };
  }

  #audit(): { readonly auditStream: string | undefined } {
    return { auditStream: this.#security.audit?.stream };
  }
}

async function readFixed(
  { name, scopes, valueFile, valueEnv }: TokenConfiguration,
  security: SecurityConfiguration,
  readSecret: ReadSecret,
): Promise<FixedToken> {
  const value = await readSecret({ file: valueFile, variable: valueEnv });
  if (value.length < TOKEN_CHARACTERS_MIN) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot use the token ${name} as it must have at least ${TOKEN_CHARACTERS_MIN} characters: current length is ${value.length}`,
    );
  }
  const grants = grantsOf({ subject: name, scopes, auditStream: security.audit?.stream });
  return { digest: digestOf(value), grants, terms: JSON.stringify([name, scopes]) };
}

/** Tokens are compared by their digests, so that the time taken reveals nothing, not even their length. */
const digestOf = (token: string): Buffer => createHash("sha256").update(token).digest();

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot read certificates as the file must be readable: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
