/** E29 with the log itself: a state is stored in the call of its outputs, trimmed, and restored by the next owner. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog, type MemoryLog } from "../../../../actors/log/embedded/memory_log.ts";
import { type AttachedBatch, CHAIN_LIMITS, type Channel } from "../../../../actors/log/log.ts";
import type { StateLimits } from "../../../../actors/pipeline/keyed_state.ts";
import { PipelineState } from "../../../../actors/pipeline/state/pipeline_state.ts";
import { cursorBefore, epoch, type Position, position } from "../../../../protocols/position.ts";
import { dense, partition } from "../../../conformance/log/log_batches.ts";
import { EAGER_LIMITS } from "./stored_channel.ts";

const CHANNEL: Channel = "state/count";
const LIMITS: StateLimits = { keysMax: 20, bytesMax: 1 << 20, whenFull: "forget_oldest" };
const p0 = partition(0);

/** Restores the state as an owner does: by reading the channel from its first offset, a few batches at a time. */
async function restoredFrom(log: MemoryLog): Promise<PipelineState> {
  const state = new PipelineState(EAGER_LIMITS);
  const bounds = (await log.describe(p0))?.get(CHANNEL);
  if (bounds === undefined) return opened(state);
  let after: Position | undefined = cursorBefore(bounds.epochs, bounds.firstOffset);
  while ((after?.offset ?? -1) + 1 < bounds.endOffset) {
    const read = await log.read(p0, { channel: CHANNEL, after, committedOffset: bounds.endOffset, bytesMax: 1_000 });
    if (read.kind !== "records") throw new Error(`the log answered ${read.kind}`);
    for (const batch of read.batches) {
      state.load(batch);
      after = position(batch.epoch, batch.firstOffset + batch.count - 1);
    }
  }
  return opened(state);
}

function opened(state: PipelineState): PipelineState {
  state.loaded();
  return state;
}

test("the state of each owner is that of the last stored outputs, and the channel does not grow (E29)", async () => {
  const log = createMemoryLog();
  let outputs = 0;
  for (let owner = 1; owner <= 4; owner++) {
    const settings = { tier: "fsync", chains: CHAIN_LIMITS } as const;
    const { ownership, channels } = await log.claim(
      p0,
      { leaderEpoch: 1, tableVersion: owner },
      epoch(owner),
      settings,
    );
    assert.is(channels.get("outbox/count")?.endOffset ?? 0, outputs);
    const state = await restoredFrom(log);
    const table = state.table("counts", LIMITS);
    if (outputs > 0) assert.is(table.get("turns"), outputs);
    for (let turn = 0; turn < 200; turn++) {
      table.put("turns", outputs + 1);
      table.put(`k${outputs % 50}`, outputs);
      const { events, count } = state.changes() as { events: Uint8Array; count: number };
      const batch = { ...dense("state", 0, count), events };
      const attached: AttachedBatch[] = [{ channel: CHANNEL, batch }];
      const appended = await log.append(ownership, {
        channel: "outbox/count",
        batches: [dense("c", outputs, 1)],
        attached,
      });
      const before = state.stored(appended.attachedEnds?.[0] as never);
      if (before !== undefined) await log.trim(ownership, CHANNEL, before);
      outputs += 1;
    }
    table.put("turns", 0);
    log.faults.restart("unflushed");
  }
  const restored = await restoredFrom(log);
  const table = restored.table("counts", LIMITS);
  const newest = Array.from({ length: 19 }, (_, n) => `k${(outputs - 1 - n) % 50}`);
  assert.equal(
    Array.from(table.scan(), ([key]) => key),
    [...newest, "turns"].sort(),
  );
  const sizeBytes = (await log.describe(p0))?.get(CHANNEL)?.sizeBytes ?? 0;
  assert.ok(sizeBytes < 3 * restored.liveBytes + 1_500, `${sizeBytes} bytes for ${restored.liveBytes}`);
});

test.run();
