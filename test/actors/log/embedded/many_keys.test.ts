/**
 * E5: a log's memory of requests with an `Idempotency-Key` is bounded by the requests of one hour, however many come in
 * all.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { EmbeddedLog } from "../../../../actors/log/embedded/embedded_log.ts";
import { LmdbStore } from "../../../../actors/log/embedded/lmdb_store.ts";
import { MemoryStore } from "../../../../actors/log/embedded/memory_store.ts";
import type { OrderedStore } from "../../../../actors/log/embedded/ordered_store.ts";
import { CHAIN_LIMITS, SHORT_LIVED_PRODUCERS } from "../../../../actors/log/log.ts";
import { epoch, offset } from "../../../../protocols/position.ts";
import { dense, partition } from "../../../conformance/log/log_batches.ts";

const p0 = partition(0);
const KEYS_A_BURST = 1_000;
/** Bursts in the hour that a key is remembered. */
const BURSTS_AN_HOUR = 2;
const BURST_EVERY_MS = SHORT_LIVED_PRODUCERS.windowMs / BURSTS_AN_HOUR;

function countKeys(store: OrderedStore): number {
  let count = 0;
  for (const _ of store.range("\0", "\uffff")) count += 1;
  return count;
}

/** Sends keys as the HTTP station does: each is a producer that is welcomed, opens its chain and appends once. */
async function sendKeys(store: OrderedStore, keyCount: number) {
  let nowMs = 1_000_000;
  const log = new EmbeddedLog({
    kind: "memory",
    clusterId: "log-1",
    store,
    nowMs: () => nowMs,
    checkTier: () => undefined,
  });
  const { ownership } = await log.claim(p0, { leaderEpoch: 1, tableVersion: 1 }, epoch(1), {
    tier: "memory",
    chains: CHAIN_LIMITS,
  });
  const sizes: { chains: number; keys: number }[] = [];
  const one = async (n: number) => {
    const producerId = `${SHORT_LIVED_PRODUCERS.prefix}key-${n}`;
    const welcome = await log.welcomeProducer(producerId, "payload", 1, nowMs);
    assert.is(welcome.kind, "welcomed");
    assert.is((await log.openChain(ownership, "records", producerId, 1, nowMs)).kind, "opened");
    const batch = dense(producerId, 0, 1, { appendedAtMs: nowMs });
    const { outcomes } = await log.append(ownership, { channel: "records", batches: [batch] });
    assert.is(outcomes[0]?.kind, "written");
  };
  for (let sent = 0; sent < keyCount; sent += KEYS_A_BURST) {
    await Promise.all(Array.from({ length: KEYS_A_BURST }, (_, n) => one(sent + n)));
    // Retention and expiry, as the partition runs them from time to time.
    const end = (await log.describe(p0))?.get("records")?.endOffset ?? offset(0);
    await log.trim(ownership, "records", end);
    const chains = await log.expireChains(ownership, nowMs);
    sizes.push({ chains, keys: countKeys(store) });
    nowMs += BURST_EVERY_MS;
  }
  nowMs += SHORT_LIVED_PRODUCERS.windowMs + 1;
  const atEnd = await log.expireChains(ownership, nowMs);
  return { sizes, atEnd };
}

function assertFlat({ sizes, atEnd }: Awaited<ReturnType<typeof sendKeys>>): void {
  const settled = sizes.slice(BURSTS_AN_HOUR * 2);
  const most = Math.max(...settled.map(({ keys }) => keys));
  const least = Math.min(...settled.map(({ keys }) => keys));
  const inAnHour = KEYS_A_BURST * (BURSTS_AN_HOUR + 1);
  assert.ok(settled.every(({ chains }) => chains === inAnHour));
  // Each key of the hour has a chain and a producer. Old producers are forgotten a few at each welcome.
  assert.ok(most <= inAnHour * 3, `${most} keys of the store`);
  assert.ok(most - least < inAnHour, `from ${least} to ${most} keys of the store`);
  assert.is(atEnd, 0);
}

test("a log in memory is as large after 200,000 keys as after those of an hour", async () => {
  assertFlat(await sendKeys(new MemoryStore(), 200_000));
});

test("a log on disk is as large after 30,000 keys as after those of an hour", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-keys-"));
  const store = await LmdbStore.open(folder);
  assertFlat(await sendKeys(store, 30_000));
  await store.close();
  await rm(folder, { recursive: true });
});

test.run();
