/** A connection ends with its grant: at a signed token's end, when a token is replaced, or with a certificate. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { get as httpsGet } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SignJWT } from "jose";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { NodeFrame } from "../../../protocols/wire/frames.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { startCommand } from "../../support/processes/headrace_command.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

const JWT_SECRET = "a secret of at least thirty-two characters";
const folder = await mkdtemp(join(tmpdir(), "headrace-grants-"));

test("a producer and a consumer end with UNAUTHENTICATED at their token's end", async () => {
  const node = await runningNode(
    "log: { type: memory }\nstreams: { s: { partitions: 1 } }\nsecurity: { jwt: { secretEnv: JWT } }",
    { secrets: { JWT: JWT_SECRET } },
  );
  const token = await new SignJWT({ scope: "produce consume" })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject("plant")
    .setExpirationTime("2s")
    .sign(new TextEncoder().encode(JWT_SECRET));
  const clients = await Promise.all([RawClient.open(node.endpoint), RawClient.open(node.endpoint)]);
  const [producer, consumer] = clients;
  const welcome = await producer?.ask({
    type: "hello",
    client: "raw",
    minor: 0,
    token,
    producerId: "p",
    instance: "i",
  });
  assert.is(welcome?.type, "welcome");
  await consumer?.ask({ type: "hello", client: "raw", minor: 0, token });
  for (const client of clients) {
    assert.is(((await client.next()) as { readonly code?: string }).code, "UNAUTHENTICATED");
    assert.is(await client.closed, 1008);
  }
  await node.end();
});

test("a token that was replaced ends its connections at the reload, and the new one connects", async () => {
  const secrets = { EDGE: "the first token of edge", KEPT: "the token that is kept" };
  const node = await runningNode(
    `log: { type: memory }
streams: { s: { partitions: 1 } }
security:
  tokens:
    - { name: edge, valueEnv: EDGE, scopes: [produce] }
    - { name: kept, valueEnv: KEPT, scopes: [produce] }`,
    { secrets },
  );
  const hello = (token: string) => ({ type: "hello", client: "raw", minor: 0, token }) as const;
  const [edge, kept] = [await RawClient.open(node.endpoint), await RawClient.open(node.endpoint)];
  await edge.ask(hello(secrets.EDGE));
  await kept.ask(hello(secrets.KEPT));
  const old = secrets.EDGE;
  secrets.EDGE = "short";
  assert.is((await node.reload("the test")).kind, "refused");
  assert.ok(node.logged.some((line) => /^error kept the tokens.*at least 16 characters/.test(line)));
  secrets.EDGE = "the second token of edge";
  assert.equal(await node.reload("the test"), { kind: "reloaded", why: "the test", grantsEnded: 1 });
  assert.is(((await edge.next()) as { readonly code?: string }).code, "UNAUTHENTICATED");
  const again = await RawClient.open(node.endpoint);
  const answers: (NodeFrame | undefined)[] = [await again.ask(hello(secrets.EDGE))];
  const refused = await RawClient.open(node.endpoint);
  answers.push(await refused.ask(hello(old)));
  assert.equal(
    answers.map((frame) => frame?.type),
    ["welcome", "error"],
  );
  kept.send({ type: "goodbye" });
  assert.is(await kept.closed, 1000);
  again.end();
  await node.end();
});

test("the running program reads a token's file again when it changes, and on SIGHUP", async () => {
  const file = join(folder, "edge.token");
  await writeFile(file, "the first token of edge\n", { mode: 0o600 });
  await writeFile(
    join(folder, "headrace.yaml"),
    `log: { type: memory }
streams: { s: { partitions: 1 } }
security: { tokens: [{ name: edge, valueFile: ${file}, scopes: [produce] }] }`,
  );
  const running = startCommand(["up", "--json", "--port", "0", "--data", join(folder, "data")], { folder });
  const { address } = JSON.parse(await running.line(/address/)) as { readonly address: string };
  const status = async (token: string) =>
    (await fetch(`${address}/v1/streams`, { headers: { authorization: `Bearer ${token}` } })).status;
  assert.is(await status("the first token of edge"), 200);
  await writeFile(file, "the second token of edge");
  await eventually(async () => ((await status("the second token of edge")) === 200 ? true : undefined));
  assert.is(await status("the first token of edge"), 401);
  await writeFile(file, "the third token of edge");
  running.child.kill("SIGHUP");
  await eventually(async () => ((await status("the third token of edge")) === 200 ? true : undefined));
  running.child.kill("SIGTERM");
  assert.is((await running.ended).code, 0);
});

const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });

/** A key, and a certificate of this name that the authority signed. */
async function certify(name: string, subject: string, authority: string | undefined, names = ""): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", `${name}.key`];
  if (authority === undefined) {
    openssl("req", "-x509", ...key, "-days", "2", "-out", `${name}.pem`, "-subj", subject);
    return;
  }
  openssl("req", ...key, "-out", `${name}.csr`, "-subj", subject);
  await writeFile(join(folder, `${name}.ext`), names === "" ? "" : `subjectAltName=${names}\n`);
  const signing = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-CAcreateserial", "-days", "2"];
  openssl("x509", "-req", "-in", `${name}.csr`, ...signing, "-out", `${name}.pem`, "-extfile", `${name}.ext`);
}

