import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Event } from "../../protocols/event.ts";
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

test("every record of a source is stored or set aside, whatever its names are and however many it has", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-sources-"));
  const path = join(folder, "app.log");
  const huge = Object.fromEntries(Array.from({ length: 65_537 }, (_, index) => [`k${index}`, 0]));
  await writeFile(path, `{"a":1}\n{"constructor":1,"toJSON":1}\n${JSON.stringify(huge)}\n{"a":2}\n`);
  const node = await runningNode(`
log: { type: memory }
streams: { lines: { partitions: 1, durability: memory } }
sources: { app: { type: file, stream: lines, path: ${path}, format: ndjson, everyMs: 10 } }
`);
  const read = async (channel: string) => {
    const answer = await fetch(`${node.address}/v1/streams/lines/partitions/0/records?channel=${channel}`);
    return ((await answer.json()) as { readonly records: readonly { readonly event: Record<string, unknown> }[] })
      .records;
  };
  try {
    const stored = await eventually(async () => {
      const records = await read("records");
      return records.at(-1)?.event.a === 2 ? records : undefined;
    });
    const rejected = await read("rejected");
    assert.is(stored.length + rejected.length, 4);
    assert.equal(stored[1]?.event, { constructor: 1, toJSON: 1 });
    for (const { event } of rejected) assert.match(String(event.reason), /65,?535|keys|too large/);
  } finally {
    await node.end();
    await rm(folder, { recursive: true });
  }
});

test("a source whose only record has no form in a frame sets it aside", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-sources-"));
  const path = join(folder, "app.log");
  const huge = Object.fromEntries(Array.from({ length: 65_537 }, (_, index) => [`k${index}`, 0]));
  await writeFile(path, `${JSON.stringify(huge)}\n`);
  const node = await runningNode(`
log: { type: memory }
streams: { lines: { partitions: 1, durability: memory } }
sources: { app: { type: file, stream: lines, path: ${path}, format: ndjson, everyMs: 10 } }
`);
  try {
    const [letter] = await eventually(async () => {
      const answer = await fetch(`${node.address}/v1/streams/lines/partitions/0/records?channel=rejected`);
      const { records } = (await answer.json()) as { readonly records: readonly { readonly event: Event }[] };
      return records.length > 0 ? records : undefined;
    });
    assert.is(letter?.event.code, "MALFORMED_EVENT");
    assert.match(String(letter?.event.reason), /too large|keys/);
  } finally {
    await node.end();
    await rm(folder, { recursive: true });
  }
});

test.run();
