/** A damaged or cut data file is refused with its name and its fault, before the library maps it. */
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkDataFile } from "../../../../actors/log/embedded/lmdb_file.ts";
import { openLmdbLog } from "../../../../actors/log/embedded/lmdb_log.ts";
import { rejection } from "../../../conformance/log/log_suite.ts";
import { startCommand } from "../../../support/processes/headrace_command.ts";

const PAGE_BYTES = 4_096;
const KEYS = 400;

const root = await mkdtemp(join(tmpdir(), "headrace-file-"));
test.after(() => rm(root, { recursive: true, force: true }));

/** A sound folder: a tree of two levels, with values of their own pages. */
const sound = join(root, "sound");
await mkdir(sound);
const log = await openLmdbLog({ folder: sound });
for (let key = 0; key < KEYS; key += 1)
  await log.writeMetadata(`key-${key}`, Buffer.alloc(key % 40 === 0 ? 20_000 : 400, key), 0);
await log.close();
const soundBytes = await readFile(join(sound, "data.mdb"));

let folders = 0;
async function folderWith(change: (bytes: Buffer) => Buffer | undefined): Promise<string> {
  folders += 1;
  const folder = join(root, `changed-${folders}`);
  await mkdir(folder);
  const bytes = Buffer.from(soundBytes);
  await writeFile(join(folder, "data.mdb"), change(bytes) ?? bytes);
  return folder;
}

const put =
  (value: number | bigint, ...places: readonly number[]) =>
  (bytes: Buffer) => {
    for (const at of places) {
      if (typeof value === "bigint") bytes.writeBigUInt64LE(value, at);
      else bytes.writeUInt32LE(value, at);
    }
    return bytes;
  };
/** The field of both meta pages. */
const both = (at: number) => [at, PAGE_BYTES + at] as const;
const rootOf = (bytes: Buffer) => {
  const [first, second] = both(152).map((at) => bytes.readBigUInt64LE(at));
  return Number(bytes.readBigUInt64LE(136 + ((second ?? 0n) > (first ?? 0n) ? PAGE_BYTES : 0)));
};

test("a data file that is none of LMDB, or has damaged meta or root pages, is refused with its name and fault (F1, F2)", async () => {
  const noise = (bytes: Buffer) => bytes.map((_, index) => (index * 2_654_435_761) >>> 13) as Buffer;
  const damaged: readonly (readonly [string, (bytes: Buffer) => Buffer | undefined, RegExp])[] = [
    ["noise", noise, /meta page 0 must begin with the mark of LMDB/],
    ["text", () => Buffer.from("this is no database\n".repeat(1_000)), /meta page 0 must begin/],
    ["zeros", (bytes) => bytes.fill(0), /meta page 0 must begin.*mark 0x0/],
    ["a few bytes", () => Buffer.from("x"), /must hold meta page 0: current value is 1 bytes, as if cut short/],
    ["one page", (bytes) => bytes.subarray(0, PAGE_BYTES), /must hold meta page 1/],
    ["another version", put(1, 28), /version 2: current value is 1/],
    ["a page size that is none", put(4_097, 48), /pages of 512 to 65536 bytes/],
    [
      "noise in the second meta page",
      (bytes) => bytes.fill(0xa5, PAGE_BYTES, 2 * PAGE_BYTES),
      /meta page 1 must begin/,
    ],
    ["two page sizes", put(8_192, PAGE_BYTES + 48), /meta page 1 must have pages/],
    ["a root far away", put(2n ** 40n, ...both(136)), /a page of a tree must be one of 2 to/],
    [
      "noise in the root",
      (bytes) => bytes.fill(0xa5, rootOf(bytes) * PAGE_BYTES, (rootOf(bytes) + 1) * PAGE_BYTES),
      /must be one of a tree/,
    ],
  ];
  for (const [what, change, expected] of damaged) {
    const folder = await folderWith(change);
    const { code, message } = await rejection(openLmdbLog({ folder }));
    assert.is(code, "STORE_CORRUPT", what);
    assert.match(message, expected, what);
    assert.ok(message.includes(join(folder, "data.mdb")), what);
    assert.match(message, /Move the folder away .*headrace restore/, what);
  }
});

