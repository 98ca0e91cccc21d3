/** Rejected events: set aside by the call that writes the others, and repeated in the answers to duplicates. */
import * as assert from "uvu/assert";
import { offset } from "../../../protocols/position.ts";
import { dense, plain } from "./log_batches.ts";
import { type LogHarness, p0, readAll, rejection, scenariosOf, written } from "./log_harness.ts";

export function logRejects(harness: LogHarness): void {
  const { append, claim, scenario } = scenariosOf(harness);

  // log L3
  scenario("rejects are set aside in the same call and the other events are kept", async (log) => {
    const owner = await claim(log);
    assert.equal(await append(log, owner, dense("a", 0, 4, { rejected: [1, 3] })), [written(0, 2)]);
    assert.equal(await readAll(log, p0), [
      [0, "a:0/0/0"],
      [1, "a:0/2/0"],
    ]);
    assert.equal(await readAll(log, p0, "rejected"), [
      [0, "dead:a:0/1/0"],
      [1, "dead:a:0/3/0"],
    ]);
  });

  scenario("a duplicate's answer repeats the stored verdicts by sequence", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 4, { rejected: [1, 3] }), dense("a:0", 0, 2, { rejected: [0] }));
    const [whole, part] = await append(log, owner, dense("a", 0, 4), dense("a", 2, 2));
    const verdict = (n: number) => ({
      sequence: plain(n),
      code: "SCHEMA_VIOLATION",
      path: `/${n}`,
      reason: `because of a:0/${n}/0`,
    });
    assert.equal(whole, { kind: "duplicate", stored: plain(3), verdicts: [verdict(1), verdict(3)] });
    assert.equal(part, { kind: "duplicate", stored: plain(3), verdicts: [verdict(3)] });
  });

  scenario("a batch of nothing but rejects moves its chain and no offset", async (log) => {
    const owner = await claim(log);
    assert.equal(await append(log, owner, dense("a", 0, 2, { rejected: [0, 1] })), [written(0, 0)]);
    assert.equal(await append(log, owner, dense("a", 2, 1)), [written(0, 1)]);
    assert.equal(await readAll(log, p0), [[0, "a:0/2/0"]]);
    assert.is((await readAll(log, p0, "rejected")).length, 2);
  });

  scenario("trimming the rejects forgets their verdicts and keeps the chain", async (log) => {
    const owner = await claim(log);
    await append(log, owner, dense("a", 0, 2, { rejected: [0] }));
    await log.trim(owner.ownership, "rejected", offset(1));
    assert.equal(await append(log, owner, dense("a", 0, 2)), [{ kind: "duplicate", stored: plain(1), verdicts: [] }]);
  });

  scenario("rejects outside the records channel are a bug of the caller", async (log) => {
    const { ownership } = await claim(log);
    const call = log.append(ownership, { channel: "outbox/x", batches: [dense("a", 0, 1, { rejected: [0] })] });
    assert.is((await rejection(call)).name, "InvariantError");
  });
}
