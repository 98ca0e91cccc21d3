import { setImmediate as turn } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ReadTurns } from "../../../../actors/log/rules/read_turns.ts";

test("short reads share a turn of the event loop, and a long read leaves the next ones to later turns", async () => {
  const turns = new ReadTurns();
  assert.is(turns.begin(), undefined);
  turns.spent(0.1);
  assert.is(turns.begin(), undefined, "there is time left");
  turns.spent(5);
  const begun: number[] = [];
  let besideTheFirst: number[] = [];
  const waiting = [1, 2, 3].map(async (n) => {
    await turns.begin();
    begun.push(n);
    turns.spent(n === 1 ? 5 : 0.1);
    if (n !== 1) return;
    for (let steps = 0; steps < 10; steps += 1) await Promise.resolve();
    besideTheFirst = [...begun];
  });
  await Promise.resolve();
  assert.equal(begun, [], "this turn is over");
  await Promise.all(waiting);
  assert.equal(begun, [1, 2, 3]);
  assert.equal(besideTheFirst, [1]);
  await turn();
  await turn();
  assert.is(turns.begin(), undefined);
});

test.run();
