/** The clients in a real browser, against a real node, over both subprotocols and a wire that breaks. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, type WirePosition } from "../../../protocols/wire/frames.ts";
import { type MovableAddress, startMovableAddress } from "../../support/clients/movable_address.ts";
import { launchChromium, skipWithoutChromium } from "../../support/processes/chromium.ts";
import { eventually, runningNode, type TestNode } from "../../support/processes/running_node.ts";
import type {} from "./browser_program.ts";

skipWithoutChromium("the clients are checked");

const EVENTS = 3_000;
/** The number of cuts of the wire in each run, spread over the run. */
const CUTS = 3;

interface Bounds {
  readonly firstOffset: number;
  readonly endOffset: number;
}

let site: Server;
let origin: string;
let node: TestNode;
let wire: MovableAddress;
let browser: Browser;
let bundle: string;

test.before(async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("browser_program.ts", import.meta.url))],
    bundle: true,
    platform: "browser",
    format: "iife",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  bundle = outputFiles[0]?.text ?? "";
  site = createServer((request, response) => {
    const isScript = request.url === "/program.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(
      isScript ? bundle : '<!doctype html><link rel="icon" href="data:,"><script src="/program.js"></script>',
    );
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  node = await runningNode(`
log: { type: memory }
security: { origins: ["${origin}"] }
streams:
  readings:
    partitions: 2
    durability: memory
    schema: { type: object, properties: { n: { type: integer } } }
  small: { partitions: 1, durability: memory, retention: { size: 1KiB } }
`);
  wire = await startMovableAddress(node.port);
  browser = await launchChromium();
});

test.after(async () => {
  // Some are undefined where the preparation failed: its reason is reported then.
  await browser?.close();
  await wire?.close();
  site?.close();
  site?.closeAllConnections();
  await node?.end();
});

async function withPage<Value>(look: (page: Page) => Promise<Value>, from = origin): Promise<Value> {
  const page = await browser.newPage();
  try {
    await page.goto(from);
    return await look(page);
  } finally {
    await page.close();
  }
}

test("the clients' bundle holds nothing of Node's", () => {
  assert.ok(bundle.includes("headrace.v1.msgpack"));
  assert.not.match(bundle, /["'`]node:/);
});

for (const subprotocol of [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON] as const) {
  test(`a browser's events are stored and read back exactly once and in order, its wire cut in the middle (${subprotocol})`, async () => {
    const task = { endpoint: `ws://127.0.0.1:${wire.port}/v1/connect`, subprotocol, count: EVENTS, cuts: CUTS };
    let cuts = 0;
    const { produced, consumed } = await withPage(async (page) => {
      await page.exposeFunction("cutWire", () => {
        if (wire.breakAll() > 0) cuts++;
      });
      const consuming = page.evaluate((given) => window.program.consume(given), { ...task, count: EVENTS - 1 });
      const produced = await page.evaluate((given) => window.program.produce(given), task);
      return { produced, consumed: await consuming };
    });
    assert.is(cuts, CUTS);
    assert.equal({ ...produced, welcomes: 0 }, { acked: EVENTS, rejected: 1, welcomes: 0, inDoubt: 0 });
    assert.ok(produced.welcomes > CUTS, `${produced.welcomes}`);
    const given = Array.from({ length: EVENTS }, (_, n) => n).filter((n) => n !== 7);
    assert.equal(consumed.seen, [given.filter((n) => n % 2 === 0), given.filter((n) => n % 2 === 1)]);
    assert.is(consumed.isWhole, true);
  });

  test(`a browser is told where its log was trimmed or truncated (${subprotocol})`, async () => {
    const producer = node.producer({ producerId: `small/${subprotocol}`, stream: "small", batchEventsMax: 1 });
    // More events than the node holds in memory for readers: older ones are read from the log.
    await producer.sendAll(Array.from({ length: 60 }, (_, n) => ({ n, text: "x".repeat(100_000) })));
    const { epoch, firstOffset } = await eventually(async () => {
      const response = await fetch(`${node.address}/v1/streams/small`);
      const { partitions } = (await response.json()) as { partitions: (Bounds & { readonly epoch: number })[] };
      return partitions.find((partition) => partition.firstOffset === partition.endOffset); // all taken by retention
    });
    await producer.sendAll([{ n: "the first one left" }]);
    await producer.close();
    const { trimmed, truncated } = await withPage(async (page) => {
      const read = (from: WirePosition, stream: string) =>
        page.evaluate(
          (given) => window.program.firstItem(given.endpoint, given.subprotocol, given.stream, given.from),
          { endpoint: node.endpoint, subprotocol, stream, from },
        );
      return {
        trimmed: await read({ epoch, offset: 0 }, "small"),
        truncated: await read({ epoch: 1, offset: 3 }, "readings"),
      };
    });
    assert.equal(trimmed.first, { kind: "trimmed", stream: "small", partition: 0, firstOffset });
    assert.is(trimmed.thenFrom, firstOffset);
    assert.equal(truncated.first, { kind: "truncated", stream: "readings", partition: 0, divergence: 0 });
    assert.is(truncated.thenFrom, 0);
  });
}

test("a page of an origin that the node does not know can neither connect nor send", async () => {
  const elsewhere = origin.replace("127.0.0.1", "localhost");
  const outcome = await withPage(
    (page) =>
      page.evaluate(
        (endpoint) =>
          new Promise<string>((resolve) => {
            const socket = new WebSocket(endpoint, "headrace.v1.json");
            socket.onopen = () => resolve("open");
            socket.onclose = () => resolve("closed");
          }),
        node.endpoint,
      ),
    elsewhere,
  );
  assert.is(outcome, "closed");
});

test.run();
