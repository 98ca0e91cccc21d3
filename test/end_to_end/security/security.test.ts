import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { get as httpsGet } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { connectWebSocket, Producer, SUBPROTOCOL_JSON } from "../../../protocols/mod.ts";
import { runningNode } from "../../support/processes/running_node.ts";

const SECRETS = { EDGE: "edge-token-of-the-test", READER: "reader-token-of-the-test" };
const GUARDED = `
log: { type: memory }
streams: { orders: { partitions: 1 }, payments: { partitions: 1 } }
security:
  tokens:
    - { name: edge, valueEnv: EDGE, scopes: ["produce:orders"] }
    - { name: reader, valueEnv: READER, scopes: [consume] }
  hosts: [headrace.example]
`;

const refusal = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => "no error",
    (error: { code?: string; message: string }) => `${error.code} ${error.message}`,
  );

test("a producer connects with its token, and reaches only the streams of its scopes", async () => {
  const node = await runningNode(GUARDED, { secrets: SECRETS });
  const edge = node.producer({ producerId: "edge", token: SECRETS.EDGE });
  assert.is((await edge.sendAndConfirm({ n: 1 }, { stream: "orders" })).kind, "stored");
  assert.match(
    await refusal(edge.sendAndConfirm({ n: 1 }, { stream: "payments" }).then(refuseUnlessStored)),
    /UNKNOWN_STREAM/, // the token may not even see the stream
  );
  await edge.close({ timeoutMs: 100 });
  for (const token of [undefined, "another token"]) {
    const producer = node.producer({ producerId: "p", ...(token === undefined ? {} : { token }) });
    assert.match(await refusal(producer.sendAndConfirm({ n: 1 }, { stream: "orders" })), /UNAUTHENTICATED/);
    await producer.close({ timeoutMs: 100 });
  }
  await node.end();
});

function refuseUnlessStored(confirmation: {
  readonly kind: string;
  readonly code?: string;
  readonly reason?: string;
}): void {
  if (confirmation.kind !== "stored") throw Object.assign(new Error(confirmation.reason), { code: confirmation.code });
}

test("HTTP needs a token everywhere except for health, and no answer or log holds it", async () => {
  const node = await runningNode(GUARDED, { secrets: SECRETS });
  const status = async (path: string, token?: string) =>
    (
      await fetch(
        `${node.address}${path}`,
        token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } },
      )
    ).status;
  assert.is(await status("/healthz"), 200);
  assert.is(await status("/readyz"), 200);
  for (const path of ["/metrics", "/v1/streams", "/v1/cluster", "/v1/sinks", "/v1/actors"])
    assert.is(await status(path), 401, path);
  assert.is(await status("/v1/streams", SECRETS.READER), 200);
  assert.is(await status("/v1/streams/orders", SECRETS.EDGE), 200);
  assert.is(await status("/v1/streams/orders/partitions/0/records", SECRETS.EDGE), 403);
  assert.is(await status("/v1/streams/payments", SECRETS.EDGE), 404);
  const logged = node.logged.join("\n");
  for (const secret of Object.values(SECRETS)) assert.not.match(logged, secret);
  await node.end();
});

test("a request with a foreign Host or Origin is refused, by HTTP and by the upgrade", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: { orders: {} }\n");
  const opened = (headers: Record<string, string>) =>
    new Promise<number | "open">((resolve) => {
      const socket = new WebSocket(node.endpoint, SUBPROTOCOL_JSON, { headers });
      socket.on("open", () => {
        socket.close();
        resolve("open");
      });
      socket.on("unexpected-response", (_request, response) => resolve(response.statusCode ?? 0));
      socket.on("error", () => undefined);
    });
  assert.is(await opened({}), "open");
  assert.is(await opened({ Origin: node.address }), "open");
  assert.is(await opened({ Origin: "https://evil.example" }), 403);
  assert.is(await opened({ Host: "rebound.example" }), 403);
  const response = await fetch(`${node.address}/v1/streams`, { headers: { origin: "https://evil.example" } });
  assert.is(response.status, 403);
  assert.is(((await response.json()) as { code: string }).code, "ORIGIN_REFUSED");
  await node.end();
});

test("with a certificate the port speaks https and wss", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-tls-"));
  const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
  execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "1",
      "-subj",
      "/CN=localhost",
      "-keyout",
      key,
      "-out",
      certificate,
    ],
    { stdio: "ignore" },
  );
  const node = await runningNode(
    `log: { type: memory }\nstreams: { orders: {} }\nsecurity: { tls: { certificateFile: ${certificate}, keyFile: ${key} } }\n`,
  );
  const answer = (headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) =>
      httpsGet(`${node.address}/healthz`, { rejectUnauthorized: false, headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on("error", reject),
    );
  assert.is(await answer({}), 200);
  assert.is(await answer({ connection: "Upgrade, HTTP2-Settings", upgrade: "h2c", "http2-settings": "AAEAAEAA" }), 200);
  class Trusting extends WebSocket {
    constructor(url: string, protocols: string) {
      super(url, protocols, { rejectUnauthorized: false });
    }
  }
  const producer = new Producer({
    connect: connectWebSocket({ subprotocol: SUBPROTOCOL_JSON, webSocket: Trusting as never }),
    addresses: [node.endpoint.replace("ws:", "wss:")],
    producerId: "p",
    stream: "orders",
  });
  assert.is((await producer.sendAndConfirm({ n: 1 })).kind, "stored");
  await producer.close();
  await node.end();
  await rm(folder, { recursive: true });
});

test.run();
