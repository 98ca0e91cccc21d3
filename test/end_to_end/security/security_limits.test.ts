/** Connections without progress end at the stated limit, neither before it nor much after. */
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import WebSocket from "ws";
import { bodyMemory, readBody } from "../../../actors/ingest/http/http_body.ts";
import type { SessionInput, SessionPeer } from "../../../actors/ingest/session.ts";
import type { ActorReference } from "../../../actors/kernel/actor.ts";
import { createWebSocketListener, LISTENER_LIMITS } from "../../../actors/transport/websocket_listener.ts";
import { SUBPROTOCOL_JSON } from "../../../protocols/wire/frames.ts";
import { startHttpServer } from "../../../supervisors/http/http_server.ts";
import type { Access } from "../../../supervisors/security/access/access.ts";
import { ConnectionGate } from "../../../supervisors/security/admission/connection_gate.ts";
import { eventually } from "../../support/processes/running_node.ts";

const NO_ACCESS: Access = {
  authenticate: async () => undefined,
  hold: async () => undefined,
  admit: () => undefined,
  bound: () => undefined,
  reload: async () => 0,
};
const LIMITS = { headersWithinMs: 400, requestWithinMs: 900, keepAliveMs: 300, checkEveryMs: 50 } as const;
/** Time that a busy machine may add to a limit and to the interval of looks, in ms. */
const LATE_MS_MAX = 1_500;
const BYTE_EVERY_MS = 20;

const server = await startHttpServer({
  host: "127.0.0.1",
  port: 0,
  access: NO_ACCESS,
  gate: new ConnectionGate({ placesMax: 100, upgradesMax: 50, perAddressMax: 50, waitingPerAddressMax: 50 }),
  tls: undefined,
  routes: [
    {
      isOpen: true,
      mount: (scope) => {
        scope.removeAllContentTypeParsers();
        scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
        scope.post("/echo", async (request) => {
          const body = await readBody(request.raw, "identity", bodyMemory());
          return { bytes: body.bytes.byteLength };
        });
      },
    },
  ],
  upgrades: new Map(),
  limits: LIMITS,
});

/** Sends `text` at once and then `rest` byte by byte. Answers the time of the cut and the received text. */
async function dribble(text: string, rest: string): Promise<{ readonly afterMs: number; readonly said: string }> {
  const socket = connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  const startedAt = performance.now();
  let said = "";
  let sent = 0;
  socket.on("data", (chunk) => (said += String(chunk)));
  socket.on("error", () => undefined); // the test waits for the end
  socket.write(text);
  const dribbling = setInterval(() => {
    if (sent < rest.length) socket.write(rest[sent++] ?? "");
  }, BYTE_EVERY_MS);
  await once(socket, "close");
  clearInterval(dribbling);
  return { afterMs: performance.now() - startedAt, said };
}

function assertCut(what: string, { afterMs }: { readonly afterMs: number }, limitMs: number): void {
  assert.ok(afterMs >= limitMs - 20, `${what}: cut after ${afterMs} ms, before its limit of ${limitMs}`);
  assert.ok(afterMs < limitMs + LATE_MS_MAX, `${what}: cut after ${afterMs} ms, long after its limit of ${limitMs}`);
}

const post = (body: string) => fetch(`${server.address}/echo`, { method: "POST", body });

test("headers, an upgrade's too, and bodies that come a byte at a time, and a silent connection", async () => {
  const filler = "x".repeat(2_000);
  const [silent, headers, upgrade, body] = await Promise.all([
    dribble("", ""),
    dribble("POST /echo HTTP/1.1\r\nHost: a\r\n", `X-Filler: ${filler}`),
    dribble(
      "GET /v1/connect HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
      `X-Filler: ${filler}`,
    ),
    dribble("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n", filler),
    post("meanwhile").then(async (answer) => assert.equal(await answer.json(), { bytes: 9 })),
  ]);
  assertCut("a silent connection", silent, LIMITS.headersWithinMs);
  assertCut("headers", headers, LIMITS.headersWithinMs);
  assertCut("an upgrade", upgrade, LIMITS.headersWithinMs);
  assertCut("a body", body, LIMITS.requestWithinMs);
  for (const { said } of [headers, upgrade]) assert.match(said, /^HTTP\/1.1 408 /);
});

test("a connection that is kept and asks nothing more", async () => {
  const kept = await dribble("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", "");
  assert.match(kept.said, /^HTTP\/1.1 200 /);
  assertCut("a connection kept alive", kept, LIMITS.keepAliveMs);
  await server.close();
});

