import { test } from "uvu";
import * as assert from "uvu/assert";
import { type RequestBug, RequestWorld, type RequestWorldOptions } from "../../../support/fakes/request_world.ts";

const SEEDS = 300;
const STEPS = 500;

function totals(options: RequestWorldOptions): Record<string, number> {
  const sum: Record<string, number> = {};
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const world = new RequestWorld(seed, {}, options);
    world.run(STEPS);
    assert.equal(world.problems, [], `seed ${seed}, ${JSON.stringify(options)}`);
    for (const [fault, count] of Object.entries(world.faults)) sum[fault] = (sum[fault] ?? 0) + count;
  }
  return sum;
}

test("D10, D11, D13: whatever fails, an endpoint that honours keys takes each record once and in order, or it is a dead letter", () => {
  const sum = totals({});
  const moments = ["opening", "cutting", "writing", "asking", "setting_aside", "waiting"];
  for (const moment of moments) assert.ok((sum[`crash while ${moment}`] ?? 0) > 5, `crashed while ${moment}`);
  for (const fault of ["overdue", "request failed", "position not stored", "store_cut failed"])
    assert.ok((sum[fault] ?? 0) > 50, `${fault}: ${sum[fault]}`);
});

test("D10: an endpoint that takes a request in part is sent the rest, and no record twice, over restarts", () => {
  assert.ok((totals({ answersInPart: true })["answered in part"] ?? 0) > 200);
});

test("D13, D15, D16: a request that was held is sent again under its key, over failed flushes and restarts", () => {
  const sum = totals({ canHold: true });
  const often = ["held", "flush failed", "flushed position not stored", "crash while holding"];
  for (const fault of often) assert.ok((sum[fault] ?? 0) > 50, `${fault}: ${sum[fault]}`);
});

const HOLDING_BUGS: Record<string, RequestBug> = {
  "the position follows what was only held": {
    message: (message) =>
      message.type === "wrote" && message.outcome.kind === "held"
        ? { ...message, outcome: { kind: "written" } }
        : message,
  },
  "held records are not sent again after a crash": { skipsHeld: true },
  "the cut of a batch that is held is not stored": { drops: ({ type }) => type === "store_cut" },
};

const BUGS: Record<string, RequestBug> = {
  "taken records are forgotten on a later failure": {
    message: (message) =>
      message.type === "wrote" && message.outcome.kind === "taken"
        ? { type: "failed", reason: "away", random: message.random }
        : message,
  },
  "a given-up write goes on beside its successor": {
    message: (message) => (message.type === "overdue" ? { type: "failed", reason: "given up", random: 0 } : message),
  },
  "the checkpoint passes a record that was not taken": {
    message: (message) =>
      message.type === "wrote" && message.outcome.kind === "taken" && message.outcome.problem?.kind === "unavailable"
        ? { ...message, outcome: { ...message.outcome, count: message.outcome.count + 1 } }
        : message,
  },
  "the cut into requests is not stored": { drops: ({ type }) => type === "store_cut" },
  "the stored cut is forgotten at a restart": {
    message: (message) => {
      if (message.type !== "opened") return message;
      const { cut: _cut, ...opened } = message;
      return opened;
    },
  },
  "requests are cut by today's configuration": {
    message: (message) =>
      message.type === "opened" && message.cut !== undefined
        ? { ...message, cut: { ...message.cut, recordsPerRequest: 3 } }
        : message,
  },
  "records taken out of order are forgotten at a restart": {
    message: (message) =>
      message.type === "opened" && message.cut !== undefined
        ? { ...message, cut: { ...message.cut, taken: [] } }
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
      const world = new RequestWorld(seed, bug, { answersInPart: true, canHold });
      world.run(STEPS);
      if (world.problems.length > 0) return;
    }
    assert.unreachable("no seed of 500 noticed");
  });
}

test.run();