const pem = (name: string) => readFileSync(join(folder, name));

test("a client certificate of the configured authority is a principal with the scopes of its entry, and no other is", async () => {
  await certify("clients", "/CN=clients authority", undefined);
  await certify("others", "/CN=clients authority", undefined);
  await certify("server", "/CN=localhost", "clients", "DNS:localhost,IP:127.0.0.1");
  await certify("sensor", "/CN=sensor-1", "clients", "URI:spiffe://example/sensor-1");
  await certify("unlisted", "/CN=sensor-9", "clients");
  await certify("stranger", "/CN=sensor-1", "others", "URI:spiffe://example/sensor-1");
  const at = (name: string) => JSON.stringify(join(folder, name));
  const node = await runningNode(`log: { type: memory }
streams: { orders: { partitions: 1 }, payments: { partitions: 1 } }
security:
  tls: { certificateFile: ${at("server.pem")}, keyFile: ${at("server.key")}, clientCaFile: ${at("clients.pem")} }
  certificates:
    - { name: sensor, commonName: sensor-1, alternativeName: "URI:spiffe://example/sensor-1", scopes: ["consume:orders"] }`);
  const ask = (path: string, client?: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const shown = client === undefined ? {} : { cert: pem(`${client}.pem`), key: pem(`${client}.key`) };
      const url = `https://127.0.0.1:${node.port}${path}`;
      httpsGet(url, { ...shown, ca: pem("clients.pem"), agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      }).on("error", reject);
    });
  assert.is(await ask("/v1/streams/orders/partitions/0/records", "sensor"), 200);
  assert.is(await ask("/v1/streams/payments/partitions/0/records", "sensor"), 404);
  for (const client of ["unlisted", "stranger", undefined]) assert.is(await ask("/v1/streams", client), 401, client);
  await node.end();
});

test("a renewed certificate is shown to the next client, and a broken one leaves the old one in use", async () => {
  await certify("first", "/CN=localhost", undefined);
  await certify("second", "/CN=localhost", undefined);
  const [certificateFile, keyFile] = [join(folder, "now.pem"), join(folder, "now.key")];
  const put = async (name: string) => {
    await writeFile(certificateFile, await readFile(join(folder, `${name}.pem`)));
    await writeFile(keyFile, await readFile(join(folder, `${name}.key`)));
  };
  await put("first");
  const node = await runningNode(
    `log: { type: memory }\nstreams: { s: {} }\nsecurity: { tls: ${JSON.stringify({ certificateFile, keyFile })} }`,
  );
  const isTrusting = (name: string): Promise<boolean> =>
    new Promise((resolve) => {
      const url = `https://localhost:${node.port}/healthz`;
      httpsGet(url, { ca: pem(`${name}.pem`), agent: false, family: 4 }, (answer) => {
        answer.resume();
        resolve(true);
      }).on("error", () => resolve(false));
    });
  assert.equal([await isTrusting("first"), await isTrusting("second")], [true, false]);
  const metrics = await new Promise<string>((resolve, reject) => {
    let text = "";
    httpsGet(`https://localhost:${node.port}/metrics`, { ca: pem("first.pem"), agent: false, family: 4 }, (answer) => {
      answer.on("data", (chunk) => (text += chunk)).on("end", () => resolve(text));
    }).on("error", reject);
  });
  assert.match(metrics, /headrace_connections\{phase="asking"[^}]*\} 1/, "TLS connections are counted like any");
  await put("second");
  assert.is((await node.reload("the test")).kind, "reloaded");
  assert.equal([await isTrusting("first"), await isTrusting("second")], [false, true]);
  await writeFile(keyFile, await readFile(join(folder, "first.key")));
  assert.is((await node.reload("the test")).kind, "refused");
  assert.is(await isTrusting("second"), true);
  await node.end();
});

test.after(() => rm(folder, { recursive: true, force: true }));

test.run();
