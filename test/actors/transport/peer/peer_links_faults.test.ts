import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { pack } from "msgpackr";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PEER_LIMITS, PEER_MINOR } from "../../../../actors/transport/peer/peer_frames.ts";
import { createPeerLinks } from "../../../../actors/transport/peer/peer_links.ts";
import { ConfigurationError } from "../../../../protocols/errors.ts";
import { nodeId } from "../../../../protocols/position.ts";
import { linkRawPeer, openRawPeer } from "../../../support/clients/raw_peer.ts";
import { fakeWorld } from "../../../support/fakes/fake_world.ts";
import { linkUp, type PeerNode, SECRET, startPeerNode, untilSo } from "../../../support/fakes/peer_node.ts";

const [A, B, RAW] = [nodeId("a"), nodeId("b"), nodeId("raw")];
const TIMES = { heartbeatEveryMs: 500, silentAfterMs: 2_000 };

const closeAll = (...nodes: readonly PeerNode[]) => Promise.all(nodes.map((node) => node.close()));

/** A node whose clock moves only when told. */
async function nodeByClock(name: string, over: Parameters<typeof startPeerNode>[1] = {}) {
  const world = fakeWorld();
  const node = await startPeerNode(name, { times: TIMES, setTimer: world.setTimer, random: world.random, ...over });
  return { node, world };
}

test("a node whose process is gone is told closed, and refused at the first redial", async () => {
  const a = await startPeerNode("a");
  const b = await startPeerNode("b");
  await linkUp(a, b);
  b.kill();
  await untilSo(() => a.events.filter((event) => event === "refused b#1").length >= 3, "each attempt is told");
  assert.equal(a.events.slice(0, 4), ["up b#1", "closed b#1", "refused b#1", "refused b#1"]);
  await closeAll(a, b);
});

test("transport T5: a node started again at its address is another life, told up after the former one is closed", async () => {
  const a = await startPeerNode("a");
  const first = await startPeerNode("b");
  await linkUp(a, first);
  const port = Number(new URL(first.peer.address).port);
  await first.close();
  const second = await startPeerNode("b", { incarnation: 2, port });
  await linkUp(a, second);
  const told = a.events.filter((event) => !event.startsWith("refused"));
  assert.equal(told, ["up b#1", "closed b#1", "up b#2"]);
  await closeAll(a, second);
});

test("transport T5: a later life replaces a former one that still runs, which is refused from then on", async () => {
  const [a, zombie, later] = [
    await startPeerNode("a"),
    await startPeerNode("b"),
    await startPeerNode("b", { incarnation: 2 }),
  ];
  await linkUp(a, zombie);
  later.links.keep([a.peer]); // it dials: nobody has told `a` of it
  await untilSo(() => a.events.includes("up b#2"), "the later life is linked");
  assert.equal(a.events, ["up b#1", "closed b#1", "up b#2"]);
  await untilSo(() => zombie.problems.includes("STALE_EPOCH"), "the former one is refused");
  assert.equal(a.events, ["up b#1", "closed b#1", "up b#2"]);
  await closeAll(a, zombie, later);
});

test("a peer that sends no heartbeat over an open connection is told silent", async () => {
  const { node: a, world } = await nodeByClock("a");
  const { node: b } = await nodeByClock("b");
  await linkUp(a, b);
  world.advance(500); // the link itself was heard
  for (let looks = 0; looks < 3; looks += 1) world.advance(500);
  assert.equal(a.events, ["up b#1"]);
  world.advance(500);
  assert.equal(a.events, ["up b#1", "closed b#1", "silent b#1"]);
  await untilSo(() => a.links.isUp(B), "it is dialled again, as it is there");
  assert.equal(a.events.at(-1), "up b#1");
  await closeAll(a, b);
});

