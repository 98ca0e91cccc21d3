import { SignJWT } from "jose";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { SecurityConfiguration } from "../../../../supervisors/configuration/configuration_schema.ts";
import type { ReadSecret } from "../../../../supervisors/configuration/environment.ts";
import { createAccess } from "../../../../supervisors/security/access/access.ts";

const SECRET = "a secret of at least thirty-two characters";
const readSecret: ReadSecret = async ({ file, variable }) =>
  (file ?? variable) === "JWT" ? SECRET : `the value of ${file ?? variable}`;
const access = (security: Partial<SecurityConfiguration>, host = "127.0.0.1") =>
  createAccess({ tokens: [], origins: [], hosts: [], ...security }, host, readSecret);
const failure = async (attempt: () => Promise<unknown>) =>
  attempt().then(
    () => "no error",
    (error: Error) => error.message,
  );

test("without tokens a node may listen on loopback only, and everybody there may do everything", async () => {
  assert.match(await failure(() => access({}, "0.0.0.0")), /Cannot listen on 0.0.0.0 .* none is configured/);
  const grants = await (await access({})).authenticate(undefined);
  assert.ok(grants?.mayProduce("any") && grants.mayConsume("any") && grants.mayAdministrate);
});

test("a fixed token allows its scopes, stream by stream, and no other token is valid", async () => {
  const tokens = [{ name: "edge", valueEnv: "EDGE", scopes: ["produce:orders", "consume"] }];
  const { authenticate } = await access({ tokens }, "0.0.0.0");
  const grants = await authenticate("the value of EDGE");
  assert.ok(grants?.mayProduce("orders"));
  assert.not(grants?.mayProduce("payments"));
  assert.ok(grants?.mayConsume("payments"));
  assert.not(grants?.mayAdministrate);
  assert.is(await authenticate("the value of edge"), undefined);
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
    /at least 32 characters: current length is 14/,
  );
});

test("a token that can be guessed is refused", async () => {
  const tokens = [{ name: "edge", valueEnv: "E", scopes: ["produce"] }];
  const attempt = createAccess({ tokens, origins: [], hosts: [] }, "127.0.0.1", async () => "fifteen letters");
  assert.match(await failure(() => attempt), /token edge .* at least 16 characters: current length is 15/);
});

test("a port without tokens that was bound beyond loopback is refused, whatever its name said", async () => {
  const open = await access({}, "localhost");
  assert.not.throws(() => open.bound("127.0.0.1"));
  assert.not.throws(() => open.bound("::1"));
  assert.throws(() => open.bound("10.0.0.1"), /Cannot listen on localhost, which is 10.0.0.1,/);
});

test("a name that only begins like loopback may not be listened on without tokens", async () => {
  for (const host of ["127.evil.example", "0.0.0.0", "::", "localhost.evil.example"])
    assert.match(await failure(() => access({}, host)), /none is configured/, host);
});

test("scopes to observe show streams but none of their records", async () => {
  const tokens = [
    { name: "all", valueEnv: "ALL_OF_THEM", scopes: ["observe"] },
    { name: "one", valueEnv: "ONE_OF_THEM", scopes: ["observe:orders", "produce:payments"] },
  ];
  const { authenticate } = await access({ tokens, audit: { stream: "audit" } }, "0.0.0.0");
  const all = await authenticate("the value of ALL_OF_THEM");
  assert.ok(all?.mayObserveAll && all.mayObserve("orders"));
  assert.not(all.mayConsume("orders") || all.mayProduce("orders") || all.mayObserve("audit"));
  const one = await authenticate("the value of ONE_OF_THEM");
  assert.ok(one?.mayObserve("orders") && one?.mayObserve("payments"));
  assert.not(one?.mayObserve("other") || one?.mayObserveAll || one?.mayConsume("orders"));
});

test("only administrators may read the audit stream, and nobody may produce to it", async () => {
  const tokens = [
    { name: "admin", valueEnv: "ADMIN_TOKEN", scopes: ["admin"] },
    { name: "reader", valueEnv: "READER_TOKEN", scopes: ["consume", "produce", "consume:audit", "observe:audit"] },
  ];
  const { authenticate } = await access({ tokens, audit: { stream: "audit" } }, "0.0.0.0");
  const admin = await authenticate("the value of ADMIN_TOKEN");
  assert.ok(admin?.mayConsume("audit") && admin.mayObserve("audit") && !admin.mayProduce("audit"));
  const reader = await authenticate("the value of READER_TOKEN");
  assert.not(reader?.mayConsume("audit") || reader?.mayObserve("audit") || reader?.mayProduce("audit"));
});

