import { test } from "uvu";
import * as assert from "uvu/assert";
import { DeliveryWorld, type PlantedBug, type WorldOptions } from "../../../support/fakes/delivery_world.ts";

const SEEDS = 400;
const STEPS = 600;

function totals(seeds: number, options: WorldOptions): Record<string, number> {
  const sum: Record<string, number> = {};
  for (let seed = 1; seed <= seeds; seed += 1) {
    const world = new DeliveryWorld(seed, {}, options);
    world.run(STEPS);
    assert.equal(world.problems, [], `seed ${seed}, ${JSON.stringify(options)}`);
    for (const [fault, count] of Object.entries(world.faults)) sum[fault] = (sum[fault] ?? 0) + count;
  }
  return sum;
}

test("D4, D5: whatever fails, each record reaches the sink or its dead letters once, in order", () => {
  const sum = totals(SEEDS, {});
  const operations = ["open", "read", "write", "ask_position", "open_chain", "append_dead_letters"];
  for (const operation of operations) assert.ok((sum[`${operation} failed`] ?? 0) > 20, `${operation} failed often`);
  const moments = ["opening", "idle", "writing", "asking", "opening_chain", "setting_aside", "waiting"];
  for (const moment of moments) assert.ok((sum[`crash while ${moment}`] ?? 0) > 5, `crashed while ${moment}`);
});

test("D6: after the log lost its tail, the sink holds the records that the log still holds, and no other", () => {
  const sum = totals(SEEDS, { canTruncate: true });
  assert.ok((sum["tail lost"] ?? 0) > 100);
  assert.ok((sum.truncated ?? 0) > 50);
  assert.ok((sum["crash while rewinding"] ?? 0) > 0);
  assert.ok((sum["late rewind"] ?? 0) > 10, `${sum["late rewind"]} rewinds were late`);
});

test("D14, D15, D16: what a sink holds is made durable or sent again, and a planned stop loses none of it", () => {
  const sum = totals(SEEDS, { canHold: true });
  const often = [
    "held",
    "flush failed",
    "crash while flushing",
    "crash while holding",
    "handover while holding",
    "flush found a loss",
  ];
  for (const fault of often) assert.ok((sum[fault] ?? 0) > 50, `${fault}: ${sum[fault]}`);
});

test("D6, D16: after the log lost its tail, no lost record that the sink only held is made durable", () => {
  const sum = totals(SEEDS, { canTruncate: true, canHold: true });
  assert.ok((sum["tail lost"] ?? 0) > 100);
  assert.ok((sum.truncated ?? 0) > 50);
});

const HOLDING_BUGS: Record<string, PlantedBug> = {
  "the checkpoint follows what was only held": {
    message: (_state, message) =>
      message.type === "wrote" && message.outcome.kind === "held"
        ? { ...message, outcome: { kind: "written" } }
        : message,
  },
  "held records are not sent again after a crash": { skipsHeld: true },
  "a stop forgets to flush": { forgetsToFlushAtStop: true },
  "records set aside are forgotten once the sink holds those around them": {
    effect: (effect, { position }) => {
      if (effect.type !== "append_dead_letters") return effect;
      const letters = new Set(effect.letters.map(({ triple }) => triple.join("/")));
      const isKept = ([, at]: readonly number[]) => (at ?? 0) > (position?.offset ?? -1);
      return { ...effect, setAside: effect.setAside.filter((one) => isKept(one) || letters.has(one.join("/"))) };
    },
  },
  "a flush that failed is taken for done": {
    message: (state, message) =>
      message.type === "failed" && state.occupation === "flushing"
        ? { type: "flushed", position: state.position, random: 0 }
        : message,
  },
};

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

const ALL_BUGS = [
  ...Object.entries(BUGS).map(([name, bug]) => ({ name, bug, canHold: false })),
  ...Object.entries(HOLDING_BUGS).map(([name, bug]) => ({ name, bug, canHold: true })),
];

for (const { name, bug, canHold } of ALL_BUGS) {
  test(`the simulation catches it when ${name}`, () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const world = new DeliveryWorld(seed, bug, { canTruncate: true, canHold });
      world.run(STEPS);
      if (world.problems.length > 0) return;
    }
    assert.unreachable("no seed of 500 noticed");
  });
}

test.run();
