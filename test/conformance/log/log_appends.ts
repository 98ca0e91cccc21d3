/** Appends: offsets, duplicates, gaps, and the bytes that come back. */
import * as assert from "uvu/assert";
import type { AppendOutcome } from "../../../actors/log/log.ts";
import { offset, position } from "../../../protocols/position.ts";
import type { Sequence } from "../../../protocols/sequence.ts";
import { batch, dense, namesOf, partition, plain } from "./log_batches.ts";
import { type LogHarness, p0, READ_ALL, readAll, scenariosOf, written } from "./log_harness.ts";

export function logAppends(harness: LogHarness): void {
  const { append, claim, scenario } = scenariosOf(harness);

  scenario("records get dense offsets and come back as they were appended", async (log) => {
    const owner = await claim(log);
    const sent = dense("a", 0, 3, {
      appendedAtMs: 1_234,
      extra: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
    });
    const outcomes = await append(log, owner, sent, dense("b", 0, 2), dense("a", 3, 1));
    assert.equal(outcomes, [written(0, 3), written(3, 2), written(5, 1)]);
    const result = await log.read(p0, {
      channel: "records",
      after: undefined,
      committedOffset: offset(6),
      bytesMax: READ_ALL,
    });
    assert.is(result.kind, "records");
    if (result.kind !== "records") return;
    assert.is(result.batches.length, 3);
    const [stored] = result.batches;
    assert.equal(
      { ...stored, events: namesOf(stored?.events ?? Buffer.alloc(0)) },
      {
        epoch: owner.ownership.epoch,
        firstOffset: offset(0),
        count: 3,
        appendedAtMs: 1_234,
        schemaVersion: 3,
        producerId: "a",
        sequences: { first: plain(0), count: 3 },
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        events: ["a:0/0/0", "a:0/1/0", "a:0/2/0"],
      },
    );
    assert.equal(
      (await readAll(log, p0)).map(([at]) => at),
      [0, 1, 2, 3, 4, 5],
    );
  });

  // redis library R3
  scenario("every byte of an event survives", async (log) => {
    const owner = await claim(log);
    const events = Buffer.from(Array.from({ length: 4_096 }, (_, index) => index & 255));
    await append(log, owner, dense("é\u{1f600}", 0, 1, { extra: { events } }));
    const result = await log.read(p0, {
      channel: "records",
      after: undefined,
      committedOffset: offset(1),
      bytesMax: 1,
    });
    assert.is(result.kind, "records");
    if (result.kind !== "records") return;
    assert.ok(Buffer.from(result.batches[0]?.events ?? []).equals(events));
    assert.is(result.batches[0]?.producerId, "é\u{1f600}");
  });

  // log L3
  scenario("a repeated batch is a duplicate and is not written again", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 5));
    const outcomes = await append(log, owner, dense("a", 0, 5), dense("a", 2, 2));
    assert.equal(outcomes, [
      { kind: "duplicate", stored: plain(4), verdicts: [] },
      { kind: "duplicate", stored: plain(4), verdicts: [] },
    ]);
    assert.is((await readAll(log, p0)).length, 5);
  });

  scenario("a batch repeated within one call is a duplicate of the first", async (log) => {
    const owner = await claim(log);
    const outcomes = await append(log, owner, dense("a", 0, 2, { rejected: [1] }), dense("a", 0, 2, { rejected: [1] }));
    assert.equal(outcomes[0], written(0, 1));
    assert.is(outcomes[1]?.kind, "duplicate");
    assert.is(outcomes[1]?.kind === "duplicate" && outcomes[1].verdicts.length, 1);
  });

  // log L3
  scenario("a batch that skips, overlaps or starts below its own predecessor is a gap", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 5));
    const gap: AppendOutcome = { kind: "gap", stored: plain(4) };
    const outcomes = await append(
      log,
      owner,
      dense("a", 7, 2),
      dense("a", 3, 4),
      batch("a", plain(4), { first: plain(3), count: 4 }),
      batch("a", undefined, { first: plain(5), count: 1 }),
    );
    assert.equal(outcomes, [gap, gap, gap, gap]);
    assert.equal(await append(log, owner, dense("a", 5, 1)), [written(5, 1)]);
  });

  scenario("a refused batch does not hold up the others of its call", async (log) => {
    const owner = await claim(log);
    const outcomes = await append(log, owner, dense("a", 0, 1), dense("a", 5, 1), dense("b", 0, 1), dense("a", 1, 1));
    assert.equal(outcomes, [written(0, 1), { kind: "gap", stored: plain(0) }, written(1, 1), written(2, 1)]);
    assert.equal(await readAll(log, p0), [
      [0, "a:0/0/0"],
      [1, "b:0/0/0"],
      [2, "a:0/1/0"],
    ]);
  });

  scenario(
    "a batch of an unknown producer that names a previous sequence is answered unknown_producer",
    async (log) => {
      const owner = await claim(log);
      assert.equal(await append(log, owner, dense("a", 5, 1)), [{ kind: "unknown_producer" }]);
      assert.equal(await log.openChain(owner.ownership, "records", "a", 1, 0), {
        kind: "opened",
        lastSequence: undefined,
      });
      assert.equal(await append(log, owner, dense("a", 5, 1)), [{ kind: "gap", stored: undefined }]);
    },
  );

  // redis library R4
  scenario("sequences compare as triples, listed ones too", async (log) => {
    const owner = await claim(log);
    const first: Sequence[] = [
      [5, 100, 0],
      [5, 100, 1],
      [5, 109, 0],
    ];
    const next: Sequence[] = [[6, 100, 0]];
    const huge: Sequence[] = [[6, 2 ** 53 - 1, 0]];
    const outcomes = await append(
      log,
      owner,
      batch("t", undefined, { list: first }),
      batch("t", [5, 109, 0], { list: next }),
      batch("t", [6, 100, 0], { list: huge }),
      batch("t", [5, 109, 0], { list: [[5, 110, 0]] }),
    );
    assert.equal(outcomes, [
      written(0, 3),
      written(3, 1),
      written(4, 1),
      { kind: "duplicate", stored: [6, 2 ** 53 - 1, 0], verdicts: [] },
    ]);
    const result = await log.read(p0, {
      channel: "records",
      after: undefined,
      committedOffset: offset(5),
      bytesMax: 1,
    });
    assert.equal(result.kind === "records" && result.batches[0]?.sequences, { list: first });
  });

  scenario("channels have offsets and chains of their own", async (log) => {
    const { ownership } = await claim(log);
    for (const channel of ["records", "outbox/enriched", "dead_letters/file"] as const) {
      const { outcomes, endOffset } = await log.append(ownership, { channel, batches: [dense("p", 0, 2)] });
      assert.equal(outcomes, [written(0, 2)]);
      assert.is(endOffset, 2);
    }
    const channels = await log.describe(p0);
    assert.equal([...(channels?.keys() ?? [])].sort(), ["dead_letters/file", "outbox/enriched", "records"]);
    assert.is((await claim(log)).channels.get("outbox/enriched")?.endOffset, 2);
  });

  scenario("the size of a channel is that of its stored batches", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 1, { extra: { events: Buffer.alloc(100_000, 1) } }));
    const sizeBytes = (await log.describe(p0))?.get("records")?.sizeBytes ?? 0;
    assert.ok(sizeBytes >= 100_000 && sizeBytes < 103_000, `${sizeBytes}`);
  });

  scenario("partitions do not mix, whatever their names", async (log) => {
    const names = [partition(1, "a"), partition(11, "a"), partition(1, "a/1"), partition(1, "A{x}")];
    for (const [at, of] of names.entries()) {
      await append(log, await claim(log, 1, of), dense(`p${at}`, 0, at + 1));
    }
    for (const [at, of] of names.entries()) assert.is((await readAll(log, of)).length, at + 1);
  });

  scenario("appends to many partitions at once all arrive", async (log) => {
    const owners = await Promise.all(Array.from({ length: 16 }, (_, n) => claim(log, 1, partition(n))));
    const outcomes = await Promise.all(owners.map((owner) => append(log, owner, dense("a", 0, 7), dense("b", 0, 1))));
    for (const outcome of outcomes) assert.equal(outcome, [written(0, 7), written(7, 1)]);
    for (const { ownership } of owners) assert.is((await readAll(log, ownership.partition)).length, 8);
  });

  scenario("many small batches of one call are read back one by one and from any cursor", async (log) => {
    const owner = await claim(log);
    const batches = Array.from({ length: 700 }, (_, n) => dense(`p${n % 7}`, Math.floor(n / 7), 1));
    const refused = dense("p0", 500, 1);
    const outcomes = await append(log, owner, ...batches.slice(0, 350), refused, ...batches.slice(350));
    assert.is(outcomes.filter(({ kind }) => kind === "written").length, 700);
    assert.is(outcomes[350]?.kind, "gap");
    const all = await readAll(log, p0);
    assert.equal(
      all.map(([at]) => at),
      Array.from({ length: 700 }, (_, n) => n),
    );
    for (const n of [0, 1, 349, 350, 351, 698]) {
      assert.equal((await readAll(log, p0, "records", position(owner.ownership.epoch, n)))[0], all[n + 1]);
    }
  });
}
