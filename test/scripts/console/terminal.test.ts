/** Texts of producers and nodes never steer a person's terminal, and never make a line of their own. */
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { headrace } from "../../support/processes/headrace_command.ts";
import { runningNode } from "../../support/processes/running_node.ts";

const TITLE = "\u001b]0;OWNED\u0007\u001b[2J";
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const isTame = (text: string): boolean => text.split("\n").every((line) => !STEERING.test(line));

test("inspect and tail show a producer's names and texts without obeying them", async () => {
  const node = await runningNode("log: { type: memory }\nstreams: { s: { partitions: 1 } }");
  const producer = node.producer({ producerId: `p${TITLE}\nstored: by somebody else`, stream: "s" });
  await producer.send({ text: "C1 \u009b31m del \u007f bidi \u202egpj line \u2028", [TITLE]: 1 });
  await producer.close();
  const at = ["--address", node.address];
  const outputs = await Promise.all([
    headrace(["inspect", "s", "0", "0", ...at]),
    headrace(["inspect", "s", "0", "0", "--json", ...at]),
    headrace(["tail", "s", "--from", "earliest", "--no-follow", ...at]),
    headrace(["streams", "describe", `x${TITLE}\nforged`, ...at]),
  ]);
  for (const { stdout, stderr } of outputs) assert.ok(isTame(stdout + stderr), JSON.stringify(stdout + stderr));
  const [inspected, , tailed] = outputs;
  assert.not.match(String(inspected?.stdout), /^stored: by somebody else/m);
  assert.match(String(inspected?.stdout), /OWNED\\u0007/);
  assert.is(JSON.parse(String(tailed?.stdout))[TITLE], 1);
  await node.end();
});

test("a node's message is one line, whatever it holds", async () => {
  const server = createServer((_request, response) => {
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ code: "UNKNOWN_STREAM", message: `no\nheadrace: forged ${TITLE}\u202e` }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const { stderr } = await headrace(["streams", "--address", `http://127.0.0.1:${port}`]);
  assert.ok(isTame(stderr), JSON.stringify(stderr));
  assert.is(stderr.trimEnd().split("\n").length, 1);
  server.close();
});

test.run();
