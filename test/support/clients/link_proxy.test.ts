import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ManualClock } from "../fakes/manual_clock.ts";
import { type LinkProxy, startLinkProxy } from "./link_proxy.ts";

/** A server whose connections a test has in hand, behind a proxy. */
interface World {
  readonly proxy: LinkProxy;
  readonly serverPort: number;
  readonly accepted: Socket[];
  dial(port?: number): Socket;
  /** A client and its socket at the server, both connected through the proxy. */
  pair(): Promise<{ readonly client: Socket; readonly served: Socket }>;
}

async function withProxy(body: (world: World) => Promise<void>, clock?: ManualClock): Promise<void> {
  const accepted: Socket[] = [];
  const dialed: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined); // a reset is looked at by its test
    accepted.push(socket);
  });
  const serverPort = await listening(server);
  const proxy = await startLinkProxy(serverPort, clock);
  const dial = (port = proxy.port) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("error", () => undefined);
    dialed.push(socket);
    return socket;
  };
  const pair = async () => {
    const arrival = once(server, "connection");
    const client = dial();
    const [served] = (await arrival) as [Socket];
    return { client, served };
  };
  try {
    await body({ proxy, serverPort, accepted, dial, pair });
  } finally {
    await proxy.close();
    for (const socket of [...dialed, ...accepted]) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Resolves once `count` bytes have come, or at the end of the stream. */
function read(socket: Socket, count: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const done = () => {
      socket.off("data", onData).off("end", done).off("error", reject);
      resolve(Buffer.concat(chunks));
    };
    const onData = (bytes: Buffer) => {
      chunks.push(bytes);
      size += bytes.length;
      if (size >= count) done();
    };
    socket.on("data", onData).on("end", done).on("error", reject);
  });
}

const textOf = async (socket: Socket, count: number) => (await read(socket, count)).toString();

/** Waits until bytes could have passed: sends a byte there and back 50 times without the proxy. */
async function passTime({ dial, serverPort, accepted }: World): Promise<void> {
  const known = accepted.length;
  const direct = dial(serverPort);
  await once(direct, "connect");
  while (accepted.length === known) await new Promise((resolve) => setImmediate(resolve));
  const served = accepted.at(-1)!;
  served.on("data", (bytes) => served.write(bytes));
  for (let count = 0; count < 50; count += 1) {
    direct.write("x");
    assert.is(await textOf(direct, 1), "x");
  }
}

