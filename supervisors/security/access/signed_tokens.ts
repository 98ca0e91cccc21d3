/**
 * Verifies signed tokens (JWT, RFC 7519) by a shared secret, a public key, or a set of keys at an address (JWKS, RFC
 * 7517) that is read again as keys change. A set's keys verify public-key signatures alone: a token that names HS256 is
 * refused.
 */
import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { JWTPayload, JWTVerifyOptions } from "jose";
import { isLoopbackHost } from "../../../actors/transport/network_address.ts";
import { loadDriver } from "../../../deps.ts";
import { ConfigurationError, reasonOf, UnavailableError } from "../../../protocols/errors.ts";
import type { SecurityConfiguration } from "../../configuration/configuration_schema.ts";
import type { ReadSecret } from "../../configuration/environment.ts";

type JwtConfiguration = NonNullable<SecurityConfiguration["jwt"]>;

/** Undefined for an invalid token. Throws `UnavailableError` if its key cannot be read now. */
export type VerifyToken = (token: string) => Promise<JWTPayload | undefined>;

export const JWKS_LIMITS = {
  /** Deadline of one answer of the keys' address. */
  answerWithinMs: 5_000,
  answerBytesMax: 262_144,
  /** Least time between two reads that unknown key names (`kid`) cause. */
  readEveryMs: 30_000,
  /** Time from a failed read to the next one. */
  triedAgainAfterMs: 2_000,
  /** Greatest age of the keys. A withdrawn key is valid no longer than this. */
  keysAgeMaxMs: 600_000,
  keysMax: 100,
} as const;

const SECRET_CHARACTERS_MIN = 32;
/** How far ahead of our clock a token's beginning may lie, in seconds, as clocks differ. Its end is exact. */
const CLOCKS_DIFFER_S_MAX = 60;
const PUBLIC_KEY_ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA"],
];

/** Throws `ConfigurationError` for a key that cannot be used. */
export async function signedTokens(jwt: JwtConfiguration, readSecret: ReadSecret): Promise<VerifyToken> {
  const jose = await loadDriver("jose");
  const { verify, algorithms } = await verifierOf(jwt, readSecret);
  const options: JWTVerifyOptions = {
    ...(jwt.issuer === undefined ? {} : { issuer: jwt.issuer }),
    ...(jwt.audience === undefined ? {} : { audience: jwt.audience }),
    // A token without an end would be valid for ever. One without a subject would make chains that anybody owns (E27).
    requiredClaims: ["exp", "sub"],
    clockTolerance: CLOCKS_DIFFER_S_MAX,
    algorithms: [...algorithms],
  };
  return async (token) => {
    try {
      const payload = await verify(token, options);
      return payload.sub === "" || (payload.exp ?? 0) * 1_000 <= Date.now() ? undefined : payload;
    } catch (error) {
      if (error instanceof jose.errors.JWKSTimeout) throw keysAway(jwt, error);
      if (error instanceof jose.errors.JOSEError) return undefined;
      if (error instanceof KeysAway || error instanceof TypeError) throw keysAway(jwt, error);
      throw error;
    }
  };
}

interface Verifier {
  readonly verify: (token: string, options: JWTVerifyOptions) => Promise<JWTPayload>;
  readonly algorithms: readonly string[];
}

