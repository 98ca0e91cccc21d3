/**
 * The endpoint of an http sink in a process of its own, to be killed and frozen: `chaos_endpoint.ts <port> <file>`. Each
 * request is a line of the file, its key and its body, before it is answered.
 */
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";

const [port = "0", file = ""] = process.argv.slice(2);

createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString("utf8").trim();
  appendFileSync(file, `${request.headers["idempotency-key"]} ${body}\n`);
  response.end();
}).listen(Number(port), "127.0.0.1");
