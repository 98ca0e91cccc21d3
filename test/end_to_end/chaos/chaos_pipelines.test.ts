/** The judge of windows and pairs must notice a planted fault of each kind. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { epoch, offset } from "../../../protocols/position.ts";
import {
  checkPairs,
  checkTallies,
  type LostEvent,
  type TalliedEvent,
  type Tally,
  unclosedPartition,
} from "./chaos_pipelines.ts";

const event = (stream: string, n: number): TalliedEvent => ({
  ...{ stream, partition: 0, id: `p-${n}` },
  ...{ epoch: epoch(1), offset: offset(n) },
});
const numberOf = (id: string): number => Number(id.split("-").at(-1));
const from = (seconds: number): string => new Date(seconds * 1_000).toISOString();
const STORED = [0, 3, 6].map((n) => event("ledger", n));
const WINDOWS: readonly Tally[] = [
  { key: "ledger/0/0", count: 2, from: from(0) },
  { key: "ledger/0/0", count: 1, from: from(2) },
];
const judged = (tallies: readonly Tally[], stored: readonly TalliedEvent[], lost: readonly LostEvent[] = []) =>
  checkTallies(tallies, stored, lost, numberOf).map(({ kind }) => kind);

test("windows that count every stored record once are right; a lost window, a record too many and a second window are not", () => {
  assert.equal(judged(WINDOWS, STORED), []);
  assert.equal(judged(WINDOWS.slice(1), STORED), ["not delivered"]);
  assert.equal(judged(WINDOWS, STORED.slice(1)), ["not delivered"]);
  assert.equal(judged([...WINDOWS, ...WINDOWS.slice(1)], STORED), ["delivered twice"]);
});

test("windows may count records that were lost, and come again without them, but no more than were lost, and none less", () => {
  const lost = [event("ledger", 6)];
  const kept = STORED.slice(0, 2);
  assert.equal(judged(WINDOWS, kept, lost), []);
  assert.equal(judged(WINDOWS.slice(0, 1), kept, lost), []);
  const again = { key: "ledger/0/0", count: 1, from: from(0) };
  assert.equal(judged([...WINDOWS.slice(0, 1), again], kept, lost), []);
  assert.equal(judged([{ ...again, count: 4 }], kept, lost), ["not delivered"]);
  assert.equal(judged([again], kept, lost), ["not delivered"]);
});

test("a partition is closed once it has emitted the window of a time, or a later one", () => {
  const partitions = [["ledger", 0]] as const;
  assert.is(unclosedPartition(WINDOWS, partitions, 3_999), undefined);
  assert.is(unclosedPartition(WINDOWS, partitions, 4_000), "ledger/0");
  assert.is(unclosedPartition([], partitions, 0), "ledger/0");
});

test("a pair that is missing, comes twice or was never stored is noticed", () => {
  const sides = [[event("ledger", 0)], [event("readings", 1)]] as const;
  const pair = { left: "p-0", right: "p-1" };
  const kinds = (pairs: readonly (typeof pair)[]) => checkPairs(pairs, sides, () => "same").map(({ kind }) => kind);
  assert.equal(kinds([pair]), []);
  assert.equal(kinds([]), ["not delivered"]);
  assert.equal(kinds([pair, pair]), ["delivered twice"]);
  assert.equal(kinds([pair, { left: "p-0", right: "p-9" }]), ["inconsistent offset"]);
});

test.run();