async function verifierOf(jwt: JwtConfiguration, readSecret: ReadSecret): Promise<Verifier> {
  const jose = await loadDriver("jose");
  const verifyBy =
    (key: KeyObject): Verifier["verify"] =>
    async (token, options) =>
      (await jose.jwtVerify(token, key, options)).payload;
  if (jwt.jwksUrl !== undefined) {
    const keys = jose.createRemoteJWKSet(jwksAddress(jwt.jwksUrl), {
      timeoutDuration: JWKS_LIMITS.answerWithinMs,
      cooldownDuration: JWKS_LIMITS.readEveryMs,
      cacheMaxAge: JWKS_LIMITS.keysAgeMaxMs,
      [jose.customFetch]: readKeys(),
    });
    const verify: Verifier["verify"] = async (token, options) => {
      try {
        return (await jose.jwtVerify(token, keys, options)).payload;
      } catch (error) {
        if (!(error instanceof jose.errors.JWKSMultipleMatchingKeys)) throw error;
        return await verifyByAny(error, (key) => jose.jwtVerify(token, key, options));
      }
    };
    return { verify, algorithms: PUBLIC_KEY_ALGORITHMS };
  }
  if (jwt.publicKeyFile !== undefined) {
    const key = publicKey(await readFile(jwt.publicKeyFile, "utf8"), jwt.publicKeyFile);
    return { verify: verifyBy(key), algorithms: PUBLIC_KEY_ALGORITHMS };
  }
  const secret = await readSecret({ file: jwt.secretFile, variable: jwt.secretEnv });
  if (secret.length < SECRET_CHARACTERS_MIN) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot verify tokens as the secret must have at least ${SECRET_CHARACTERS_MIN} characters: current length is ${secret.length}`,
    );
  }
  return { verify: verifyBy(createSecretKey(Buffer.from(secret))), algorithms: ["HS256"] };
}

/** Verifies a token that names no key (`kid`) by any key of its kind (RFC 7515, appendix D). */
async function verifyByAny<Key>(
  keys: AsyncIterable<Key>,
  verify: (key: Key) => Promise<{ readonly payload: JWTPayload }>,
): Promise<JWTPayload> {
  const { errors } = await loadDriver("jose");
  for await (const key of keys) {
    try {
      return (await verify(key)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

/** The scopes of a token: `scope` (RFC 9068) or `scp`, as text with spaces or as a list. */
export function scopesOf({ scope, scp }: JWTPayload): readonly string[] {
  const given = scope ?? scp;
  if (typeof given === "string") return given.split(" ");
  return Array.isArray(given) ? given.filter((one) => typeof one === "string") : [];
}

function publicKey(pem: string, file: string): KeyObject {
  try {
    return createPublicKey(pem);
  } catch (error) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot verify tokens as ${file} must hold a public key in PEM: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Throws `ConfigurationError` for an address without TLS beyond this machine, whose answers could be forged. */
export function jwksAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && isLoopbackHost(url.hostname))) return url;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot read keys as security.jwt.jwksUrl must begin with https://, or lead to loopback: current value begins with ${url?.origin ?? "no scheme"}`,
  );
}

/** Thrown if the keys' address did not answer with a set of keys. */
class KeysAway extends Error {}

/** Asks the address at most once in `triedAgainAfterMs` after a failure, however many tokens come. */
function readKeys(): (url: string, options: RequestInit) => Promise<Response> {
  let failure: { readonly atMs: number; readonly error: unknown } | undefined;
  return async (url, options) => {
    if (failure !== undefined && performance.now() - failure.atMs < JWKS_LIMITS.triedAgainAfterMs) throw failure.error;
    try {
      const answer = await fetchKeys(url, options);
      failure = undefined;
      return answer;
    } catch (error) {
      failure = { atMs: performance.now(), error };
      throw error;
    }
  };
}

/** Reads an answer of bounded size, so that the address cannot fill memory. */
async function fetchKeys(url: string, options: RequestInit): Promise<Response> {
  const answer = await fetch(url, { ...options, redirect: "error" });
  if (answer.status !== 200) throw new KeysAway(`the status must be 200: current value is ${answer.status}`);
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > JWKS_LIMITS.answerBytesMax)
      throw new KeysAway(`the answer must have at most ${JWKS_LIMITS.answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  refuseManyKeys(text);
  return new Response(text, { status: 200 });
}

function refuseManyKeys(text: string): void {
  let keys: unknown;
  try {
    keys = (JSON.parse(text) as { readonly keys?: unknown } | null)?.keys;
  } catch (error) {
    throw new KeysAway("the answer must be JSON", { cause: error });
  }
  if (Array.isArray(keys) && keys.length <= JWKS_LIMITS.keysMax) return;
  throw new KeysAway(`the answer must be a set of at most ${JWKS_LIMITS.keysMax} keys`);
}

function keysAway(jwt: JwtConfiguration, error: unknown): UnavailableError {
  const origin = jwt.jwksUrl === undefined ? "the configured address" : jwksAddress(jwt.jwksUrl).origin;
  const reason = reasonOf(error);
  return new UnavailableError("NOT_READY", `Cannot verify a token as ${origin} must answer with keys: ${reason}`, {
    cause: error,
  });
}
