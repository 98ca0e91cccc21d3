/** Silent connections take no place from others: not from a producer, a health check, or a file that a sink opens. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { startHttpServer } from "../../../supervisors/http/http_server.ts";
import { ConnectionGate } from "../../../supervisors/security/admission/connection_gate.ts";
import type { PlaceLimits } from "../../../supervisors/security/admission/connection_places.ts";
import { RawClient } from "../../support/clients/raw_client.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

async function served(limits: PlaceLimits) {
  const gate = new ConnectionGate(limits);
  const admitted: string[] = [];
  const held: Duplex[] = [];
  const server = await startHttpServer({
    host: "127.0.0.1",
    port: 0,
    access: {
      authenticate: async () => undefined,
      admit: ({ headers }) => void admitted.push(headers.host ?? ""),
      hold: async () => undefined,
      bound: () => undefined,
      reload: async () => 0,
    },
    gate,
    tls: undefined,
    routes: [{ isOpen: true, mount: (scope) => void scope.get("/", async () => ({ is: "answered" })) }],
    upgrades: new Map([["/hold", (_request, socket) => void held.push(socket.on("error", () => socket.destroy()))]]),
  });
  const endHeld = () => {
    for (const socket of held) socket.destroy();
  };
  return { gate, server, admitted, endHeld };
}

const idle = (port: number, count: number, text = ""): Socket[] =>
  Array.from({ length: count }, () => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text)).on("error", () => undefined);
    return socket;
  });
const end = (sockets: readonly Socket[]) => {
  for (const socket of sockets) socket.destroy();
};
const UPGRADE = "GET /hold HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

test("silent connections and half requests of one address keep to their share, and another request is answered", async () => {
  const { gate, server } = await served({
    placesMax: 60,
    upgradesMax: 20,
    perAddressMax: 20,
    waitingPerAddressMax: 10,
  });
  const crowd = [...idle(server.port, 150), ...idle(server.port, 150, "GET / HTTP/1.1\r\nHost: a\r\nX-Half")];
  for (let asked = 0; asked < 20; asked += 1) assert.is((await fetch(`${server.address}/`)).status, 200);
  await eventually(() => (gate.countIn("silent") <= 10 && gate.shed >= 250 ? true : undefined));
  end(crowd);
  await server.close();
});

test("idle keep-alive connections of an address are ended beyond its share", async () => {
  const { gate, server } = await served({
    placesMax: 60,
    upgradesMax: 20,
    perAddressMax: 40,
    waitingPerAddressMax: 10,
  });
  const crowd = idle(server.port, 30, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await eventually(() => (gate.shed >= 20 ? true : undefined));
  assert.ok(gate.countIn("idle") <= 10);
  end(crowd);
  await server.close();
});

test("WebSockets that never send hello give way to a new one of their address, and count on any path", async () => {
  const { gate, server, endHeld } = await served({
    placesMax: 60,
    upgradesMax: 20,
    perAddressMax: 5,
    waitingPerAddressMax: 10,
  });
  const [first] = idle(server.port, 1, UPGRADE);
  const isEnded = new Promise((resolve) => first?.resume().once("close", resolve));
  await eventually(() => (gate.countIn("greeting") === 1 ? true : undefined));
  const crowd = idle(server.port, 5, UPGRADE);
  await isEnded;
  assert.is(gate.countIn("greeting"), 5);
  end(crowd);
  endHeld();
  await server.close();
});

test("an upgrade at an unknown path counts like any other, then both sides are closed", async () => {
  const { gate, server, admitted } = await served({
    ...{ placesMax: 60, upgradesMax: 20, perAddressMax: 5, waitingPerAddressMax: 10 },
  });
  const socket = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.write(UPGRADE.replace("/hold", "/unknown"));
  const [answer] = await once(socket, "data");
  assert.match(String(answer), /^HTTP\/1.1 404 /);
  assert.equal(admitted, ["a"]);
  await eventually(() => (gate.countIn("greeting") === 0 ? true : undefined));
  socket.destroy();
  await server.close();
});

test("a producer connects and is acknowledged beside a thousand idle connections of its own address", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: { s: { partitions: 1, durability: memory } }");
  const crowd = idle(node.port, 1_000);
  const producer = node.producer({ producerId: "p", stream: "s" });
  for (let n = 0; n < 10; n += 1) await producer.send({ n });
  assert.equal((await producer.close()).inDoubt, []);
  const client = await RawClient.open(node.endpoint);
  assert.is((await client.ask({ type: "hello", client: "raw", minor: 0 }))?.type, "welcome");
  assert.is((await fetch(`${node.address}/readyz`)).status, 200);
  client.end();
  end(crowd);
  await node.end();
});

test.run();