test("F3: a file that was cut short is refused, unless it lost only free pages and holds all data", async () => {
  let refused = 0;
  let sizes = 0;
  for (let size = soundBytes.length - PAGE_BYTES; size > 0; size -= 3 * PAGE_BYTES + 123) {
    sizes += 1;
    const folder = await folderWith((bytes) => bytes.subarray(0, size));
    const outcome = await openLmdbLog({ folder }).catch((error: { code: string; message: string }) => error);
    if ("message" in outcome) {
      assert.is(outcome.code, "STORE_CORRUPT", `${size} bytes`);
      assert.match(outcome.message, /as if cut short/, `${size} bytes`);
      refused += 1;
      continue;
    }
    for (let key = 0; key < KEYS; key += 1) {
      const { value = Buffer.alloc(0) } = (await outcome.readMetadata(`key-${key}`)) ?? {};
      assert.is(value.length, key % 40 === 0 ? 20_000 : 400, `${size} bytes, key ${key}`);
      assert.ok(value.every((byte) => byte === key % 256));
    }
    await outcome.close();
  }
  assert.ok(sizes > 10 && refused >= sizes - 2, `${refused} of ${sizes}`);
});

test("F3: a file whose last pages were never written is accepted, because no page of a tree is missing", async () => {
  const folder = await folderWith(put(BigInt(soundBytes.length / PAGE_BYTES + 50), ...both(144)));
  const opened = await openLmdbLog({ folder });
  assert.is(
    Buffer.compare((await opened.readMetadata("key-40"))?.value ?? Buffer.alloc(0), Buffer.alloc(20_000, 40)),
    0,
  );
  await opened.close();
});

test("F4: an empty folder, or one with an empty file, gets a new log; its name may have a dot", async () => {
  const folder = join(root, "data.v1");
  await mkdir(folder);
  checkDataFile(folder);
  await writeFile(join(folder, "data.mdb"), "");
  checkDataFile(folder);
  const opened = await openLmdbLog({ folder });
  await opened.writeMetadata("a", Buffer.from("b"), 0);
  await opened.close();
  checkDataFile(folder);
});

test("a node on a damaged file exits with a code and the reason, and does not crash", async () => {
  const data = join(root, "data");
  await mkdir(data);
  await rename(await folderWith((bytes) => bytes.fill(0xa5)), join(data, "log"));
  const { code, signal, stderr } = await startCommand(["up", "--port", "0", "--data", data]).ended;
  assert.equal([code, signal], [69, null], stderr);
  assert.match(stderr, /STORE_CORRUPT: Cannot open .*data\.mdb/);
  assert.not.match(stderr, /\n\s+at /);
});

const markOf = (folder: string) => readFile(join(folder, "cluster_id"), "utf8");

async function closedLog(name: string): Promise<{ folder: string; id: string }> {
  const folder = join(root, name);
  const made = await openLmdbLog({ folder });
  await made.close();
  assert.is(await markOf(folder), made.clusterId);
  return { folder, id: made.clusterId };
}

for (const [what, lose] of [
  ["deleted", (path: string) => rm(path)],
  ["emptied", (path: string) => writeFile(path, "")],
] as const) {
  test(`F4: a data file that was ${what} is the loss of a log, until the loss is accepted`, async () => {
    const { folder, id } = await closedLog(`lost-${what}`);
    await lose(join(folder, "data.mdb"));
    for (let tries = 0; tries < 2; tries += 1) {
      const error = await rejection(openLmdbLog({ folder }));
      assert.is(error.code, "STORE_LOST");
      for (const named of [join(folder, "data.mdb"), join(folder, "cluster_id"), id])
        assert.ok(error.message.includes(named));
    }
    const next = await openLmdbLog({ folder, acceptLoss: true });
    await next.close();
    assert.is.not(next.clusterId, id);
    const again = await openLmdbLog({ folder });
    await again.close();
    assert.is(again.clusterId, next.clusterId);
  });
}

test("a data file of another log is refused", async () => {
  const { folder, id } = await closedLog("replaced");
  const other = await closedLog("other");
  await writeFile(join(folder, "data.mdb"), await readFile(join(other.folder, "data.mdb")));
  const error = await rejection(openLmdbLog({ folder }));
  assert.is(error.code, "STORE_LOST");
  assert.ok(error.message.includes(id) && error.message.includes(other.id));
});

test("a folder of an earlier release, without a remembered id, keeps its log and remembers its id", async () => {
  const { folder, id } = await closedLog("earlier");
  await rm(join(folder, "cluster_id"));
  const log = await openLmdbLog({ folder });
  await log.close();
  assert.is(log.clusterId, id);
  assert.is(await markOf(folder), id);
});

test("a start that was interrupted before the log had its id is no loss", async () => {
  const folder = join(root, "cut-short");
  await mkdir(folder);
  await writeFile(join(folder, "data.mdb"), "");
  await writeFile(join(folder, "cluster_id.new"), "half");
  const log = await openLmdbLog({ folder });
  await log.close();
  assert.is(await markOf(folder), log.clusterId);
});

test.run();
