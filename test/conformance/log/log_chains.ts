/** Chains of producers: opening, resume points, declared losses, places and expiry. */
import * as assert from "uvu/assert";
import type { AppendOutcome } from "../../../actors/log/log.ts";
import { epoch } from "../../../protocols/position.ts";
import { toJsonValue } from "../../../protocols/values/json_values.ts";
import { PreciseDate } from "../../../protocols/values/precise_date.ts";
import { dense, plain } from "./log_batches.ts";
import { GRANT, type LogHarness, p0, scenariosOf, written } from "./log_harness.ts";

export function logChains(harness: LogHarness): void {
  const { append, claim, scenario } = scenariosOf(harness);

  scenario("a resume point comes back as it was sent, from the next owner too", async (log) => {
    const sent = {
      ...{ file: "x", at: 2 ** 40, large: 2n ** 63n, small: -(2n ** 60n), half: 0.5, "": null },
      inner: {
        list: [[], [true, "é"]],
        time: new PreciseDate(5, 7),
        day: new Date(86_400_000),
        bytes: Buffer.from("b"),
      },
    };
    const first = await claim(log);
    await append(log, first, dense("a", 0, 1, { extra: { position: sent } }));
    const next = await claim(log, first.ownership.epoch + 1);
    const opened = await log.openChain(next.ownership, "records", "a", 9, 0);
    assert.equal(toJsonValue(opened.kind === "opened" ? opened.position : opened), toJsonValue(sent));
  });

  scenario(
    "opening a chain raises its epoch, answers the stored sequence and fences the earlier instance",
    async (log) => {
      const owner = await claim(log);
      await append(log, owner, dense("a", 0, 3, { producerEpoch: 4, extra: { position: { file: "x", at: 17 } } }));
      const opened = await log.openChain(owner.ownership, "records", "a", 9, 0);
      assert.equal(opened, { kind: "opened", lastSequence: plain(2), position: { file: "x", at: 17 } });
      assert.equal(await append(log, owner, dense("a", 3, 1, { producerEpoch: 8 })), [
        { kind: "stale_producer_epoch", current: 9 },
      ]);
      assert.equal(await log.openChain(owner.ownership, "records", "a", 8, 0), {
        kind: "stale_producer_epoch",
        current: 9,
      });
      assert.equal(await append(log, owner, dense("a", 3, 1, { producerEpoch: 9 })), [written(3, 1)]);
    },
  );

  scenario("lost sequences move the chain, and are recorded as a dead letter", async (log) => {
    const { ownership } = await claim(log);
    await log.append(ownership, { channel: "records", batches: [dense("a", 0, 2)] });
    const lost = await log.declareLost(ownership, "a", 1, plain(1), plain(9), 5);
    assert.is(lost.kind, "written");
    assert.is((await log.declareLost(ownership, "a", 1, plain(1), plain(9), 5)).kind, "duplicate");
    assert.is((await log.declareLost(ownership, "a", 1, plain(20), plain(30), 5)).kind, "gap");
    const after = await log.append(ownership, { channel: "records", batches: [dense("a", 10, 1)] });
    assert.equal(after.outcomes, [written(2, 1)]);
    assert.is((await log.describe(p0))?.get("rejected")?.endOffset, 1);
  });

  scenario("no more chains live than producersMax, and idle ones are forgotten with their verdicts", async (log) => {
    const chains = { dedupeWindowMs: 1_000, producersMax: 2 };
    const owner = await log.claim(p0, GRANT, epoch(1), { tier: harness.tier, chains });
    await append(
      log,
      owner,
      dense("a", 0, 2, { appendedAtMs: 0, rejected: [0] }),
      dense("b", 0, 1, { appendedAtMs: 900 }),
    );
    const full: AppendOutcome = { kind: "too_many_producers", live: 2 };
    assert.equal(await append(log, owner, dense("c", 0, 1)), [full]);
    assert.equal(await log.openChain(owner.ownership, "records", "c", 1, 900), full);
    assert.is(await log.expireChains(owner.ownership, 1_000), 2);
    assert.is(await log.expireChains(owner.ownership, 1_001), 1);
    assert.equal(await append(log, owner, dense("a", 2, 1)), [{ kind: "unknown_producer" }]);
    assert.is((await append(log, owner, dense("c", 0, 1)))[0]?.kind, "written");
    assert.is(await log.expireChains(owner.ownership, 10_000), 0);
    await append(log, owner, dense("a", 0, 2, { appendedAtMs: 10_000 }));
    const [again] = await append(log, owner, dense("a", 0, 2, { appendedAtMs: 10_000 }));
    assert.equal(again, { kind: "duplicate", stored: plain(1), verdicts: [] });
  });

  scenario(
    "a chain that was opened and has no sequence keeps its place for a minute, not for the dedupe window",
    async (log) => {
      const chains = { dedupeWindowMs: 86_400_000, producersMax: 2 };
      const owner = await log.claim(p0, GRANT, epoch(1), { tier: harness.tier, chains });
      for (const idle of ["x", "y"]) await log.openChain(owner.ownership, "records", idle, 1, 0);
      assert.equal(await append(log, owner, dense("a", 0, 1)), [{ kind: "too_many_producers", live: 2 }]);
      assert.is(await log.expireChains(owner.ownership, 60_000), 2);
      assert.is(await log.expireChains(owner.ownership, 60_001), 0);
      assert.is((await append(log, owner, dense("a", 0, 1)))[0]?.kind, "written");
      assert.is((await append(log, owner, dense("x", 0, 1)))[0]?.kind, "written", "its producer begins anew");
      assert.is(await log.expireChains(owner.ownership, 3_600_000), 2);
    },
  );

  scenario("producers of one request are counted apart, and forgotten after an hour", async (log) => {
    const chains = { dedupeWindowMs: 86_400_000, producersMax: 2 };
    const owner = await log.claim(p0, GRANT, epoch(1), { tier: harness.tier, chains });
    const written = await append(
      log,
      owner,
      ...["http/1", "http/2", "http/3", "http/3"].map((id, n) => dense(id, n === 3 ? 1 : 0, 1, { appendedAtMs: 0 })),
    );
    assert.equal(
      written.map(({ kind }) => kind),
      ["written", "written", "written", "written"],
    );
    assert.is((await log.openChain(owner.ownership, "records", "http/4", 1, 3_600_000)).kind, "opened");
    assert.is((await log.openChain(owner.ownership, "records", "a", 1, 3_600_000)).kind, "opened");
    assert.is((await append(log, owner, dense("b", 0, 1)))[0]?.kind, "written");
    const full: AppendOutcome = { kind: "too_many_producers", live: 2 };
    assert.equal(await append(log, owner, dense("c", 0, 1)), [full]);
    assert.is((await append(log, owner, dense("http/5", 0, 1, { appendedAtMs: 1 })))[0]?.kind, "written");
    assert.is(await log.expireChains(owner.ownership, 3_600_000), 7);
    assert.is(
      await log.expireChains(owner.ownership, 3_600_001),
      4,
      "left are the last request's chain, the two of the long window, and the one just opened",
    );
    assert.equal(await append(log, owner, dense("c", 0, 1)), [full]);
    const next = await harness.reopen(log);
    try {
      const again = await next.claim(p0, { leaderEpoch: 2, tableVersion: 1 }, epoch(1), { tier: harness.tier, chains });
      assert.equal(await append(next, again, dense("c", 0, 1)), [full]);
      assert.is((await append(next, again, dense("http/6", 0, 1)))[0]?.kind, "written");
    } finally {
      await harness.close(next);
    }
  });
}
