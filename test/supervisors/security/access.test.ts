import { SignJWT } from "jose";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { SecurityConfiguration } from "../../../supervisors/configuration_schema.ts";
import { createAccess } from "../../../supervisors/security/access.ts";

const SECRET = "a secret of at least thirty-two characters";
const readSecret = async ({ file, variable }: { file?: string; variable?: string }) =>
  (file ?? variable) === "JWT" ? SECRET : `value of ${file ?? variable}`;
const access = (security: Partial<SecurityConfiguration>, host = "127.0.0.1") =>
  createAccess({ tokens: [], origins: [], hosts: [], ...security }, host, readSecret);
const failure = async (attempt: () => Promise<unknown>) =>
  attempt().then(
    () => "no error",
    (error: Error) => error.message,
  );

test("without tokens only loopback may be listened on, and everybody there may do everything", async () => {
  assert.match(await failure(() => access({}, "0.0.0.0")), /Cannot listen on 0.0.0.0 .* none is configured/);
  const grants = await (await access({})).authenticate(undefined);
  assert.ok(grants?.mayProduce("any") && grants.mayConsume("any") && grants.mayAdministrate);
});

test("a fixed token allows what its scopes say, stream by stream, and no other token counts", async () => {
  const tokens = [{ name: "edge", valueEnv: "EDGE", scopes: ["produce:orders", "consume"] }];
  const { authenticate } = await access({ tokens }, "0.0.0.0");
  const grants = await authenticate("value of EDGE");
  assert.ok(grants?.mayProduce("orders"));
  assert.not(grants?.mayProduce("payments"));
  assert.ok(grants?.mayConsume("payments"));
  assert.not(grants?.mayAdministrate);
  assert.is(await authenticate("value of edge"), undefined);
  assert.is(await authenticate(undefined), undefined);
});

const sign = (claims: Record<string, unknown>, expires: string | undefined, secret = SECRET) => {
  const token = new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).setSubject("robot").setIssuer("us");
  if (expires !== undefined) token.setExpirationTime(expires);
  return token.sign(new TextEncoder().encode(secret));
};

test("a signed token is checked for signature, issuer and end, and must have an end", async () => {
  const { authenticate } = await access({ jwt: { secretEnv: "JWT", issuer: "us" } });
  const grants = await authenticate(await sign({ scope: "produce:orders admin" }, "1h"));
  assert.is(grants?.subject, "robot");
  assert.ok(grants?.mayAdministrate);
  assert.is(await authenticate(await sign({ scope: "admin" }, "-1h")), undefined);
  assert.is(await authenticate(await sign({ scope: "admin" }, undefined)), undefined);
  assert.is(
    await authenticate(await sign({ scope: "admin" }, "1h", "another secret of more than thirty-two")),
    undefined,
  );
  const none = `${btoa('{"alg":"none"}')}.${btoa('{"scope":"admin","iss":"us","exp":9999999999}')}.`;
  assert.is(await authenticate(none), undefined);
});

test("a short secret for signed tokens is refused", async () => {
  assert.match(
    await failure(() => access({ jwt: { secretEnv: "s" } })),
    /at least 32 characters: current length is 10/,
  );
});

test("a host name that is not ours is refused, so that no rebound DNS name reaches the node", async () => {
  const { admit } = await access({});
  const admitted = (host: string, origin?: string) => () =>
    admit({ headers: { host, ...(origin === undefined ? {} : { origin }) } });
  assert.not.throws(admitted("localhost:7070"));
  assert.not.throws(admitted("[::1]:7070"));
  assert.throws(admitted("evil.example:7070"), /Host must be one of/);
  assert.throws(admitted(""), /Host must be one of/);
});

test("a web origin other than the node's own must be listed", async () => {
  const { admit } = await access({ origins: ["https://shop.example"] });
  const admitted = (origin: string) => () => admit({ headers: { host: "localhost:7070", origin } });
  assert.not.throws(admitted("http://localhost:7070"));
  assert.not.throws(admitted("https://shop.example"));
  assert.throws(admitted("https://evil.example"), /Origin must be/);
  assert.throws(admitted("http://localhost:8080"), /Origin must be/);
  assert.throws(admitted("null"), /Origin must be/);
});

test.run();
