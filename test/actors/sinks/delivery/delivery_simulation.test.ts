import { test } from "uvu";
import * as assert from "uvu/assert";
import { DeliveryWorld, type PlantedBug } from "../../../support/fakes/delivery_world.ts";

const SEEDS = 400;
const STEPS = 600;

function totals(seeds: number, canTruncate: boolean): Record<string, number> {
  const sum: Record<string, number> = {};
  for (let seed = 1; seed <= seeds; seed += 1) {
    const world = new DeliveryWorld(seed, {}, canTruncate);
    world.run(STEPS);
    assert.equal(world.problems, [], `seed ${seed}, truncation ${canTruncate}`);
    for (const [fault, count] of Object.entries(world.faults)) sum[fault] = (sum[fault] ?? 0) + count;
  }
  return sum;
}

test("D4, D5: whatever fails, each record reaches the sink or its dead letters once, in order", () => {
  const sum = totals(SEEDS, false);
  const operations = ["open", "read", "write", "ask_position", "open_chain", "append_dead_letters"];
  for (const operation of operations) assert.ok((sum[`${operation} failed`] ?? 0) > 20, `${operation} failed often`);
  const moments = ["opening", "idle", "writing", "asking", "opening_chain", "setting_aside", "waiting"];
  for (const moment of moments) assert.ok((sum[`crash while ${moment}`] ?? 0) > 5, `crashed while ${moment}`);
});

test("D6: after the log lost its tail, the sink holds the records that the log still holds, and no other", () => {
  const sum = totals(SEEDS, true);
  assert.ok((sum["tail lost"] ?? 0) > 100);
  assert.ok((sum.truncated ?? 0) > 50);
  assert.ok((sum["crash while rewinding"] ?? 0) > 0);
  assert.ok((sum["late rewind"] ?? 0) > 10, `${sum["late rewind"]} rewinds were late`);
});

const BUGS: Record<string, PlantedBug> = {
  "a write of unknown outcome is taken for done": {
    message: (state, message) =>
      message.type === "failed" && state.occupation === "writing"
        ? { type: "wrote", outcome: { kind: "written" }, random: 0 }
        : message,
  },
  "the position is stored before the records": { storesPositionFirst: true },
  // Each check alone is backed up by the other: a stale write that passes one is found as misplaced, then rewound.
  "the sink checks neither fence nor predecessor": { hasNoPredecessorCheck: true, hasNoFence: true },
  "a rewind takes back records written since": { ignoresFrom: true },
  "a dead letter is dropped": { drops: () => true },
  "records set aside are forgotten at a restart": {
    message: (_state, message) => (message.type === "opened" ? { ...message, setAside: [] } : message),
  },
  "offsets are compared without their epochs": {
    message: (_state, message, owner) =>
      message.type === "opened" && message.position !== undefined
        ? { ...message, position: { ...message.position, epoch: owner as typeof message.position.epoch } }
        : message,
  },
  "records are read one too far after a restart": {
    message: (_state, message) =>
      message.type === "read_records" && message.items.length > 1 && message.readId === 1
        ? { ...message, items: message.items.slice(1) }
        : message,
  },
};

for (const [name, bug] of Object.entries(BUGS)) {
  test(`the simulation catches it when ${name}`, () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const world = new DeliveryWorld(seed, bug, true);
      world.run(STEPS);
      if (world.problems.length > 0) return;
    }
    assert.unreachable("no seed of 500 noticed");
  });
}

test.run();