test("a server that accepts connections and sends nothing is told silent", async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/peer`;
  const { node: a, world } = await nodeByClock("a");
  a.links.keep([{ node: B, incarnation: 4, address }]);
  await untilSo(() => sockets.length === 1, "it is dialled");
  for (let looks = 0; looks < 4; looks += 1) world.advance(500);
  assert.equal(a.events, []);
  world.advance(500);
  assert.equal(a.events, ["silent b#4"]);
  await untilSo(() => sockets.length === 2, "it is tried again");
  world.advance(20_000);
  assert.equal(a.events, ["silent b#4"]);
  await a.close();
  for (const socket of sockets) socket.destroy();
  server.close();
});

test("E24: silence is counted in looks and not in hours, so nodes that slept hold no peer for silent", async () => {
  const [{ node: a, world }, { node: b, world: worldOfB }] = [await nodeByClock("a"), await nodeByClock("b")];
  await linkUp(a, b);
  for (let wakes = 0; wakes < 8; wakes += 1) {
    // However long the sleep was, its timers come due once.
    world.advance(500);
    worldOfB.advance(500);
    const heard: string[] = [];
    for (const [node, other] of [
      [a, b],
      [b, a],
    ] as const) {
      node.actor(`pulse-${wakes}`, () => void heard.push(node.peer.node));
      other.links.reference(node.peer.node, `pulse-${wakes}`).tell({}); // behind the heartbeat
    }
    await untilSo(() => heard.length === 2, "the heartbeats arrive");
  }
  assert.equal([a.events, b.events], [["up b#1"], ["up a#1"]]);
  await closeAll(a, b);
});

test("with a peer that reads nothing data waits, unsent control is bounded, and the link ends", async () => {
  const { node: a, world } = await nodeByClock("a");
  const raw = await linkRawPeer(a.peer.address, "a");
  await raw.frame("ready");
  raw.socket.pause();
  const reader = a.links.reference<Uint8Array>(RAW, "reader");
  const others = Array.from({ length: 64 }, (_, n) => a.links.reference<Uint8Array>(RAW, `reader-${n}`));
  let taken = 0;
  const bytes = new Uint8Array(PEER_LIMITS.targetBytesMax);
  const sends = others.map((other) =>
    other.send(bytes, bytes.length).then((isSent) => {
      if (isSent) taken += 1;
    }),
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(taken < 30, `${taken} MiB were put on a socket that nobody reads`);
  for (let told = 0; told < 24; told += 1) reader.tell(bytes);
  world.advance(PEER_LIMITS.unsentForMs / 20);
  assert.ok(a.links.isUp(RAW), "for a moment it may");
  world.advance(1_000);
  assert.equal(a.events, ["up raw#1"]);
  assert.ok((a.links.sizes(RAW)?.creditTargets ?? 0) > 0);
  for (let told = 0; told < 60; told += 1) reader.tell(bytes); // beyond what may be for a moment
  await untilSo(() => !a.links.isUp(RAW), "the link is ended");
  assert.equal(a.events, ["up raw#1", "closed raw#1"]);
  await Promise.all(sends);
  raw.socket.terminate();
  await a.close();
});

test("a peer that leaves too much unread for too long is ended", async () => {
  const { node: a, world } = await nodeByClock("a", { times: { heartbeatEveryMs: 60_000, silentAfterMs: 600_000 } });
  const raw = await linkRawPeer(a.peer.address, "a");
  await raw.frame("ready");
  raw.socket.pause();
  const reader = a.links.reference<Uint8Array>(RAW, "reader");
  for (let told = 0; told < 40; told += 1) reader.tell(new Uint8Array(1_048_576));
  await new Promise((resolve) => setImmediate(resolve));
  world.advance(PEER_LIMITS.unsentForMs - 1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(a.links.isUp(RAW));
  world.advance(1);
  await untilSo(() => !a.links.isUp(RAW), "the link is ended");
  assert.equal(a.events, ["up raw#1", "closed raw#1"]);
  raw.socket.terminate();
  await a.close();
});

test("data goes on when a slow peer reads again", async () => {
  const { node: a } = await nodeByClock("a");
  const raw = await linkRawPeer(a.peer.address, "a");
  await raw.frame("ready");
  raw.socket.pause();
  const bytes = new Uint8Array(PEER_LIMITS.targetBytesMax);
  const sends = Array.from({ length: 40 }, (_, n) => a.links.reference(RAW, `reader-${n}`).send(bytes, bytes.length));
  await new Promise((resolve) => setImmediate(resolve));
  raw.socket.resume();
  assert.ok((await Promise.all(sends)).every(Boolean));
  await untilSo(() => raw.frames.filter(({ type }) => type === "message").length === 40, "all of it arrives");
  raw.socket.terminate();
  await a.close();
});

test("L6: a node that no list names is linked once it has proved itself, and stays when the list changes", async () => {
  const [a, b] = [await startPeerNode("a"), await startPeerNode("b")];
  const heard: object[] = [];
  a.actor<object>("member", (message) => void heard.push(message));
  b.links.keep([a.peer]);
  await untilSo(() => a.links.isUp(B) && b.links.isUp(A), "it is linked");
  a.links.keep([]);
  b.links.reference<object>(A, "member").tell({ type: "report" });
  await untilSo(() => heard.length === 1, "it is heard");
  assert.equal(a.events, ["up b#1"]);
  a.links.keep([b.peer]);
  a.links.keep([]);
  await untilSo(() => a.events.includes("closed b#1"), "one that was kept is let go");
  await closeAll(a, b);
});

test("a node with another secret or none is refused by both sides, and is told silent, not refused", async () => {
  for (const secret of ["another secret that is long enough too", undefined]) {
    const { node: a, world } = await nodeByClock("a");
    const b = await startPeerNode("b", secret === undefined ? {} : { secret });
    const stranger = secret === undefined ? await startPeerNodeWithoutSecret() : b;
    a.links.keep([{ ...stranger.peer, node: B }]);
    await untilSo(() => a.problems.includes("UNAUTHENTICATED"), "the dialler finds out");
    stranger.links.keep([a.peer]);
    await untilSo(() => stranger.problems.includes("UNAUTHENTICATED"), "the other way round too");
    world.advance(3_000);
    assert.equal(a.events, ["silent b#1"]);
    assert.not(stranger.links.isUp(A));
    await closeAll(a, ...new Set([b, stranger]));
  }
});

async function startPeerNodeWithoutSecret(): Promise<PeerNode> {
  const options = { secret: undefined } as unknown as { secret: string };
  return startPeerNode("b", options);
}

test("a node of another cluster is refused, and told why", async () => {
  const [a, b] = [await startPeerNode("a"), await startPeerNode("b", { clusterId: "cluster-2" })];
  a.links.keep([b.peer]);
  await untilSo(() => a.problems.includes("FORBIDDEN") && b.problems.includes("FORBIDDEN"), "both know");
  const raw = await openRawPeer(a.peer.address);
  const nonce = new Uint8Array(32);
  const grant = { targetBytesMax: 1, targetMessagesMax: 1, linkBytesMax: 1 };
  raw.send({ type: "hello", minor: 0, cluster: "x", node: RAW, incarnation: 1, to: A, nonce, grant, turn: 1 });
  assert.match((await raw.frame("refusal")).message, /one cluster: "x" is not this node's/);
  await closeAll(a, b);
});

test("a dial that reaches another node at the address makes no link", async () => {
  const [a, c] = [await startPeerNode("a"), await startPeerNode("c")];
  a.links.keep([{ ...c.peer, node: B }]);
  await untilSo(() => a.problems.includes("UNKNOWN_NODE"), "the dialler finds out");
  assert.equal([a.events, c.events], [[], []]);
  await closeAll(a, c);
});

test("a replayed handshake proves nothing, nor does an acceptor's own proof sent back", async () => {
  const a = await startPeerNode("a");
  const overheard = await linkRawPeer(a.peer.address, "a");
  await overheard.frame("ready");
  const [hello, proof] = overheard.sent as [Uint8Array, Uint8Array];
  const replay = await openRawPeer(a.peer.address);
  replay.sendBytes(hello);
  const welcome = await replay.frame("welcome");
  replay.sendBytes(proof);
  assert.is((await replay.frame("refusal")).code, "UNAUTHENTICATED");
  assert.is((await replay.closed).code, 1008);
  const mirror = await openRawPeer(a.peer.address);
  mirror.sendBytes(hello);
  mirror.send({ type: "proof", proof: (await mirror.frame("welcome")).proof });
  assert.is((await mirror.frame("refusal")).code, "UNAUTHENTICATED");
  assert.not.equal(welcome.nonce, (mirror.frames[0] as typeof welcome).nonce);
  const hasty = await openRawPeer(a.peer.address);
  hasty.send({ type: "message", lane: "control", to: "member", weightBytes: 0, message: {} });
  assert.is((await hasty.frame("refusal")).code, "HELLO_REQUIRED");
  assert.equal(a.events, ["up raw#1"]);
  assert.not(overheard.sent.some((bytes) => Buffer.from(bytes).includes(SECRET)));
  await a.close();
});

test("a connection without a proof is ended after five seconds, and beyond 256 such connections the oldest is ended", async () => {
  const { node: a, world } = await nodeByClock("a");
  const idle = await openRawPeer(a.peer.address);
  world.advance(PEER_LIMITS.handshakeWithinMs);
  assert.is((await idle.closed).code, 1006);
  for (let shown = 1; shown <= PEER_LIMITS.handshakesMax + 1; shown += 1) {
    const linked = await linkRawPeer(a.peer.address, "a", { incarnation: shown });
    await linked.frame("ready"); // who has shown itself takes no place
    linked.socket.terminate();
  }
  const many = await Promise.all(Array.from({ length: PEER_LIMITS.handshakesMax }, () => openRawPeer(a.peer.address)));
  const linked = await linkRawPeer(a.peer.address, "a", { incarnation: 1_000 });
  await linked.frame("ready");
  assert.is((await Promise.race(many.map(({ closed }) => closed))).code, 1013);
  for (const { socket } of many) socket.terminate();
  await a.close();
});

test("a link uses the lower minor version of its ends, and additions of a later one are ignored", async () => {
  const [a, older] = [await startPeerNode("a", { minor: PEER_MINOR + 3 }), await startPeerNode("b")];
  const minors: number[] = [];
  a.links.onLink((event) => event.kind === "up" && minors.push(event.minor));
  older.links.onLink((event) => event.kind === "up" && minors.push(event.minor));
  await linkUp(a, older);
  assert.equal(minors, [PEER_MINOR, PEER_MINOR]);
  const raw = await linkRawPeer(a.peer.address, "a", { minor: PEER_MINOR + 1 });
  await raw.frame("ready");
  const heard: unknown[] = [];
  a.actor("member", (message) => void heard.push(message));
  raw.sendBytes(pack([200, "of a later version"]));
  raw.sendBytes(pack([7, 0, "member", 0, { type: "report" }, "a later field"]));
  await untilSo(() => heard.length === 1, "the rest is heard");
  assert.equal([heard, minors], [[{ type: "report" }], [PEER_MINOR, PEER_MINOR, PEER_MINOR + 1]]);
  await closeAll(a, older);
});

test("another major version is refused with a clear error, on both sides", async () => {
  const a = await startPeerNode("a");
  let refusal: unknown;
  await openRawPeer(a.peer.address, "headrace.peer.v2").catch((error) => (refusal = error));
  assert.match(String(refusal), /400/);
  assert.is(a.problems.at(-1), "UNSUPPORTED_PROTOCOL");
  const web = createHttpServer((_request, response) => response.end("another program"));
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  const address = `ws://127.0.0.1:${(web.address() as AddressInfo).port}/v1/peer`;
  a.problems.length = 0;
  a.links.keep([{ node: B, incarnation: 1, address }]);
  await untilSo(() => a.problems.length > 0, "the dialler finds out");
  assert.is(a.problems[0], "UNSUPPORTED_PROTOCOL");
  web.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n"));
  await untilSo(() => a.problems.at(-1) === "CONNECTION_LOST", "one that has no room is no other program");
  await a.close();
  web.close();
});

