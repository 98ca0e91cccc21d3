import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type CreditGrant, CreditPool } from "../../../../actors/ingest/session/credit_pool.ts";
import { moveWindow } from "../../../../actors/ingest/session/credit_window.ts";
import { OverloadedError } from "../../../../protocols/errors.ts";

const MIB = 1_048_576;
const asConfigured = () =>
  new CreditPool({ totalBytes: 256 * MIB, connectionsMax: 10_000, connectionBytesMax: 8 * MIB });

/** A sender that fills its window: answered until the window rests. */
function fill(grant: CreditGrant): void {
  for (let round = 0; round < 40; round += 1) moveWindow(grant, grant.creditBytes, grant.creditBytes);
}

test("a busy connection grows to the most that one connection may hold", () => {
  const grant = asConfigured().take();
  assert.ok(grant.creditBytes < 65_536);
  fill(grant);
  assert.is(grant.creditBytes, 8 * MIB);
});

test("C2: the full number of connections is welcomed, however busy the earlier ones are", () => {
  const pool = asConfigured();
  const busy = Array.from({ length: 2_000 }, () => {
    const grant = pool.take();
    fill(grant);
    return grant;
  });
  const quiet = Array.from({ length: 8_000 }, () => pool.take());
  assert.ok(pool.freeBytes >= 0);
  assert.ok(quiet.every(({ creditBytes }) => creditBytes >= 4_096));
  for (const grant of [...busy, ...quiet]) grant.release();
  assert.is(pool.freeBytes, 256 * MIB);
});

test("C3: busy connections end up with like shares, whichever came first", () => {
  const pool = asConfigured();
  const grants = Array.from({ length: 400 }, () => pool.take());
  for (const grant of grants.slice(0, 20)) fill(grant);
  for (let round = 0; round < 60; round += 1) {
    for (const grant of grants) moveWindow(grant, grant.creditBytes, grant.creditBytes);
  }
  const sizes = grants.map(({ creditBytes }) => creditBytes);
  assert.ok(Math.max(...sizes) <= 3 * Math.min(...sizes), `${Math.min(...sizes)} to ${Math.max(...sizes)}`);
});

test("a window that is not filled stays as it is", () => {
  const grant = asConfigured().take();
  const before = grant.creditBytes;
  assert.is(moveWindow(grant, before / 4, before / 4), 0);
  assert.is(grant.creditBytes, before);
});

test("a connection that finds less than the least memory free is told when to come again", () => {
  const pool = new CreditPool({ totalBytes: 10_000, connectionsMax: 2, connectionBytesMax: 5_000 });
  pool.take();
  pool.take();
  assert.throws(
    () => pool.take(),
    (error: unknown) =>
      error instanceof OverloadedError && error.code === "TOO_MANY_CONNECTIONS" && error.retryAfterMs > 0,
  );
});

test("C1: whatever connections come, go and send, the total is never exceeded and comes back whole", () => {
  const step = fc.record({
    what: fc.constantFrom("come", "go", "send"),
    which: fc.nat(30),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const totalBytes = 300_000;
      const pool = new CreditPool({ totalBytes, connectionsMax: 8, connectionBytesMax: 100_000 });
      const grants: CreditGrant[] = [];
      for (const { what, which, share } of steps) {
        const grant = grants[which % Math.max(1, grants.length)];
        if (what === "come" && grants.length < 8) grants.push(pool.take());
        else if (what === "go" && grant !== undefined) grants.splice(grants.indexOf(grant), 1)[0]?.release();
        else if (what === "send" && grant !== undefined) {
          const underWayBytes = Math.floor(grant.creditBytes * share);
          const moved = moveWindow(grant, underWayBytes, underWayBytes);
          assert.ok(moved >= -underWayBytes, "credit once given is not asked back");
        }
        const held = grants.reduce((sum, { creditBytes }) => sum + creditBytes, 0);
        assert.is(held + pool.freeBytes, totalBytes);
        assert.ok(pool.freeBytes >= 0);
      }
      for (const grant of grants) grant.release();
      assert.is(pool.freeBytes, totalBytes);
    }),
  );
});

test.run();
