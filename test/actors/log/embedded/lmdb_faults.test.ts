import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openLmdbLog } from "../../../../actors/log/embedded/lmdb_log.ts";
import { CHAIN_LIMITS, type Log } from "../../../../actors/log/log.ts";
import { epoch, offset } from "../../../../protocols/position.ts";
import { dense, partition } from "../../../conformance/log/log_batches.ts";
import { readAll, rejection } from "../../../conformance/log/log_suite.ts";

const WRITER = fileURLToPath(new URL("./lmdb_writer.ts", import.meta.url));
const SETTINGS = { tier: "fsync" as const, chains: CHAIN_LIMITS };
const GRANT = { leaderEpoch: 1, tableVersion: 1 };
const p0 = partition(0);

const claim = (log: Log) => log.claim(p0, GRANT, epoch(1), SETTINGS);
const writerArgs = (folder: string, ...more: string[]) => ["--import", "tsx", WRITER, folder, ...more];

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-faults-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Starts the writer, and resolves once it has printed `count` lines. Gathers its whole output. */
async function startWriter(folder: string, count: number): Promise<{ child: ChildProcess; said: () => string }> {
  const child = spawn("node", writerArgs(folder), { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  await new Promise<void>((resolve) => {
    child.stdout?.on("data", (chunk) => {
      said += String(chunk);
      if (said.split("\n").length > count) resolve();
    });
    child.stdout?.on("end", () => resolve());
  });
  return { child, said: () => said };
}

const ackedCount = (said: string): number => said.split("\n").filter((line) => line.startsWith("acked")).length;

test("every batch acknowledged before SIGKILL is there afterwards, in order, and the folder is free", () =>
  inFolder(async (folder) => {
    const { child, said } = await startWriter(folder, 60);
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
    const log = await openLmdbLog({ folder });
    const records = await readAll(log, p0);
    assert.ok(
      records.length >= ackedCount(said()) * 10,
      `${records.length} records, ${ackedCount(said())} acked batches`,
    );
    assert.equal(
      records.map(([, name]) => name),
      Array.from(records, (_, n) => `a:0/${n}/0`),
    );
    assert.equal(await readAll(log, p0, "state/a"), records, "the attached batches of the same calls");
    const { ownership } = await claim(log);
    const again = await log.append(ownership, { channel: "records", batches: [dense("a", 0, 10)] });
    assert.is(again.outcomes[0]?.kind, "duplicate");
    await log.close();
  }));

test("a second process is refused the folder, with the pid of its holder", () =>
  inFolder(async (folder) => {
    const log = await openLmdbLog({ folder });
    const child = spawn("node", writerArgs(folder, "1"), { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.on("data", (chunk) => {
      said += String(chunk);
    });
    await once(child, "close");
    assert.match(said, new RegExp(`^DATA_IN_USE .*pid ${process.pid}`));
    const sameProcess = await rejection(openLmdbLog({ folder }));
    assert.is(sameProcess.code, "DATA_IN_USE");
    await log.close();
    await (await openLmdbLog({ folder })).close();
  }));

test("a folder written by a newer release is refused", () =>
  inFolder(async (folder) => {
    const { LmdbStore } = await import("../../../../actors/log/embedded/lmdb_store.ts");
    const store = await LmdbStore.open(folder);
    await store.commit(new Map([["format", Uint8Array.of(2)]])).committed;
    await store.close();
    const error = await rejection(openLmdbLog({ folder }));
    assert.is(error.code, "FORMAT_TOO_NEW");
    assert.match(error.message, /current value is 2/);
  }));

test("a tier that one process cannot keep is refused", () =>
  inFolder(async (folder) => {
    const log = await openLmdbLog({ folder });
    const error = await rejection(log.claim(p0, GRANT, epoch(1), { tier: { replicas: 1 }, chains: CHAIN_LIMITS }));
    assert.is(error.code, "STORE_MISCONFIGURED");
    await log.close();
  }));

test("a damaged record on disk is STORE_CORRUPT, and the other records are still read", () =>
  inFolder(async (folder) => {
    let log = await openLmdbLog({ folder });
    const { ownership } = await claim(log);
    const events = [1, 2].map((fill) => Buffer.alloc(30_000, fill));
    for (const [n, bytes] of events.entries()) {
      await log.append(ownership, { channel: "records", batches: [dense("a", n, 1, { extra: { events: bytes } })] });
    }
    await log.close();
    const path = join(folder, "data.mdb");
    const at = (await readFile(path)).indexOf(Buffer.alloc(20_000, 2)) + 500;
    const file = await open(path, "r+");
    await file.write(Buffer.from([99]), 0, 1, at);
    await file.close();
    log = await openLmdbLog({ folder });
    const read = (bytesMax: number) =>
      log.read(p0, { channel: "records", after: undefined, committedOffset: offset(2), bytesMax });
    assert.is((await read(1)).kind, "records");
    const error = await rejection(read(1 << 20));
    assert.is(error.name, "UnavailableError");
    assert.is(error.code, "STORE_CORRUPT");
    await log.close();
  }));

/** Mounts a small file system in memory. Returns false, and prints why, where this machine does not allow it. */
function tryMount(folder: string, options: string): boolean {
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
  if (mounted.status === 0) return true;
  console.log(`not tried here: mount needs privileges (${String(mounted.stderr).trim() || mounted.error?.message})`);
  return false;
}

/** Resolves once the log is ready. Keeps the process alive meanwhile, which the log's own timers do not. */
const ready = (log: Log): Promise<void> =>
  new Promise((resolve) => {
    const alive = setInterval(() => undefined, 1_000);
    log.onStateChange((state) => {
      if (state.kind !== "ready") return;
      clearInterval(alive);
      resolve();
    });
  });

test("a full disk is DISK_FULL, loses no acknowledged record, and the log is ready again once there is room (lmdb store D3)", () =>
  inFolder(async (folder) => {
    if (!tryMount(folder, "size=3m")) return;
    try {
      const ballast = join(folder, "ballast");
      execFileSync("dd", ["if=/dev/zero", `of=${ballast}`, "bs=1k", "count=1500"], { stdio: "ignore" });
      const log = await openLmdbLog({ folder });
      const { ownership } = await claim(log);
      let acked = 0;
      const append = () =>
        log.append(ownership, {
          channel: "records",
          batches: [dense("a", acked, 1, { extra: { events: Buffer.alloc(50_000, acked) } })],
        });
      let error: { name: string; code: string } | undefined;
      for (; error === undefined && acked < 100; ) {
        try {
          await append();
          acked += 1;
        } catch (caught) {
          error = caught as { name: string; code: string };
        }
      }
      assert.is(error?.name, "UnavailableError");
      assert.is(error?.code, "DISK_FULL");
      assert.is(log.state().kind, "unavailable");
      const recovered = ready(log);
      await rm(ballast);
      await recovered;
      const again = await claim(log);
      const { outcomes } = await log.append(again.ownership, {
        channel: "records",
        batches: [dense("a", acked, 1, { extra: { events: Buffer.alloc(50_000, acked) } })],
      });
      assert.ok(outcomes[0]?.kind === "written" || outcomes[0]?.kind === "duplicate");
      assert.is(again.channels.get("records")?.firstOffset, 0);
      const end = (await log.describe(p0))?.get("records")?.endOffset ?? 0;
      assert.is(end, acked + 1);
      await log.close();
    } finally {
      spawnSync("umount", [folder]);
    }
  }));

test("a folder on a read-only disk is refused as DISK_READ_ONLY", () =>
  inFolder(async (folder) => {
    await (await openLmdbLog({ folder })).close();
    const bound = spawnSync("mount", ["--bind", folder, folder]);
    if (bound.status !== 0) return console.log("not tried here: mount needs privileges");
    try {
      execFileSync("mount", ["-o", "remount,ro,bind", folder]);
      const error = await rejection(openLmdbLog({ folder }));
      assert.is(error.name, "UnavailableError");
      assert.is(error.code, "DISK_READ_ONLY");
    } finally {
      spawnSync("umount", [folder]);
    }
  }));

test.run();
