import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  AUDIT_LIMITS,
  type AuditEntry,
  type AuditEvent,
  createAudit,
  lookAtAudit,
  recordAudit,
} from "../../../../supervisors/security/audit/audit_machine.ts";

const login = (address: string): AuditEvent => ({
  ...{ kind: "refused_login", address, action: "hello", outcome: "UNAUTHENTICATED" },
});
const told = (entries: readonly AuditEntry[]) => entries.map(({ address, count }) => `${address} ${count}`);

test("the first of several like events is an entry at once, and the others are one sum at the window's end", () => {
  const state = createAudit("n");
  const first = recordAudit(state, login("a"), 1_000);
  assert.equal(first, {
    entries: [{ ...login("a"), node: "n", count: 1, firstAtMs: 1_000, lastAtMs: 1_000 }],
    lookAtMs: 1_000 + AUDIT_LIMITS.windowMs,
  });
  for (const atMs of [1_001, 2_000, 3_000]) assert.equal(recordAudit(state, login("a"), atMs).entries, []);
  assert.equal(told(recordAudit(state, login("b"), 3_000).entries), ["b 1"]);
  assert.equal(lookAtAudit(state, 10_999).entries, []);
  const { entries, lookAtMs } = lookAtAudit(state, 11_000);
  assert.equal(entries, [{ ...login("a"), node: "n", count: 3, firstAtMs: 1_001, lastAtMs: 3_000 }]);
  assert.is(lookAtMs, undefined);
  assert.equal(told(recordAudit(state, login("a"), 20_000).entries), ["a 1"]);
});

test("a finished window is summed up before the next event is an entry", () => {
  const state = createAudit("n");
  recordAudit(state, login("a"), 0);
  recordAudit(state, login("a"), 1);
  assert.equal(told(recordAudit(state, login("c"), 60_000).entries), ["a 1", "c 1"]);
});

test("a flood from everywhere makes a bounded number of entries (A1), and each refusal is counted once (A2)", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3_000), { maxLength: 4_000 }), (addresses) => {
      const state = createAudit("n");
      const entries = addresses.flatMap((address, at) => [
        ...recordAudit(state, login(String(address)), at % 9_000).entries,
      ]);
      entries.push(...lookAtAudit(state, 9_001, true).entries);
      assert.ok(entries.length <= 2 * AUDIT_LIMITS.likenessesMax + 1);
      assert.is(
        entries.reduce((sum, { count }) => sum + count, 0),
        addresses.length,
      );
    }),
    { numRuns: 30 },
  );
});

test("texts that a caller chose are shortened", () => {
  const entry = recordAudit(createAudit("n"), { ...login("a"), action: "x".repeat(10_000) }, 0).entries[0];
  assert.is(entry?.action.length, AUDIT_LIMITS.textCharactersMax);
});

test.run();
