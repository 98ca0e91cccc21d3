/**
 * A node without tokens, and clients of one address that take its memory for bodies and answers: honest ones beside
 * them are served.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { BODY_LIMITS } from "../../../actors/ingest/http/http_body.ts";
import { nodeOfEachTest } from "../../support/processes/running_node.ts";

const node = nodeOfEachTest(test, "log: { type: memory }\nstreams: { s: { partitions: 1, durability: memory } }\n");
const HOSTNAME = "127.0.0.1";
const RECORDS = "/v1/streams/s/partitions/0/records?limit=1";

const post = async (body: string) => {
  const response = await fetch(`${node.address}/v1/streams/s/events`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body,
  });
  await response.arrayBuffer();
  return response.status;
};

interface Asked {
  readonly socket: Socket;
  /** The whole answer, once the connection is closed. */
  readonly said: Promise<string>;
}

function begin(head: string): Asked {
  const socket = connect(node.port, HOSTNAME);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  let ending = "";
  socket.on("error", (error: NodeJS.ErrnoException) => (ending = ` ${error.code}`));
  socket.write(`${head}\r\nHost: ${HOSTNAME}\r\n`);
  return { socket, said: once(socket, "close").then(() => Buffer.concat(chunks).toString("latin1") + ending) };
}

function beginBody(sizeBytes: number): Asked {
  const asked = begin("POST /v1/streams/s/events HTTP/1.1");
  asked.socket.write(`Content-Type: application/x-ndjson\r\nConnection: close\r\nContent-Length: ${sizeBytes}\r\n\r\n`);
  return asked;
}

test("bodies that are held back and renewed leave slow uploads and small bodies of their address alone, and are told why they end", async () => {
  let isOver = false;
  const told: string[] = [];
  const holders = Array.from({ length: 5 }, async (_, index) => {
    await sleep(index * 100);
    while (!isOver) {
      const { socket, said } = beginBody(BODY_LIMITS.bodyBytesMax);
      socket.write(Buffer.alloc(BODY_LIMITS.bodyBytesMax - 1, 0x20));
      await Promise.race([once(socket, "data").catch(() => undefined), sleep(500)]);
      socket.destroy();
      const answer = await said;
      if (answer !== "") told.push(answer);
    }
  });
  await sleep(600);
  const line = `${JSON.stringify({ text: "x".repeat(99_988) })}\n`;
  const { socket, said } = beginBody(line.length * 40);
  for (let n = 0; n < 40; n += 1) {
    socket.write(line);
    await sleep(40);
    if (n % 4 === 0) assert.is(await post('{"n":1}\n'), 200);
  }
  assert.match(await said, /^HTTP\/1\.1 200 /);
  isOver = true;
  await Promise.all(holders);
  assert.ok(told.length > 0);
  for (const answer of told) {
    assert.match(answer, /^HTTP\/1\.1 429 /);
    assert.match(answer, /retry-after: 1\r\n/i);
    assert.match(answer, /"code":"OUT_OF_CREDIT"/);
  }
});

test("large answers that are not read and asked for anew leave small reads of their address alone", async () => {
  const large = JSON.stringify({ text: "\u0001".repeat(900_000) }); // 5.4 MB of text
  const { endOffset } = (await (await fetch(`${node.address}${RECORDS}&from=latest`)).json()) as { endOffset: number };
  assert.is(await post(`${large}\n`), 200);

  let isOver = false;
  const churn = Array.from({ length: 20 }, async () => {
    while (!isOver) {
      const { socket, said } = begin(`GET ${RECORDS}&from=${endOffset} HTTP/1.1`);
      socket.write("\r\n");
      await once(socket, "data").catch(() => undefined);
      socket.pause();
      await sleep(200);
      socket.destroy();
      await said;
    }
  });
  const statuses: number[] = [];
  for (let n = 0; n < 30; n += 1) {
    const response = await fetch(`${node.address}${RECORDS}&from=0`);
    await response.arrayBuffer();
    statuses.push(response.status);
    await sleep(50);
  }
  isOver = true;
  await Promise.all(churn);
  assert.ok(statuses.filter((status) => status === 200).length >= 27, String(statuses));
});

test.run();