test("a linked peer that sends bytes which are no frame loses its link, and no other peer does", async () => {
  const [{ node: a }, b] = [await nodeByClock("a"), await startPeerNode("b")]; // whose clock ends nothing by itself
  await linkUp(a, b);
  const heard: object[] = [];
  a.actor<object>("member", (message) => void heard.push(message));
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  a.actor("stuck", () => held, { messagesMax: 1, weightBytesMax: 1 });
  const credit = { to: "member", bytes: 5, messages: 1 };
  const overdrawn = { type: "message", lane: "data", to: "stuck", weightBytes: 1_048_576, message: {} } as const;
  type Raw = Awaited<ReturnType<typeof linkRawPeer>>;
  const faults: readonly (readonly [string | undefined, (raw: Raw) => void])[] = [
    ["MALFORMED_FRAME", (raw) => raw.sendBytes(Uint8Array.of(0xc1))],
    ["FRAME_TOO_COMPLEX", (raw) => raw.sendBytes(new Uint8Array(300).fill(0x91))],
    ["MALFORMED_FRAME", (raw) => raw.send({ type: "credit", returned: [credit] })], // it was sent nothing
    ["UNKNOWN_FRAME", (raw) => raw.send({ type: "ready", turn: 1 })],
    [undefined, (raw) => raw.socket.send("text")],
    [undefined, (raw) => raw.socket.send(Buffer.alloc(PEER_LIMITS.frameBytesMax + 1))],
    [
      "MALFORMED_FRAME", // beyond the link's credit
      (raw) => {
        for (let n = 0; n < 70; n += 1) raw.send(overdrawn);
      },
    ],
  ];
  for (const [index, [code, fault]] of faults.entries()) {
    const raw = await linkRawPeer(a.peer.address, "a", { incarnation: index + 1 });
    await raw.frame("ready");
    a.problems.length = 0;
    fault(raw);
    await raw.closed;
    await untilSo(() => a.events.at(-1) === `closed raw#${index + 1}`, `fault ${index} ends the link`);
    assert.not(a.links.isUp(RAW));
    assert.is(a.problems[0], code, `fault ${index}`);
  }
  b.links.reference<object>(A, "member").tell({ fine: true });
  await untilSo(() => heard.length === 1, "the other one is heard");
  assert.equal([a.events.filter((event) => event.includes(" b#")), b.events], [["up b#1"], ["up a#1"]]);
  letGo();
  await closeAll(a, b);
});

