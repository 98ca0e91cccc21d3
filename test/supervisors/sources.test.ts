import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { eventually, runningNode } from "../support/running_node.ts";

test("a source that can not read is named by /readyz and /metrics until it can; the node stays ready and stops at once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-sources-"));
  const path = join(folder, "app.log");
  execFileSync("mkfifo", [path]);
  const node = await runningNode(`
log: { type: memory }
streams: { lines: { partitions: 1, durability: memory } }
sources: { app: { type: file, stream: lines, path: ${path}, format: lines, everyMs: 10 } }
`);
  try {
    const ready = async () =>
      (await fetch(`${node.address}/readyz`)).json() as Promise<{ status: string; sources?: unknown[] }>;
    const metric = async () => (await (await fetch(`${node.address}/metrics`)).text()).split("\n");
    const told = await eventually(async () => {
      const body = await ready();
      return body.sources === undefined ? undefined : body;
    });
    assert.equal(told, { status: "ready", sources: [{ source: "app", code: "ESPIPE" }] });
    assert.ok((await metric()).some((line) => /^headrace_source_unavailable\{.*code="ESPIPE".*\} 1/.test(line)));
    await rm(path);
    await mkdir(path);
    await eventually(async () => (JSON.stringify(await ready()).includes("EISDIR") ? true : undefined));
    await rm(path, { recursive: true });
    await writeFile(path, "one\n");
    await eventually(async () => ((await ready()).sources === undefined ? true : undefined));
    const readings = (await metric()).filter((line) => line.startsWith("headrace_source_unavailable{"));
    assert.ok(readings.length >= 2 && readings.every((line) => line.endsWith(" 0")), readings.join("\n"));
  } finally {
    await node.end();
    await rm(folder, { recursive: true });
  }
});

test.run();
