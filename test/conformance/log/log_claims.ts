/** Claims and fences: epochs, grants, and writes under a claim that is not the newest. */
import * as assert from "uvu/assert";
import { epoch, offset } from "../../../protocols/position.ts";
import { dense, plain } from "./log_batches.ts";
import { type LogHarness, p0, readAll, rejection, scenariosOf, written } from "./log_harness.ts";

export function logClaims(harness: LogHarness): void {
  const { append, claim, scenario, settings } = scenariosOf(harness);

  // log L1
  scenario("a claim makes an epoch above every earlier one and at least the floor", async (log) => {
    const first = await claim(log);
    const second = await claim(log, first.ownership.epoch + 1_000_000);
    const third = await claim(log);
    assert.ok(first.ownership.epoch >= 1);
    assert.is(second.ownership.epoch, first.ownership.epoch + 1_000_000);
    assert.is(third.ownership.epoch, second.ownership.epoch + 1);
    assert.equal(first.channels.get("records"), {
      epochs: [],
      firstOffset: offset(0),
      endOffset: offset(0),
      sizeBytes: 0,
    });
  });

  scenario("a grant below the last accepted is refused and the owner stays", async (log) => {
    const owner = await log.claim(p0, { leaderEpoch: 2, tableVersion: 7 }, epoch(1), settings);
    for (const grant of [
      { leaderEpoch: 2, tableVersion: 6 },
      { leaderEpoch: 1, tableVersion: 99 },
    ]) {
      const error = await rejection(log.claim(p0, grant, epoch(1), settings));
      assert.is(error.name, "FencedError");
      assert.is(error.code, "STALE_GRANT");
    }
    assert.equal(await append(log, owner, dense("a", 0, 1)), [written(0, 1)]);
  });

  // log L2, redis library R2
  scenario("a write of an earlier owner is refused and changes nothing", async (log) => {
    const old = await claim(log);
    const now = await claim(log);
    const calls = [
      log.append(old.ownership, { channel: "records", batches: [dense("a", 0, 2)] }),
      log.openChain(old.ownership, "records", "a", 1, 0),
      log.checkpoint(old.ownership, new Map([["c", Buffer.from("x")]])),
      log.trim(old.ownership, "records", offset(1)),
      log.expireChains(old.ownership, 0),
      log.declareLost(old.ownership, "a", 1, undefined, plain(5), 0),
    ];
    for (const call of await Promise.allSettled(calls)) {
      assert.is(call.status, "rejected");
      if (call.status === "rejected") assert.is(call.reason.code, "STALE_EPOCH");
    }
    assert.equal(await readAll(log, p0), []);
    assert.is((await log.readCheckpoints(p0)).size, 0);
    assert.equal(await append(log, now, dense("a", 0, 1)), [written(0, 1)]);
  });

  // log L2, redis library R2
  scenario("a write with a claim of another life of the store is refused", async (log) => {
    const { ownership } = await claim(log);
    const stranger = { ...ownership, store: "another" };
    const error = await rejection(log.append(stranger, { channel: "records", batches: [dense("a", 0, 1)] }));
    assert.is(error.code, "STORE_CHANGED");
    assert.equal(await readAll(log, p0), []);
  });

  // log L1, log L4
  scenario("everything acknowledged is there in the store's next life, and old claims are void", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 3, { rejected: [1] }), dense("b", 0, 1));
    await log.checkpoint(owner.ownership, new Map([["c", Buffer.from("c")]]));
    await log.writeMetadata("m", Buffer.from("m"), 0);
    const next = await harness.reopen(log);
    try {
      const error = await rejection(next.append(owner.ownership, { channel: "records", batches: [dense("b", 1, 1)] }));
      assert.is(error.name, "FencedError");
      const again = await claim(next);
      assert.ok(again.ownership.epoch > owner.ownership.epoch);
      assert.is(again.channels.get("records")?.endOffset, 3);
      assert.is(Buffer.from(again.checkpoints.get("c") ?? []).toString(), "c");
      assert.is((await next.readMetadata("m"))?.version, 1);
      const [repeated, following] = await append(next, again, dense("a", 0, 3), dense("b", 1, 1));
      assert.is(repeated?.kind === "duplicate" && repeated.verdicts.length, 1);
      assert.equal(following, written(3, 1));
      assert.equal(
        (await readAll(next, p0)).map(([, name]) => name),
        ["a:0/0/0", "a:0/2/0", "b:0/0/0", "b:0/1/0"],
      );
    } finally {
      await harness.close(next);
    }
  });
}