/** Bytes that differ at each place, so that a lost, doubled or swapped byte shows. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(Math.imul(at + 1, 2_654_435_761) >>> 0, at);
  return bytes;
}

test("bytes pass both ways at once, in order and without loss, and an end after all of them", () =>
  withProxy(async ({ pair }) => {
    const { client, served } = await pair();
    const size = 4 * 1_048_576;
    const [there, back] = [pattern(size), pattern(size).reverse()];
    const arrived = Promise.all([read(served, Number.POSITIVE_INFINITY), read(client, Number.POSITIVE_INFINITY)]);
    for (let at = 0; at < size; at += 65_521) client.write(there.subarray(at, at + 65_521));
    client.end();
    served.end(back);
    const [outcome, answer] = await arrived;
    assert.ok(outcome.equals(there));
    assert.ok(answer.equals(back));
  }));

test("an end is passed on, and the other way goes on until it ends as well", () =>
  withProxy(async ({ pair, proxy }) => {
    const { client, served } = await pair();
    client.end("request");
    assert.is(await textOf(served, Number.POSITIVE_INFINITY), "request");
    assert.is(proxy.connectionCount, 1);
    const closed = once(client, "close");
    served.end("answer");
    assert.is(await textOf(client, Number.POSITIVE_INFINITY), "answer");
    await closed;
    while (proxy.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve));
  }));

test("a side that does not read slows the other, and gets every byte once it reads", () =>
  withProxy(async (world) => {
    const { client, served } = await world.pair();
    served.pause();
    const chunk = pattern(65_536);
    const most = 1_024; // 64 MiB: far more than the buffers of two connections
    let written = 0;
    // Bytes left in `client` were held back: the kernel did not take them.
    while (client.writableLength < 1_048_576 && written < most) {
      client.write(chunk);
      written += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(written < most, "the sender was never held back");
    await passTime(world);
    assert.ok(client.writableLength > 0);
    const arrived = read(served, written * chunk.length);
    served.resume();
    const bytes = await arrived;
    assert.is(bytes.length, written * chunk.length);
    for (let at = 0; at < bytes.length; at += chunk.length) {
      assert.ok(bytes.subarray(at, at + chunk.length).equals(chunk));
    }
  }));

test("a connection that is reset on one side is reset on the other", () =>
  withProxy(async ({ pair, proxy }) => {
    const first = await pair();
    first.served.resume();
    const served = once(first.served, "error");
    first.client.resetAndDestroy();
    assert.is((await served)[0].code, "ECONNRESET");
    const second = await pair();
    second.client.resume();
    const client = once(second.client, "error");
    second.served.resetAndDestroy();
    assert.is((await client)[0].code, "ECONNRESET");
    while (proxy.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve));
  }));

test("where the protected port refuses, the client is reset", () =>
  withProxy(async ({ dial }) => {
    const server = createServer();
    const port = await listening(server);
    const proxy = await startLinkProxy(port);
    await new Promise((resolve) => server.close(resolve));
    const client = dial(proxy.port);
    client.resume();
    assert.is((await once(client, "error"))[0].code, "ECONNRESET");
    await proxy.close();
  }));

test("a cut resets connections and refuses new ones, and once resumed the same port leads there again", () =>
  withProxy(async ({ proxy, pair, dial }) => {
    const port = proxy.port;
    const { client, served } = await pair();
    client.resume();
    served.resume();
    const broken = Promise.all([once(client, "error"), once(served, "error")]);
    await proxy.cut();
    assert.equal(
      (await broken).map(([error]) => error.code),
      ["ECONNRESET", "ECONNRESET"],
    );
    assert.is(proxy.connectionCount, 0);
    assert.is((await once(dial(), "error"))[0].code, "ECONNREFUSED");
    await proxy.cut();
    await proxy.resume();
    assert.is(proxy.port, port);
    const again = await pair();
    again.client.write("hello");
    assert.is(await textOf(again.served, 5), "hello");
  }));

test("each way is late by its own delay, later bytes are not early, and the end is last", () => {
  const clock = new ManualClock();
  return withProxy(async (world) => {
    const { client, served } = await world.pair();
    world.proxy.delay({ out: 40 });
    const seen: string[] = [];
    served.on("data", (bytes) => seen.push(bytes.toString()));
    client.write("late");
    served.write("prompt");
    assert.is(await textOf(client, 6), "prompt");
    await passTime(world);
    await clock.advance(39);
    await passTime(world);
    assert.equal(seen, []);
    world.proxy.delay({ out: 0, back: 100 });
    const ended = once(served, "end");
    client.end(" and later");
    await passTime(world);
    assert.equal(seen, []);
    await clock.advance(1);
    await ended;
    assert.is(seen.join(""), "late and later");
    const answers: string[] = [];
    client.on("data", (bytes) => answers.push(bytes.toString()));
    served.end("slow answer");
    await passTime(world);
    await clock.advance(99);
    await passTime(world);
    assert.equal(answers, []);
    const closed = once(client, "end");
    await clock.advance(1);
    await closed;
    assert.equal(answers, ["slow answer"]);
  }, clock);
});

test("a delay keeps a bounded number of bytes: the sender is slowed", () => {
  const clock = new ManualClock();
  return withProxy(async (world) => {
    const { client, served } = await world.pair();
    world.proxy.delay({ out: 1_000 });
    const size = 32 * 1_048_576;
    const arrived = read(served, size);
    client.write(pattern(size));
    await passTime(world);
    assert.ok(client.writableLength > 0, "all of it was taken");
    let isDone = false;
    const done = arrived.then((bytes) => {
      isDone = true;
      return bytes;
    });
    while (!isDone) {
      await clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok((await done).equals(pattern(size)));
  }, clock);
});

test("in a black hole connections stay and neither bytes nor an end pass; once resumed all of them do", () =>
  withProxy(async (world) => {
    const { client, served } = await world.pair();
    const seen: string[] = [];
    for (const socket of [client, served]) {
      socket.on("data", (bytes) => seen.push(bytes.toString()));
      socket.on("end", () => seen.push("end"));
      socket.on("close", () => seen.push("close"));
    }
    world.proxy.blackHole();
    client.write("from the client");
    served.end("from the server");
    await passTime(world);
    assert.equal(seen, []);
    assert.is(world.proxy.connectionCount, 1);
    const ended = once(client, "end");
    await world.proxy.resume();
    await ended;
    while (seen.length < 3) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(seen.sort(), ["end", "from the client", "from the server"]);
  }));

test("bytes under way when a black hole begins are held too", () => {
  const clock = new ManualClock();
  return withProxy(async (world) => {
    const { client, served } = await world.pair();
    const seen: string[] = [];
    served.on("data", (bytes) => seen.push(bytes.toString()));
    world.proxy.delay({ out: 10 });
    client.write("under way");
    await passTime(world);
    world.proxy.blackHole("out");
    await clock.advance(1_000);
    await passTime(world);
    assert.equal(seen, []);
    const heard = once(served, "data");
    await world.proxy.resume();
    await heard;
    assert.equal(seen, ["under way"]);
  }, clock);
});

test("a black hole accepts new connections, which reach the other side once it is resumed", () =>
  withProxy(async (world) => {
    world.proxy.blackHole();
    const client = world.dial();
    await once(client, "connect");
    client.write("hello");
    const known = world.accepted.length;
    await passTime(world);
    assert.is(world.accepted.length, known + 1, "only the one beside the proxy has come");
    await world.proxy.resume();
    while (world.accepted.length < known + 2) await new Promise((resolve) => setImmediate(resolve));
    const served = world.accepted.at(-1)!;
    assert.is(await textOf(served, 5), "hello");
    served.write("welcome");
    assert.is(await textOf(client, 7), "welcome");
  }));

test("a black hole on one way lets the other pass", () =>
  withProxy(async (world) => {
    const { client, served } = await world.pair();
    world.proxy.blackHole("back");
    const seen: string[] = [];
    client.on("data", (bytes) => seen.push(bytes.toString()));
    client.write("heard");
    assert.is(await textOf(served, 5), "heard");
    served.write("swallowed");
    await passTime(world);
    assert.equal(seen, []);
    await world.proxy.resume();
    await once(client, "data");
    assert.equal(seen, ["swallowed"]);
    world.proxy.blackHole("out");
    const heard = read(served, 3);
    client.write("two");
    served.write("one");
    await once(client, "data");
    assert.is(seen.at(-1), "one");
    world.proxy.delay({ out: 0 });
    assert.is((await heard).toString(), "two");
  }));

test("a connection that breaks in a black hole breaks on the other side once it is resumed", () =>
  withProxy(async (world) => {
    const { client, served } = await world.pair();
    served.resume();
    let isTold = false;
    served.on("error", () => {
      isTold = true;
    });
    world.proxy.blackHole();
    client.resetAndDestroy();
    await passTime(world);
    assert.not(isTold);
    const told = once(served, "error");
    await world.proxy.resume();
    assert.is((await told)[0].code, "ECONNRESET");
  }));

test("a cut ends a black hole's connections too, and a second close does nothing", () =>
  withProxy(async (world) => {
    const { client, served } = await world.pair();
    world.proxy.blackHole();
    const unheard = world.dial();
    await once(unheard, "connect");
    for (const socket of [client, served, unheard]) socket.resume();
    const broken = Promise.all([once(client, "error"), once(served, "error"), once(unheard, "error")]);
    await world.proxy.cut();
    assert.equal(
      (await broken).map(([error]) => error.code),
      ["ECONNRESET", "ECONNRESET", "ECONNRESET"],
    );
    assert.is(world.proxy.connectionCount, 0);
    await world.proxy.close();
    await world.proxy.close();
  }));

test.run();
