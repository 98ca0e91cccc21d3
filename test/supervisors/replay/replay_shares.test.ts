import { test } from "uvu";
import * as assert from "uvu/assert";
import { createMemoryLog } from "../../../actors/log/embedded/memory_log.ts";
import type { Log } from "../../../actors/log/log.ts";
import { position } from "../../../protocols/position.ts";
import type { ReplayTask } from "../../../supervisors/replay/replay_actor.ts";
import { ReplayShares } from "../../../supervisors/replay/replay_shares.ts";

const task = (partition: number, what: Partial<ReplayTask> = {}): ReplayTask => ({
  partition,
  sink: "out",
  range: { after: undefined, last: position(1, 9) },
  position: undefined,
  deliveredRecords: 0,
  deadLetters: 0,
  skippedLetters: 0,
  reason: undefined,
  isDone: false,
  isBegunHere: false,
  elsewhere: undefined,
  ...what,
});

const exchange = async (shares: ReplayShares, run: number, tasks: readonly ReplayTask[], name = "r") =>
  shares.exchange(await shares.read(), name, run, tasks);

const lives = () => {
  const log = createMemoryLog({ clock: () => 0 });
  return { log, a: new ReplayShares(log, "a"), b: new ReplayShares(log, "b"), c: new ReplayShares(log, "c") };
};

test("R5: a task that two lives delivered counts the records of both, and is done for all", async () => {
  const { a, b, c } = lives();
  const before = { position: position(1, 4), deliveredRecords: 5, deadLetters: 1, reason: "away", isBegunHere: true };
  await exchange(a, 1, [task(0, before), task(1)]);
  const of = [task(0), task(1)] as const;
  assert.is(await exchange(c, 1, of), false);
  assert.is(of[0].elsewhere?.reason, "away");
  assert.is(of[1].elsewhere, undefined, "nobody has begun it");
  const after = { position: position(1, 9), deliveredRecords: 4, isDone: true, isBegunHere: true };
  await exchange(b, 1, [task(0, after)]);
  assert.is(await exchange(c, 1, of), true);
  assert.is(await exchange(c, 1, of), false, "that is known now");
  assert.equal([of[0].isDone, of[1].isDone], [true, false]);
  assert.equal(of[0].elsewhere?.position, position(1, 9));
  assert.equal([of[0].elsewhere?.deliveredRecords, of[0].elsewhere?.deadLetters], [9, 1]);
});

test("shares of another run, of another replay or of a newer release end nothing", async () => {
  const { log, a, b } = lives();
  await exchange(a, 1, [task(0, { isDone: true, isBegunHere: true })]);
  await exchange(a, 2, [task(0, { isDone: true, isBegunHere: true })], "r2");
  const newer = `{"version":2,"run":2,"tasks":[{"partition":0,"sink":"out","isDone":true}]}`;
  await log.writeMetadata("replay_share/r/z", new TextEncoder().encode(newer), 0);
  const mine = task(0);
  assert.is(await exchange(b, 2, [mine]), false);
  assert.is(mine.isDone, false);
});

/** A store that can be exchanged for another under those who use it. */
function replaceable(first: Log) {
  const store = { current: first };
  const log = new Proxy({} as Log, {
    get: (_, key) => (store.current[key as keyof Log] as (...args: never[]) => unknown).bind(store.current),
  });
  return { store, log };
}

test("a share that the store has lost is written again", async () => {
  const { store, log } = replaceable(createMemoryLog({ clock: () => 0 }));
  const a = new ReplayShares(log, "a");
  const done = task(0, { isDone: true, isBegunHere: true });
  await exchange(a, 1, [done]);
  store.current = createMemoryLog({ clock: () => 0 });
  await exchange(a, 1, [done]);
  assert.is(await exchange(new ReplayShares(log, "b"), 1, [task(0)]), true);
});

test("a share is emptied once, when its replay has ended", async () => {
  const { log, a } = lives();
  await exchange(a, 1, [task(0, { isDone: true, isBegunHere: true })]);
  await a.clear("r");
  await a.clear("r");
  const stored = await log.readMetadata("replay_share/r/a");
  assert.equal(JSON.parse(new TextDecoder().decode(stored?.value)).tasks, []);
  assert.is(stored?.version, 2);
});

test("every life reads an announced change once, and again if reading failed or its state is old", async () => {
  const { a, b } = lives();
  let reads = 0;
  const read = async () => {
    reads += 1;
  };
  for (const _ of [1, 2]) await b.readNews(read);
  assert.is(reads, 1, "at first");
  await a.announce();
  await b.readNews(() => Promise.reject(new Error("away"))).catch(() => undefined);
  for (const _ of [1, 2]) await b.readNews(read);
  assert.is(reads, 2);
  b.expectNews();
  for (const _ of [1, 2]) await b.readNews(read);
  assert.is(reads, 3);
});

test.run();
