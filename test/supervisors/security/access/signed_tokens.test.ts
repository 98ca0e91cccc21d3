import { once } from "node:events";
import { createServer } from "node:http";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  JWKS_LIMITS,
  jwksAddress,
  scopesOf,
  signedTokens,
} from "../../../../supervisors/security/access/signed_tokens.ts";

const noSecret = async () => "";
const failure = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    (value) => `no error: ${JSON.stringify(value)}`,
    (error: { code?: string; message: string }) => `${error.code} ${error.message}`,
  );

/** An address that answers with a set of keys, and counts how often it was asked. */
async function keysServed() {
  const state = { body: '{"keys":[]}', status: 200, asked: 0 };
  const server = createServer((_request, response) => {
    state.asked += 1;
    response.writeHead(state.status, { "content-type": "application/json", location: "http://127.0.0.1:1/" });
    response.end(state.body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return { state, jwksUrl: `http://127.0.0.1:${port}/keys`, close: () => server.close() };
}

async function keyOf(kid: string) {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: "ES256" };
  const sign = (claims: Record<string, unknown> = { scope: "produce" }, header: { kid?: string } = { kid }) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: "ES256", ...header })
      .setSubject(kid)
      .setExpirationTime("1h")
      .sign(privateKey);
  return { jwk, sign };
}

test("a token is valid by a key of the set, and by a new key after the set is read again for an unknown name", async () => {
  const served = await keysServed();
  const [old, next] = [await keyOf("old"), await keyOf("next")];
  served.state.body = JSON.stringify({ keys: [old.jwk] });
  const verify = await signedTokens({ jwksUrl: served.jwksUrl }, noSecret);
  assert.is((await verify(await old.sign()))?.sub, "old");
  served.state.body = JSON.stringify({ keys: [next.jwk] });
  for (let n = 0; n < 20; n += 1) assert.is(await verify(await next.sign()), undefined);
  assert.is(served.state.asked, 1, "within the limit of reads, unknown names lead to none");
  const later = await signedTokens({ jwksUrl: served.jwksUrl }, noSecret);
  assert.is((await later(await next.sign()))?.sub, "next");
  assert.is(await later(await old.sign()), undefined);
  served.close();
});

test("a shared secret in a set of keys signs nothing, and a public key is no secret", async () => {
  const served = await keysServed();
  const secret = "k".repeat(43);
  served.state.body = JSON.stringify({ keys: [{ kty: "oct", k: secret, kid: "shared", alg: "HS256" }] });
  const verify = await signedTokens({ jwksUrl: served.jwksUrl }, noSecret);
  const forged = await new SignJWT({ scope: "admin" })
    .setProtectedHeader({ alg: "HS256", kid: "shared" })
    .setExpirationTime("1h")
    .sign(Buffer.from(secret, "base64url"));
  assert.is(await verify(forged), undefined);
  served.close();
});

test("while the keys' address fails tokens are unavailable and not invalid, and the address is not asked for each token", async () => {
  const served = await keysServed();
  const key = await keyOf("one");
  served.state.status = 302;
  const verify = await signedTokens({ jwksUrl: served.jwksUrl }, noSecret);
  for (let n = 0; n < 5; n += 1)
    assert.match(await failure(verify(await key.sign())), /^NOT_READY Cannot verify a token/);
  assert.is(served.state.asked, 1);
  served.close();
});

test("a too large answer, too many keys and invalid JSON are refused", async () => {
  const served = await keysServed();
  const key = await keyOf("one");
  const bodies = [
    `{"keys":[],"more":"${"x".repeat(JWKS_LIMITS.answerBytesMax)}"}`,
    JSON.stringify({ keys: Array.from({ length: JWKS_LIMITS.keysMax + 1 }, () => key.jwk) }),
    "<html>",
    "null",
  ];
  for (const body of bodies) {
    served.state.body = body;
    const verify = await signedTokens({ jwksUrl: served.jwksUrl }, noSecret);
    assert.match(await failure(verify(await key.sign())), /^NOT_READY .* must answer with keys/, body.slice(0, 40));
  }
  served.close();
});

test("a token without a key's name is valid by any key that has signed it", async () => {
  const served = await keysServed();
  const [one, other, foreign] = [await keyOf("one"), await keyOf("other"), await keyOf("foreign")];
  served.state.body = JSON.stringify({ keys: [one.jwk, other.jwk] });
  const verify = await signedTokens({ jwksUrl: served.jwksUrl }, noSecret);
  assert.is((await verify(await other.sign(undefined, {})))?.sub, "other");
  assert.is(await verify(await foreign.sign(undefined, {})), undefined);
  served.close();
});

test("clocks may differ at a token's beginning but not at its end; a token without a subject is invalid", async () => {
  const SECRET = "s".repeat(40);
  const verify = await signedTokens({ secretEnv: "S" }, async () => SECRET);
  const nowS = Math.floor(Date.now() / 1_000);
  const sign = (claims: Record<string, unknown>) =>
    new SignJWT({ sub: "plant", exp: nowS + 600, ...claims })
      .setProtectedHeader({ alg: "HS256" })
      .sign(Buffer.from(SECRET));
  const counts = async (claims: Record<string, unknown>) => (await verify(await sign(claims))) !== undefined;
  assert.ok(await counts({ nbf: nowS + 30 }));
  assert.not(await counts({ nbf: nowS + 3_600 }));
  assert.not(await counts({ exp: nowS - 2 }));
  assert.not(await counts({ sub: undefined }));
  assert.not(await counts({ sub: "" }));
});

test("scopes are read as text and as a list, under both usual names", () => {
  for (const claims of [{ scope: "a b" }, { scp: "a b" }, { scope: ["a", "b"] }, { scp: ["a", "b"] }])
    assert.equal(scopesOf(claims), ["a", "b"]);
  assert.equal(scopesOf({ scope: "a", scp: ["b"] }), ["a"]);
  for (const claims of [{}, { scope: 1 }, { scope: {} }]) assert.equal(scopesOf(claims), []);
});

test("keys are read by https, or from this machine", () => {
  for (const url of ["https://id.example/keys", "http://127.0.0.1:9/keys", "http://localhost/keys"]) jwksAddress(url);
  for (const url of ["http://id.example/keys", "http://127.evil.example/keys", "ftp://id.example", "keys", ""])
    assert.throws(() => jwksAddress(url), /must begin with https/, url);
});

test.run();
