import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Event } from "../../../protocols/event.ts";
import { eventually, runningNode } from "../../support/processes/running_node.ts";

test("a source that cannot read is named by /readyz and /metrics until it can; the node stays ready and stops at once", async () => {
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

const WIDE = Object.fromEntries(Array.from({ length: 65_537 }, (_, index) => [`k${index}`, 0]));

/** What a source makes of the lines of a file: events that are stored, and reasons for those set aside. */
async function outcomeOf(lines: readonly Event[]) {
  const folder = await mkdtemp(join(tmpdir(), "headrace-sources-"));
  const path = join(folder, "app.log");
  await writeFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const node = await runningNode(`
log: { type: memory }
streams: { lines: { partitions: 1, durability: memory } }
sources: { app: { type: file, stream: lines, path: ${path}, format: ndjson, everyMs: 10 } }
`);
  const read = async (channel: string) => {
    const answer = await fetch(`${node.address}/v1/streams/lines/partitions/0/records?channel=${channel}`);
    const { records } = (await answer.json()) as { readonly records: readonly { readonly event: Event }[] };
    return records.map(({ event }) => event);
  };
  try {
    return await eventually(async () => {
      const [stored, rejected] = [await read("records"), await read("rejected")];
      return stored.length + rejected.length < lines.length ? undefined : { stored, rejected };
    });
  } finally {
    await node.end();
    await rm(folder, { recursive: true });
  }
}

test("every record of a source is stored or set aside, whatever its names are, and whatever lies beside it", async () => {
  const strange = { constructor: 1, toJSON: 1 };
  const among = await outcomeOf([{ a: 1 }, strange, WIDE, { a: 2 }]);
  assert.equal(among.stored, [{ a: 1 }, strange, { a: 2 }]);
  const alone = await outcomeOf([WIDE]);
  assert.equal(alone.stored, []);
  for (const { rejected } of [among, alone]) {
    assert.equal(
      rejected.map(({ code, reason }) => [code, reason]),
      [["MALFORMED_EVENT", "a map must have at most 65535 keys: it has more"]],
    );
  }
});

test.run();