test("without a secret only nodes on this machine are linked", async () => {
  const options = { secret: undefined } as unknown as { secret: string };
  const [a, b] = [await startPeerNode("a", options), await startPeerNode("b", options)];
  await linkUp(a, b);
  a.links.keep([b.peer, { node: RAW, incarnation: 1, address: "ws://192.0.2.1:7070/v1/peer" }]);
  await untilSo(() => a.problems.includes("INVALID_CONFIGURATION"), "it is not dialled");
  let answer = "";
  const socket = { on: () => undefined, end: (text: string) => (answer += text), destroy: () => undefined };
  const request = {
    headers: { "sec-websocket-protocol": "headrace.peer.v1" },
    socket: { remoteAddress: "192.0.2.7" },
  };
  a.links.upgrade(request as never, socket as never, Buffer.alloc(0));
  assert.match(answer, /^HTTP\/1.1 403 .*UNAUTHENTICATED.*192\.0\.2\.7/s);
  await closeAll(a, b);
});

test("a secret that is too short is refused at start", async () => {
  const world = fakeWorld();
  const options = {
    self: { node: A, incarnation: 1 },
    clusterId: "c",
    secret: "short",
    times: TIMES,
    setTimer: world.setTimer,
    random: world.random,
    onDeadLetter: () => undefined,
    onProblem: () => undefined,
  };
  let error: unknown;
  await createPeerLinks(options).catch((thrown) => (error = thrown));
  assert.instance(error, ConfigurationError);
});

test("a closed node leaves no timer and no connection behind", async () => {
  const { node: a, world } = await nodeByClock("a");
  const b = await startPeerNode("b");
  await linkUp(a, b);
  a.links.keep([b.peer, { node: RAW, incarnation: 1, address: "ws://127.0.0.1:1/v1/peer" }]);
  await untilSo(() => a.events.includes("refused raw#1"), "one waits for its next attempt");
  await a.close();
  assert.is(world.timersWaiting, 0);
  await untilSo(() => b.events.includes("closed a#1"), "the other side notices");
  await b.close();
});

test.run();
