import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { settledWithin } from "../../../actors/kernel/settled_within.ts";
import { httpSink } from "../../../actors/sinks/http/http_sink.ts";
import { SinkClients } from "../../../supervisors/node/sink_clients.ts";
import { fakeCheckpoint, fakeSinkContext, sinkBatch } from "../../support/fakes/fake_sink_context.ts";

const sink = (type: string, options: object) => ({ type, start: "earliest" as const, options: { ...options } });
const NODE = { data: "/", host: "", port: 0, logLevel: "info" as const };

test("sink S11: writers of one http sink share its connections, and each sink of a node has a client of its own", async () => {
  let connections = 0;
  let ended = () => {};
  const connectionEnded = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.end());
  });
  server.on("connection", (socket) => {
    connections += 1;
    socket.on("close", ended);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`;
  const sinks = { one: sink("http", { url }), two: sink("http", { url }), files: sink("file", { directory: "f" }) };
  const clients = new SinkClients({ sinks, node: NODE }, () => {});
  const [one, two] = [clients.of("one"), clients.of("two")];
  assert.is(clients.of("one"), one, "the sink's own delivery and its replays get the same");
  assert.is.not(one, two);
  assert.equal([clients.of("files"), clients.of("none")], [undefined, undefined]);
  const leases = [await one?.acquire(), await one?.acquire()];
  for (const lease of leases) {
    const context = { ...fakeSinkContext(fakeCheckpoint(), 1), client: lease?.client as never };
    const writer = await httpSink.open({ url }, context);
    assert.equal(await writer.write(sinkBatch(1, 0, 2)), { kind: "written" });
    await writer.close();
  }
  assert.is(connections, 1);
  for (const lease of leases) lease?.release();
  await clients.closed();
  // Neither side would end an idle connection within this time.
  assert.ok(await settledWithin(connectionEnded, 3_000), "the client has closed its connection");
  await new Promise((resolve) => server.close(resolve));
});

test.run();
