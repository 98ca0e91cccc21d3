/**
 * docs/protocol.md is enough to write a client from: one in Python, of its standard library alone, against a real node.
 */
import { execFile, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runningNode } from "../support/processes/running_node.ts";

if (spawnSync("python3", ["--version"]).status !== 0) {
  console.log("SKIPPED: a client in Python is tried against a node, and there is no python3 on the PATH");
  process.exit(77);
}

const CLIENT = fileURLToPath(new URL("client.py", import.meta.url));

test("a client written from docs/protocol.md sends, resends after a break, and is told the verdicts", async () => {
  const node = await runningNode(`
log: { type: memory }
streams:
  readings:
    partitions: 1
    durability: memory
    schema: { type: object, properties: { n: { type: integer } } }
`);
  const { stdout } = await promisify(execFile)("python3", [CLIENT, "127.0.0.1", String(node.port), "readings"], {
    timeout: 30_000,
  });
  const told = JSON.parse(stdout) as {
    opened: unknown;
    acked: unknown;
    verdicts: { sequence: unknown; code: string }[];
  };
  assert.equal(told.opened, [null, [0, 199, 0]]);
  assert.equal(told.acked, [0, 249, 0]);
  assert.equal(
    told.verdicts.map(({ sequence, code }) => [sequence, code]),
    [[[0, 170, 0], "SCHEMA_VIOLATION"]],
  );
  const response = await fetch(`${node.address}/v1/streams/readings/partitions/0/records?limit=1000`);
  const { records } = (await response.json()) as { records: { event: { n: number } }[] };
  assert.equal(
    records.map(({ event }) => event.n),
    Array.from({ length: 250 }, (_, n) => n).filter((n) => n !== 170),
  );
  assert.equal(await node.end(), []);
});

test.run();
