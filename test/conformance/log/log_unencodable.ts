/**
 * Bytes before state (E25): a call with a batch that has no stored form is refused whole. It changes neither the log's state
 * nor the appends of others beside it. Each poison breaks another encoder: that of entries, chains, verdicts, or the
 * function's arguments. On the embedded log this shows embedded M1.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { AppendBatch, AppendOutcome, Claim, Log } from "../../../actors/log/log.ts";
import { epoch } from "../../../protocols/position.ts";
import { dense, partition } from "./log_batches.ts";
import { type LogHarness, readAll, rejection, settingsOf } from "./log_harness.ts";

const GRANT = { leaderEpoch: 1, tableVersion: 1 };
const BEYOND_64_BITS = 2n ** 70n;

const withRejects = (reason: unknown): Partial<AppendBatch> => {
  const { rejects } = dense("poison", 0, 1, { rejected: [0] });
  return {
    rejects: {
      events: rejects?.events ?? new Uint8Array(),
      verdicts: [{ index: 0, code: "X", path: "", reason: reason as string }],
    },
  };
};

/** Batches that cannot be encoded, by their fault. */
const POISONS: Readonly<Record<string, Partial<AppendBatch>>> = {
  "a trace context longer than its length field": { traceparent: "a".repeat(70_000) },
  "a producer's name longer than its length field": { producerId: "p".repeat(70_000) },
  "a schema version beyond 32 bits": { schemaVersion: 2 ** 32 },
  "a resume point that MessagePack cannot hold": { position: { at: BEYOND_64_BITS } },
  "a verdict that has no stored form": withRejects(BEYOND_64_BITS),
  "no events at all": { events: undefined as unknown as Uint8Array },
  "sequences that are none": { sequences: { first: [0, 0, 0], count: 0 } },
};

const names = (read: readonly (readonly [number, string])[]) => read.map(([, name]) => name);

export function logUnencodable(harness: LogHarness): void {
  const p0 = partition(0);
  const settings = settingsOf(harness);
  const claim = (log: Log): Promise<Claim> => log.claim(p0, GRANT, epoch(1), settings);
  const append = async (log: Log, { ownership }: Claim, ...batches: AppendBatch[]): Promise<readonly AppendOutcome[]> =>
    (await log.append(ownership, { channel: "records", batches })).outcomes;

  for (const [what, extra] of Object.entries(POISONS)) {
    test(`${harness.name}: ${what} changes nothing, beside others and in a store's next life`, async () => {
      const log = await harness.open();
      let open = log;
      try {
        const owner = await claim(log);
        const poison = dense("poison", 0, 1, { extra });
        const [first, refused, second, chain] = await Promise.all([
          append(log, owner, dense("a", 0, 2)),
          rejection(append(log, owner, dense("b", 0, 2), poison, dense("a", 2, 1))),
          append(log, owner, dense("a", 2, 2)),
          log.openChain(owner.ownership, "records", "b", 1, 0),
        ]);
        assert.is(refused.name, "InvariantError");
        assert.equal(first, [{ kind: "written", firstOffset: 0, count: 2 }]);
        assert.equal(second, [{ kind: "written", firstOffset: 2, count: 2 }]);
        assert.equal(chain, { kind: "opened", lastSequence: undefined });
        assert.equal(await append(log, owner, dense("b", 0, 2)), [{ kind: "written", firstOffset: 4, count: 2 }]);
        const acknowledged = ["a:0/0/0", "a:0/1/0", "a:0/2/0", "a:0/3/0", "b:0/0/0", "b:0/1/0"];
        assert.equal(names(await readAll(log, p0)), acknowledged);
        assert.equal(await readAll(log, p0, "rejected"), []);
        open = await harness.reopen(log);
        const again = await claim(open);
        assert.is(again.channels.get("records")?.endOffset as number, 6);
        const [repeated, following] = await append(open, again, dense("a", 2, 2), dense("a", 4, 1));
        assert.is(repeated?.kind, "duplicate");
        assert.equal(following, { kind: "written", firstOffset: 6, count: 1 });
        assert.equal(names(await readAll(open, p0)), [...acknowledged, "a:0/4/0"]);
      } finally {
        await harness.close(open);
      }
    });
  }
}
