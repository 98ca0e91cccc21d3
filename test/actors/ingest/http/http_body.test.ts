/** Bodies over sockets, against a server that reads them as the node does. */
import { once } from "node:events";
import { request as ask, createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BODY_LIMITS, bodyMemory, readBody } from "../../../../actors/ingest/http/http_body.ts";
import { OverloadedError, RejectedError } from "../../../../protocols/errors.ts";

const memory = bodyMemory();
/** Milliseconds for which the server works on a whole body. */
const WORK_MS = 20;

const server = createServer(async (request, response) => {
  try {
    const body = await readBody(request, String(request.headers["content-encoding"] ?? "identity"), memory);
    await sleep(WORK_MS);
    body.release();
    response.end(String(body.bytes.byteLength));
  } catch (error) {
    const isKnown = error instanceof OverloadedError || error instanceof RejectedError;
    response.statusCode = error instanceof OverloadedError ? 429 : 400;
    response.end(isKnown ? error.code : String(error));
  }
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
test.after(() => {
  server.closeAllConnections();
  server.close();
});

const begin = (length: number, headers = {}) => {
  const asked = ask({ port, method: "POST", agent: false, headers: { "content-length": length, ...headers } });
  const answered = new Promise<string>((resolve) => {
    asked.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "error"));
    asked.on("response", async (response: IncomingMessage) => {
      let text = "";
      for await (const chunk of response) text += String(chunk);
      resolve(`${response.statusCode} ${text}`);
    });
  });
  return { asked, answered };
};
const send = (bytes: Uint8Array, headers = {}) => {
  const { asked, answered } = begin(bytes.byteLength, headers);
  asked.end(bytes);
  return answered;
};

/** Sends `bytes` in parts, and answers the response. */
async function sendSlowly(sizeBytes: number, parts: number, everyMs: number): Promise<string> {
  const { asked, answered } = begin(sizeBytes);
  for (let n = 0; n < parts && !asked.destroyed; n += 1) {
    asked.write(Buffer.alloc(sizeBytes / parts, 0x20));
    await sleep(everyMs);
  }
  asked.end();
  return answered;
}

test("a body comes plain or inflated, and its memory is given back", async () => {
  assert.is(await send(Buffer.alloc(100_000)), "200 100000");
  assert.is(await send(gzipSync(Buffer.alloc(100_000)), { "content-encoding": "gzip" }), "200 100000");
  assert.is(
    await send(gzipSync(Buffer.alloc(BODY_LIMITS.bodyBytesMax + 1)), { "content-encoding": "gzip" }),
    "400 FRAME_TOO_LARGE",
  );
  assert.is(await send(Buffer.from("no gzip"), { "content-encoding": "gzip" }), "400 MALFORMED_FRAME");
  assert.is(memory.usedBytes, 0);
});

test("a body whose client leaves half-way gives its memory back", async () => {
  const { asked } = begin(1_000_000);
  asked.write(Buffer.alloc(500_000));
  while (memory.usedBytes < 500_000) await sleep(5);
  asked.destroy();
  while (memory.usedBytes > 0) await sleep(5);
});

test("bodies that inflate to the limit leave slow uploads and small bodies of the same address alone", async () => {
  const bomb = gzipSync(Buffer.alloc(16_000_000, 0x20));
  let isOver = false;
  const bombs = Array.from({ length: 8 }, async () => {
    const answers: string[] = [];
    while (!isOver) answers.push(await send(bomb, { "content-encoding": "gzip" }));
    return answers;
  });
  const slow = Array.from({ length: 2 }, () => sendSlowly(4_000_000, 40, 40));
  const small: string[] = [];
  for (let n = 0; n < 20; n += 1) {
    small.push(await send(Buffer.from("0123456789")));
    await sleep(20);
  }
  const arrived = await Promise.all(slow);
  isOver = true;
  const answers = new Set((await Promise.all(bombs)).flat());
  assert.equal(arrived, ["200 4000000", "200 4000000"]);
  assert.equal(new Set(small), new Set(["200 10"]));
  for (const answer of answers) assert.ok(["200 16000000", "429 OUT_OF_CREDIT"].includes(answer), answer);
  assert.is(memory.usedBytes, 0);
});

test("a large body that is held back gives way to a smaller one, is told so, and gains nothing by a new request", async () => {
  const large = BODY_LIMITS.bodyBytesMax;
  let isOver = false;
  const told: string[] = [];
  const holders = Array.from({ length: 5 }, async () => {
    while (!isOver) {
      const { asked, answered } = begin(large);
      asked.write(Buffer.alloc(large - 1));
      const answer = await Promise.race([answered, sleep(300)]);
      if (answer !== undefined) told.push(answer);
      asked.destroy();
      await answered;
    }
  });
  const slow = await Promise.all(Array.from({ length: 2 }, () => sendSlowly(4_000_000, 40, 40)));
  isOver = true;
  await Promise.all(holders);
  assert.equal(slow, ["200 4000000", "200 4000000"]);
  // A client that still sends may see its connection end before the answer: Deno's does.
  const answers = told.filter((one) => /^\d/.test(one));
  assert.ok(answers.length > 0);
  assert.equal(new Set(answers), new Set(["429 OUT_OF_CREDIT"]));
});

test.run();
