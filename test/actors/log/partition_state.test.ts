import { test } from "uvu";
import * as assert from "uvu/assert";
import { CHAIN_LIMITS } from "../../../actors/log/log.ts";
import {
  newChannel,
  openChain,
  type PartitionState,
  planAppend,
  SHORT_LIVED_CHAINS_MAX,
} from "../../../actors/log/partition_state.ts";
import { epoch } from "../../../protocols/position.ts";
import { dense } from "../../conformance/log_batches.ts";

const crowdedBy = (shortLivedChains: number): PartitionState => ({
  epoch: epoch(1),
  grant: { leaderEpoch: 1, tableVersion: 1 },
  settings: { tier: "memory", chains: CHAIN_LIMITS },
  channels: new Map([["records", newChannel()]]),
  chains: new Map(),
  shortLivedChains,
});

test("short-lived producers have a limit of their own, which keeps nobody else out", () => {
  const state = crowdedBy(SHORT_LIVED_CHAINS_MAX - 1);
  assert.is(openChain(state, "records", "http/1", 1, 0).kind, "opened");
  const full = { kind: "too_many_producers", live: SHORT_LIVED_CHAINS_MAX };
  assert.equal(openChain(state, "records", "http/2", 1, 0), full);
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

test.run();
