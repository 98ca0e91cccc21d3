import { test } from "uvu";
import * as assert from "uvu/assert";
import { ID_LIMITS, type IdPage, RememberedIds } from "../../../../actors/sources/shard/remembered_ids.ts";
import { compareSequences, type Sequence } from "../../../../protocols/sequence.ts";

const newIds = (stored: readonly IdPage[] = [], lasts: readonly (Sequence | undefined)[] = [undefined]) =>
  new RememberedIds(stored, lasts);
const named = (from: number, count: number) => Array.from({ length: count }, (_, at) => `id-${from + at}`);
const toFirst = () => 0;

test("D1: a new id gets the next sequence, and its page is to be stored with its place", () => {
  const { fresh, pages } = newIds().take(["a", "b"], (index) => index, 5);
  assert.equal(fresh, [
    { index: 0, partition: 0, sequence: [1, 0, 0] },
    { index: 1, partition: 1, sequence: [1, 1, 0] },
  ]);
  assert.equal(pages, [
    { number: 0, term: 1, atMs: 5, settledBefore: 0, ids: ["a", "b"], first: 0, partitions: [0, 1], doubtful: [] },
  ]);
});

test("D1: a batch that fills its page goes on in the next one, and both are to be stored", () => {
  const ids = newIds();
  ids.take(named(0, ID_LIMITS.pageIds - 1), toFirst, 0);
  const { pages } = ids.take(named(5_000, 3), toFirst, 0);
  assert.equal(
    pages.map(({ number, first, ids: of }) => [number, first, of.length]),
    [
      [0, 0, ID_LIMITS.pageIds],
      [1, ID_LIMITS.pageIds, 2],
    ],
  );
});

test("D2: of the ids that were not settled, those that the chains have reached are kept, and the others are forgotten", () => {
  const { pages } = newIds().take(["a", "b", "c", "d"], (index) => index % 2, 0);
  const next = newIds(pages, [
    [1, 0, 0],
    [1, 3, 0],
  ]);
  assert.equal(
    next.corrections.map(({ ids, partitions, doubtful }) => [ids, partitions, doubtful]),
    [[["a", "b", "d"], [], [0]]],
  );
  assert.equal(new RememberedIds(next.corrections, [undefined, undefined]).doubtful, new Set([0]));
  assert.equal(
    next.take(["a", "b", "c", "d"], toFirst, 0).fresh.map(({ index }) => index),
    [2],
  );
});

test("D2: pages that are known to be settled need no chain: it may have been forgotten", () => {
  const ids = newIds();
  const [full] = ids.take(named(0, ID_LIMITS.pageIds), toFirst, 0).pages;
  ids.take(["next"], toFirst, 0);
  ids.settle(ids.newestPage);
  const [open] = ids.take(["last"], toFirst, 0).pages;
  assert.is(open?.settledBefore, 1);
  const next = newIds([open as IdPage, full as IdPage], [undefined]);
  assert.equal(
    next.take(["id-3", "next"], toFirst, 0).fresh.map(({ index }) => index),
    [1],
  );
});

test("D3: each life counts above the terms of the pages and of the chains", () => {
  const { pages } = newIds([], [[7, 1, 0], undefined]).take(["a"], toFirst, 0);
  assert.is(pages[0]?.term, 8);
  const next = newIds(pages, [undefined]).take(["b"], toFirst, 0);
  assert.ok(compareSequences(next.fresh[0]?.sequence, [8, Number.MAX_SAFE_INTEGER, 0]) > 0);
});

test("D4: an id is taken once, also within one batch", () => {
  const ids = newIds();
  assert.equal(
    ids.take(["a", "a", "b"], toFirst, 0).fresh.map(({ index }) => index),
    [0, 2],
  );
  const again = ids.take(["b", "a"], toFirst, 0);
  assert.equal([again.fresh, again.pages], [[], []]);
});

test("D5: the oldest page is forgotten when the ring is full, and ids that are not settled never are", () => {
  const ids = newIds();
  for (let page = 0; page < ID_LIMITS.pages; page += 1) ids.take(named(page * 10_000, ID_LIMITS.pageIds), toFirst, 0);
  assert.throws(() => ids.take(["one more"], toFirst, 0), /items must be settled/);
  const settled = newIds();
  for (let page = 0; page < ID_LIMITS.pages; page += 1) {
    settled.take(named(page * 10_000, ID_LIMITS.pageIds), toFirst, 0);
    settled.settle(settled.newestPage);
  }
  settled.take(["one more"], toFirst, 0);
  assert.equal(
    settled.take(["id-0", "id-10000"], toFirst, 0).fresh.map(({ index }) => index),
    [0],
  );
});

test("D5: settled ids are forgotten after the window, by the time of their page's newest id", () => {
  const ids = newIds();
  ids.take(named(0, ID_LIMITS.pageIds), toFirst, 0);
  ids.take(["next"], toFirst, 1);
  ids.settle(ids.newestPage);
  const isKnown = (id: string, nowMs: number) => ids.take([id], toFirst, nowMs).fresh.length === 0;
  assert.ok(isKnown("id-0", ID_LIMITS.windowMs));
  assert.not.ok(isKnown("id-0", ID_LIMITS.windowMs + 1));
});

test("D2: a page that follows forgotten ones is not settled by their number: its id is handed out again after a crash", () => {
  const [old] = newIds().take(["old"], toFirst, 0).pages;
  const idleMs = ID_LIMITS.windowMs + 1;
  const second = newIds([old as IdPage], [[1, 0, 0]]);
  const { pages } = second.take(["new"], toFirst, idleMs);
  const third = newIds([...second.corrections, ...pages], [[1, 0, 0]]);
  assert.is(third.take(["new"], toFirst, idleMs).fresh.length, 1);
});

test("D5: an id is known again within the hour, also by a clock that was set back an hour and then ahead an hour (E24)", () => {
  const ids = newIds();
  const hourMs = 3_600_000;
  const [page] = ids.take(["a"], toFirst, -hourMs).pages;
  const next = newIds([page as IdPage], [[1, 0, 0]]);
  assert.equal(next.take(["a"], toFirst, 2 * hourMs).fresh, []);
});

test.run();