/** Access whose secrets, clock and timers the test sets. */
async function heldAccess(security: Partial<SecurityConfiguration>, values: Record<string, string>) {
  const timers: { dueAtMs: number; callback: () => void }[] = [];
  const clock = { nowMs: Date.now() };
  const given: SecurityConfiguration = { tokens: [], origins: [], hosts: [], ...security };
  const made = await createAccess(given, "127.0.0.1", async ({ variable = "" }) => values[variable] ?? "", {
    nowMs: () => clock.nowMs,
    setTimer(delayMs, callback) {
      const timer = { dueAtMs: clock.nowMs + delayMs, callback };
      timers.push(timer);
      return { cancel: () => void timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0) };
    },
  });
  const advance = (byMs: number) => {
    const endMs = clock.nowMs + byMs;
    for (;;) {
      const next = timers.filter(({ dueAtMs }) => dueAtMs <= endMs).sort((a, b) => a.dueAtMs - b.dueAtMs)[0];
      if (next === undefined) break;
      clock.nowMs = next.dueAtMs;
      timers.splice(timers.indexOf(next), 1);
      next.callback();
    }
    clock.nowMs = endMs;
  };
  return { made, given, advance, timers };
}

test("the grants of a signed token end exactly with the token, also months later", async () => {
  const { made, advance, timers } = await heldAccess({ jwt: { secretEnv: "JWT" } }, { JWT: SECRET });
  const ended: string[] = [];
  await made.hold(await sign({ scope: "admin" }, "1h"), undefined, () => ended.push("hour"));
  await made.hold(await sign({ scope: "admin" }, "60d"), undefined, () => ended.push("months"));
  const gone = await made.hold(await sign({ scope: "admin" }, "1h"), undefined, () => ended.push("gone"));
  gone?.stop();
  advance(3_590_000);
  assert.equal(ended, []);
  advance(20_000);
  assert.equal(ended, ["hour"]);
  advance(59 * 86_400_000);
  assert.equal(ended, ["hour"]);
  advance(2 * 86_400_000);
  assert.equal(ended, ["hour", "months"]);
  assert.is(timers.length, 0);
});

test("a reload ends the grants of changed tokens, changed scopes and removed tokens, and keeps the others", async () => {
  const values: Record<string, string> = {
    A: "the token of a, first",
    B: "the token of b, kept",
    C: "the token of c, kept",
  };
  const tokens = ["A", "B", "C", "D"].map((name) => ({ name, valueEnv: name, scopes: ["produce"] }));
  values.D = "the token of d, taken";
  const { made, given } = await heldAccess({ tokens }, values);
  const ended: string[] = [];
  for (const { name } of tokens) await made.hold(values[name], undefined, () => ended.push(name));
  const first = values.A;
  values.A = "the token of a, second";
  const next = tokens.slice(0, 3).map((token) => (token.name === "C" ? { ...token, scopes: ["consume"] } : token));
  assert.is(await made.reload({ ...given, tokens: next }), 3);
  assert.equal(ended.sort(), ["A", "C", "D"]);
  assert.is(await made.authenticate(first), undefined);
  assert.is((await made.authenticate(values.A))?.subject, "A");
  assert.ok((await made.authenticate(values.C))?.mayConsume("any"));
});

test("unusable credentials leave the old ones in force, and a reload lets nobody else in", async () => {
  const values = { A: "the token of a, first" };
  const tokens = [{ name: "a", valueEnv: "A", scopes: ["produce"] }];
  const { made, given } = await heldAccess({ tokens }, values);
  const old = values.A;
  values.A = "short";
  assert.match(await failure(() => made.reload()), /at least 16 characters/);
  assert.match(await failure(() => made.reload({ ...given, tokens: [] })), /Cannot take all tokens away/);
  assert.is((await made.authenticate(old))?.subject, "a");
});

test("the grants of a signed token end at the reload that removes its key", async () => {
  const values = { JWT: SECRET };
  const { made } = await heldAccess({ jwt: { secretEnv: "JWT" } }, values);
  let ended = 0;
  await made.hold(await sign({ scope: "admin" }, "1h"), undefined, () => (ended += 1));
  assert.is(await made.reload(), 0);
  values.JWT = "another secret of more than thirty-two";
  assert.is(await made.reload(), 1);
  assert.is(ended, 1);
});

test.run();