interface Timer {
  readonly delayMs: number;
  readonly callback: () => void;
}

/** A listener whose timers the test fires. */
async function listenerWithTimers() {
  const timers = new Set<Timer>();
  const peers: SessionPeer[] = [];
  let taken = 0;
  const session: ActorReference<SessionInput> = {
    path: "session",
    tell: () => undefined,
    send: async () => true,
    trySend: () => {
      taken += 1;
      return true;
    },
  };
  const listener = await createWebSocketListener({
    frameBytesMax: 1_000_000,
    openSession: async (peer) => {
      peers.push(peer);
      return session;
    },
    setTimer: (delayMs, callback) => {
      const timer = { delayMs, callback };
      timers.add(timer);
      return { cancel: () => timers.delete(timer) };
    },
  });
  const http = createServer();
  http.on("upgrade", (request, socket, head) => listener.upgrade(request, socket, head));
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as { port: number };
  /** Waits for a timer of this delay, and fires it. */
  const goOff = async (delayMs: number) => {
    const timer = await eventually(() => [...timers].find((one) => one.delayMs === delayMs));
    timers.delete(timer);
    timer.callback();
  };
  const open = async (options: object = {}) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, SUBPROTOCOL_JSON, options);
    await once(socket, "open");
    return socket;
  };
  /** Resolves once the client has answered a ping and the node has received the pong, so that later frames come after it. */
  const answered = async (socket: WebSocket) => {
    await once(socket, "ping");
    const before = taken;
    socket.send("after the pong");
    await eventually(() => (taken > before ? true : undefined));
  };
  const end = async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  };
  return { listener, timers, peers, goOff, open, answered, end };
}

test("a WebSocket that answers no ping ends at the second one; one that answers stays", async () => {
  const { listener, goOff, open, answered, end } = await listenerWithTimers();
  const lively = await open();
  for (let pings = 0; pings < 3; pings += 1) {
    const heard = answered(lively);
    await goOff(LISTENER_LIMITS.pingEveryMs);
    await heard;
  }
  lively.terminate();
  await eventually(() => (listener.connectionCount === 0 ? true : undefined));
  const deaf = await open({ autoPong: false });
  const cut = once(deaf, "close");
  await goOff(LISTENER_LIMITS.pingEveryMs);
  await once(deaf, "ping");
  assert.is(listener.connectionCount, 1);
  await goOff(LISTENER_LIMITS.pingEveryMs);
  await cut;
  await eventually(() => (listener.connectionCount === 0 ? true : undefined));
  await end();
});

test("a closed WebSocket leaves no timer, which would keep its memory until it fires", async () => {
  const { listener, timers, open, end } = await listenerWithTimers();
  const socket = await open();
  await eventually(() => (timers.size > 0 ? true : undefined));
  socket.terminate();
  await eventually(() => (listener.connectionCount === 0 ? true : undefined));
  assert.is(timers.size, 0);
  await end();
});

test("pings that come together are all answered, within the allowance", async () => {
  const { listener, open, end } = await listenerWithTimers();
  const socket = await open();
  let pongs = 0;
  socket.on("pong", () => (pongs += 1));
  (socket as unknown as { _socket: Socket })._socket.cork();
  for (let pings = 0; pings < 1_000; pings += 1) socket.ping();
  (socket as unknown as { _socket: Socket })._socket.uncork();
  await eventually(() => (pongs === 1_000 || listener.connectionCount === 0 ? true : undefined));
  assert.is(pongs, 1_000);
  socket.terminate();
  await end();
});

test("a WebSocket that never reads ends at its limit", async () => {
  const { listener, peers, goOff, open, end } = await listenerWithTimers();
  const socket = await open();
  const [peer] = await eventually(() => (peers.length > 0 ? peers : undefined));
  socket.pause();
  (socket as unknown as { _socket: Socket })._socket.pause();
  const message = "x".repeat(1_000_000);
  for (let sent = 0; sent < 2 * LISTENER_LIMITS.unsentBytesMax; sent += message.length) {
    peer?.send({ type: "error", code: "TIMEOUT", message });
  }
  assert.is(listener.connectionCount, 1);
  await goOff(LISTENER_LIMITS.unsentForMs);
  await eventually(() => (listener.connectionCount === 0 ? true : undefined));
  await end();
});

test.run();
