/**
 * What the suites of all logs share. `harness.open` gives a log on an empty store. `harness.reopen` ends the store's life and
 * begins the next on the same data.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type AppendBatch,
  type AppendOutcome,
  CHAIN_LIMITS,
  type Channel,
  type Claim,
  type DurabilityTier,
  type Grant,
  type Log,
  type PartitionSettings,
} from "../../../actors/log/log.ts";
import { epoch, offset, type PartitionReference, type Position } from "../../../protocols/position.ts";
import { partition, recordsOf } from "./log_batches.ts";

export interface LogHarness {
  readonly name: string;
  readonly tier: DurabilityTier;
  open(): Promise<Log>;
  reopen(log: Log): Promise<Log>;
  close(log: Log): Promise<void>;
}

export const GRANT: Grant = { leaderEpoch: 1, tableVersion: 1 };
export const READ_ALL = 1 << 30;

export async function rejection(promise: Promise<unknown>): Promise<{ name: string; code: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    return error as { name: string; code: string; message: string };
  }
  throw new Error("Cannot take the rejection as the promise must reject: it resolved");
}

export const settingsOf = (harness: LogHarness, chains = CHAIN_LIMITS): PartitionSettings => ({
  tier: harness.tier,
  chains,
});

export async function readAll(
  log: Log,
  of: PartitionReference,
  channel: Channel = "records",
  after?: Position,
): Promise<[number, string][]> {
  const bounds = (await log.describe(of))?.get(channel);
  const result = await log.read(of, {
    channel,
    after,
    committedOffset: bounds?.endOffset ?? offset(0),
    bytesMax: READ_ALL,
  });
  assert.is(result.kind, "records");
  return result.kind === "records" ? recordsOf(result.batches) : [];
}

export const p0 = partition(0);

export const written = (firstOffset: number, count: number): AppendOutcome => ({
  kind: "written",
  firstOffset: offset(firstOffset),
  count,
});

/** The calls of a suite under the harness's tier. `scenario` makes a test of a log that is opened for it alone. */
export function scenariosOf(harness: LogHarness) {
  const settings = settingsOf(harness);
  const scenario = (name: string, run: (log: Log) => Promise<unknown>) =>
    test(`${harness.name}: ${name}`, async () => {
      const log = await harness.open();
      try {
        await run(log);
      } finally {
        await harness.close(log);
      }
    });
  const claim = (log: Log, atLeast = 1, of = p0): Promise<Claim> => log.claim(of, GRANT, epoch(atLeast), settings);
  const append = async (log: Log, { ownership }: Claim, ...batches: AppendBatch[]) =>
    (await log.append(ownership, { channel: "records", batches })).outcomes;
  return { settings, scenario, claim, append };
}
