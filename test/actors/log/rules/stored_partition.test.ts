import { test } from "uvu";
import * as assert from "uvu/assert";
import { EMPTY_BOUNDS } from "../../../../actors/log/bounds.ts";
import { CHAIN_LIMITS, type Grant } from "../../../../actors/log/log.ts";
import { planAppend } from "../../../../actors/log/rules/append_plan.ts";
import { chainName, heldKey, ownerMark, SHORT_LIVED_CHAINS_MAX } from "../../../../actors/log/rules/chain_places.ts";
import {
  applyChanges,
  claimedState,
  type PartitionState,
  planExpiry,
  planOpen,
} from "../../../../actors/log/rules/stored_partition.ts";
import { epoch } from "../../../../protocols/position.ts";
import { batch, dense, plain } from "../../../conformance/log/log_batches.ts";

const crowdedBy = (shortLived: number, held = new Map<string, number>()): PartitionState => ({
  epoch: epoch(1),
  grant: { leaderEpoch: 1, tableVersion: 1 },
  settings: { tier: "memory", chains: CHAIN_LIMITS },
  channels: new Map([["records", EMPTY_BOUNDS]]),
  chains: new Map(),
  places: { shortLived, held },
});

test("C1: short-lived producers have a limit of their own, which keeps no other producer out (P4)", () => {
  const state = crowdedBy(SHORT_LIVED_CHAINS_MAX - 1);
  const first = planOpen(state, "records", "http/1", 1, 0);
  assert.is(first.outcome.kind, "opened");
  applyChanges(state, first);
  const full = { kind: "too_many_producers", live: SHORT_LIVED_CHAINS_MAX };
  assert.equal(planOpen(state, "records", "http/2", 1, 0).outcome, full);
  const { outcomes } = planAppend(state, {
    channel: "records",
    batches: [dense("http/2", 0, 1), dense("http/1", 0, 1), dense("a", 0, 1)],
  });
  assert.equal(outcomes[0], full);
  assert.equal(
    outcomes.map(({ kind }) => kind),
    ["too_many_producers", "written", "written"],
  );
});

test("C2: requests with a key of one principal leave places to those of others", () => {
  const live = SHORT_LIVED_CHAINS_MAX - 10;
  const state = crowdedBy(live, new Map([[heldKey("records\0http/1", ownerMark("alice")), 80]]));
  const refusal = { kind: "too_many_producers", live, share: { held: 80, free: 10 } };
  assert.equal(planOpen(state, "records", "http/2", 1, 0, "alice").outcome, refusal);
  assert.is(planOpen(state, "records", "http/2", 1, 0, "bob").outcome.kind, "opened");
  assert.is(
    planOpen(state, "records", "a", 1, 0, "alice").outcome.kind,
    "opened",
    "the principal's ordinary producers are counted apart",
  );
});

test("P1: an epoch is above the stored one, the floor and the clock, and a lower grant is refused", () => {
  const state = { ...crowdedBy(0), epoch: epoch(5), grant: { leaderEpoch: 2, tableVersion: 7 } };
  const claimEpoch = (grant: Grant, atLeast: number, nowMs: number) =>
    claimedState(state, grant, epoch(atLeast), state.settings, nowMs).epoch;
  assert.is(claimEpoch(state.grant, 1, 0), 6);
  assert.is(claimEpoch(state.grant, 9, 0), 9);
  assert.is(claimEpoch(state.grant, 1, 100.5), 100);
  for (const grant of [
    { leaderEpoch: 2, tableVersion: 6 },
    { leaderEpoch: 1, tableVersion: 99 },
  ]) {
    assert.throws(() => claimEpoch(grant, 1, 0), /grant must be at least 2\/7/);
  }
});

test("P2: a stored batch is a duplicate whatever it follows; only a batch right behind the chain is written", () => {
  const state = crowdedBy(0);
  applyChanges(state, planAppend(state, { channel: "records", batches: [dense("a", 0, 5)] }));
  const kindOf = (previous: number, first: number, count: number) =>
    planAppend(state, { channel: "records", batches: [batch("a", plain(previous), { first: plain(first), count })] })
      .outcomes[0]?.kind;
  assert.is(kindOf(9, 3, 2), "duplicate");
  assert.is(kindOf(9, 5, 1), "gap");
  assert.is(kindOf(4, 3, 4), "gap", "it begins below the stored sequence");
  assert.is(kindOf(4, 5, 1), "written");
});

test("P3: one plan holds a batch's records, its rejects and its chain's step", () => {
  const state = crowdedBy(0);
  const plan = planAppend(state, { channel: "records", batches: [dense("a", 0, 3, { rejected: [1] })] });
  assert.equal(
    plan.records.map(({ count }) => count),
    [2],
  );
  assert.equal(
    plan.rejects.map(({ stored }) => stored.sequences),
    [{ list: [plain(1)] }],
  );
  assert.equal(
    [...plan.channels].map(([name, { endOffset }]) => [name, endOffset]),
    [
      ["records", 2],
      ["rejected", 1],
    ],
  );
  assert.equal(plan.chains.get(chainName("records", "a"))?.stored, plain(2));
});

test("P5: a plan changes nothing until it is applied, and then exactly what it says", () => {
  const state = crowdedBy(0);
  const plan = planAppend(state, {
    channel: "records",
    batches: [dense("http/1", 0, 2), dense("a", 0, 3, { extra: { owner: "alice" } }), dense("a", 3, 1)],
  });
  assert.equal([...state.chains], []);
  assert.equal(state.channels.get("records"), EMPTY_BOUNDS);
  applyChanges(state, plan);
  assert.is(state.channels.get("records")?.endOffset as number, 6);
  assert.equal(state.chains.get(chainName("records", "a"))?.stored, [0, 3, 0]);
  assert.equal(state.places, { shortLived: 1, held: new Map([[heldKey("records\0a", ownerMark("alice")), 1]]) });
  const expiry = planExpiry(state, 1_000 + 25 * 3_600_000);
  assert.is(state.chains.size, 2);
  applyChanges(state, expiry);
  assert.is(state.chains.size, 0);
  assert.equal(state.places, { shortLived: 0, held: new Map() });
});

test("P4: batches of one plan count toward the limit of producers", () => {
  const state = crowdedBy(0);
  const limited = { ...state, settings: { ...state.settings, chains: { ...CHAIN_LIMITS, producersMax: 2 } } };
  const { outcomes } = planAppend(limited, {
    channel: "records",
    batches: [dense("a", 0, 1), dense("b", 0, 1), dense("c", 0, 1), dense("a", 1, 1)],
  });
  assert.equal(
    outcomes.map(({ kind }) => kind),
    ["written", "written", "too_many_producers", "written"],
  );
});

test.run();
