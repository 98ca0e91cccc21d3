/**
 * E10: no acknowledgement of tier `fsync` comes before its flush, on the real disk, by the order of system calls.
 *
 * lmdb_store.ts opens LMDB without a writable map and without overlapping sync. A commit then has three steps on two
 * descriptors of data.mdb: it writes the changed pages by pwrite64 or writev, syncs them by fdatasync, and writes the meta
 * page by pwrite64 on a descriptor opened with O_DSYNC. The commit is durable when that last write has returned. Redis with
 * `appendfsync always` writes its append-only file, syncs it, and only then writes replies.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CHAIN_LIMITS } from "../../../../actors/log/log.ts";
import { connectRedisLog } from "../../../../actors/log/redis/redis_log.ts";
import { epoch } from "../../../../protocols/position.ts";
import { batch, eventsOf, partition, plain } from "../../../conformance/log/log_batches.ts";
import {
  answersBeforeFlush,
  type FlushRule,
  isWrite,
  parseCalls,
  requireStrace,
  type SentAnswer,
  type SystemCall,
  straced,
} from "../../../support/processes/system_calls.ts";
import { requireRedis, startRedis } from "../../../support/redis/redis_server.ts";

requireStrace();
requireRedis();

const WRITER = fileURLToPath(new URL("./flush_writer.ts", import.meta.url));
const WAVES = 100;
const LMDB: FlushRule = { file: /\/data\.mdb>/, marks: /mark-\d+-\d+;/g, hasCommitWrite: true };
const REDIS: FlushRule = { file: /\.incr\.aof>/, marks: /mark-\d+-\d+;/g, hasCommitWrite: false };

async function inFolder<Value>(run: (folder: string) => Promise<Value>): Promise<Value> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-flush-"));
  try {
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The faults of the acknowledgements of a writer that works in this way. */
const wrongWithLmdb = (how: string): Promise<readonly string[]> =>
  inFolder(async (folder) => {
    const trace = join(folder, "trace");
    const [strace = "", ...options] = straced(trace);
    const node = "Deno" in globalThis ? "node" : process.execPath;
    const writer = [node, "--import", "tsx", WRITER, join(folder, "data"), String(WAVES), how];
    const child = spawn(strace, [...options, ...writer], { stdio: ["ignore", "ignore", "inherit"] });
    const [code] = await once(child, "close");
    assert.is(code, 0);
    const calls = parseCalls(await readFile(trace, "utf8"));
    const answers = calls.filter(isWrite).flatMap(({ text, beganAt }): SentAnswer[] => {
      const [, mark] = /"acked (mark-\d+-\d+;)/.exec(text) ?? [];
      return mark === undefined ? [] : [{ mark, leftAt: beganAt }];
    });
    assert.is(answers.length, WAVES * 3, "every append was acknowledged");
    return answersBeforeFlush(calls, LMDB, answers);
  });

// Shows embedded M2 and lmdb store D2.
test("the embedded log acknowledges an append of tier fsync only after pages and commit are on the disk", async () => {
  assert.equal((await wrongWithLmdb("flushed")).slice(0, 5), []);
});

test("a skipped flush is noticed", async () => {
  const wrong = await wrongWithLmdb("without sync");
  assert.is(wrong.length, WAVES * 3, wrong[0]);
  assert.match(wrong[0] ?? "", /before a sync/);
});

test("an acknowledgement that does not wait for the commit is noticed", async () => {
  const wrong = await wrongWithLmdb("too early");
  assert.ok(wrong.length > WAVES, `${wrong.length} of ${WAVES * 3} were noticed`);
});

/** The faults of the replies to appends of a Redis that flushes in this way. */
async function wrongWithRedis(appendfsync: "always" | "everysec"): Promise<readonly string[]> {
  return inFolder(async (folder) => {
    const trace = join(folder, "trace");
    const redis = await startRedis({ appendfsync, under: straced(trace) });
    const log = await connectRedisLog({ url: redis.url });
    const tier = appendfsync === "always" ? "fsync" : "everysec";
    const settings = { tier, chains: CHAIN_LIMITS } as const;
    const owners = await Promise.all(
      [0, 1, 2].map((n) => log.claim(partition(n), { leaderEpoch: 1, tableVersion: 1 }, epoch(1), settings)),
    );
    for (let wave = 0; wave < WAVES; wave += 1) {
      const appends = owners.map(async ({ ownership }, n) => {
        const extra = { events: eventsOf([`mark-${n}-${wave};`]) };
        const previous = wave === 0 ? undefined : plain(wave - 1);
        const one = batch("a", previous, { first: plain(wave), count: 1 }, { extra });
        await log.append(ownership, { channel: "records", batches: [one] });
      });
      await Promise.all(appends);
    }
    await log.close();
    await redis.end();
    const calls = parseCalls(await readFile(trace, "utf8"));
    const answers = repliesToAppends(calls);
    assert.is(answers.length, WAVES * 3, "every append was replied to");
    return answersBeforeFlush(calls, REDIS, answers);
  });
}

/** Finds the replies of the append function, which name the new end of their partition. */
function repliesToAppends(calls: readonly SystemCall[]): SentAnswer[] {
  const seen = new Map<number, number>();
  return calls
    .filter((call) => isWrite(call) && call.target.includes("TCP"))
    .flatMap(({ text, beganAt }) =>
      [...text.matchAll(/\$2\\r\\nok\\r\\n\$\d+\\r\\n(\d+)\\r\\n\$/g)].map(([, end]): SentAnswer => {
        const wave = Number(end) - 1;
        const n = seen.get(wave) ?? 0;
        seen.set(wave, n + 1);
        return { mark: `mark-${n}-${wave};`, leftAt: beganAt };
      }),
    );
}

test("Redis with appendfsync always replies to an append only after its file is synced", async () => {
  assert.equal((await wrongWithRedis("always")).slice(0, 5), []);
});

test("a Redis that syncs once a second is noticed", async () => {
  const wrong = await wrongWithRedis("everysec");
  assert.ok(wrong.length > WAVES, `${wrong.length} of ${WAVES * 3} were noticed`);
});

test.run();
