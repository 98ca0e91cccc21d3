/**
 * How principals share a partition's places for live chains (actors/log/rules/chain_places.ts), for every build of the log:
 * by examples, and by random histories that a model judges.
 */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type AppendBatch, type Claim, EMPTY_CHAIN_KEPT_MS, type Log } from "../../../actors/log/log.ts";
import { PLACES_SHARE } from "../../../actors/log/rules/chain_places.ts";
import { epoch } from "../../../protocols/position.ts";
import { dense, partition, plain } from "./log_batches.ts";
import type { LogHarness } from "./log_harness.ts";

const P0 = partition(0);
const DAY_MS = 86_400_000;
const PLACES = 100;
/** Of 100 places: 88 held are fewer than 8 times the 12 free ones, 89 held are more than 8 times the 11 free ones. */
const SHARE_OF_ONE = 89;
/** Of the 11 places left: 9 held are fewer than 8 times 2 free ones, 10 held are more than 8 times 1. */
const SHARE_OF_THE_NEXT = 10;

const claimOf = (log: Log, harness: LogHarness, producersMax = PLACES, dedupeWindowMs = DAY_MS): Promise<Claim> =>
  log.claim(P0, { leaderEpoch: 1, tableVersion: 1 }, epoch(1), {
    tier: harness.tier,
    chains: { dedupeWindowMs, producersMax },
  });

const open = (log: Log, { ownership }: Claim, producerId: string, owner?: string, nowMs = 0) =>
  log.openChain(ownership, "records", producerId, 1, nowMs, owner);

/** Opens chains for `owner` until one is refused. Returns the number of opened chains, and the refusal. */
async function takeAll(log: Log, claim: Claim, owner: string | undefined, prefix = owner) {
  for (let taken = 0; ; taken += 1) {
    const outcome = await open(log, claim, `${prefix}-${taken}`, owner);
    if (outcome.kind !== "opened") return { taken, outcome };
  }
}

const firstBatch = (producerId: string, owner: string | undefined, appendedAtMs = 0): AppendBatch =>
  dense(producerId, 0, 1, { appendedAtMs, extra: owner === undefined ? {} : { owner } });

const append = async (log: Log, { ownership }: Claim, batches: readonly AppendBatch[]) =>
  (await log.append(ownership, { channel: "records", batches })).outcomes;

const numbered = (count: number, prefix: string): string[] => Array.from({ length: count }, (_, n) => `${prefix}-${n}`);

const atShare = (held: number, live: number) => ({
  kind: "too_many_producers",
  live,
  share: { held, free: PLACES - live },
});

export function logPlaces(harness: LogHarness, numRuns: number): void {
  const scenario = (name: string, run: (log: Log, reopen: () => Promise<Log>) => Promise<unknown>) =>
    test(`${harness.name}: ${name}`, async () => {
      let log = await harness.open();
      try {
        await run(log, async () => {
          log = await harness.reopen(log);
          return log;
        });
      } finally {
        await harness.close(log);
      }
    });

  // chain places C2
  scenario("a principal gets places while it holds fewer than eight times the free ones", async (log) => {
    const claim = await claimOf(log, harness);
    const greedy = await takeAll(log, claim, "alice");
    assert.equal(greedy, { taken: SHARE_OF_ONE, outcome: atShare(SHARE_OF_ONE, SHARE_OF_ONE) });
    const live = SHARE_OF_ONE + SHARE_OF_THE_NEXT;
    const second = await takeAll(log, claim, "bob");
    assert.equal(second, { taken: SHARE_OF_THE_NEXT, outcome: atShare(SHARE_OF_THE_NEXT, live) });
    assert.is((await open(log, claim, "alice-0", "alice")).kind, "opened", "an existing chain keeps its place");
    assert.equal(
      (await append(log, claim, [firstBatch("alice-1", "alice"), firstBatch("late", "alice")])).map(({ kind }) => kind),
      ["written", "too_many_producers"],
    );
    assert.is((await open(log, claim, "carol-0", "carol")).kind, "opened", "a place is left for the next principal");
    assert.equal(await open(log, claim, "dave-0", "dave"), { kind: "too_many_producers", live: PLACES });
  });

  // chain places C3
  scenario("producers of no principal have no share", async (log) => {
    const claim = await claimOf(log, harness);
    const all = await takeAll(log, claim, undefined, "free");
    assert.equal(all, { taken: PLACES, outcome: { kind: "too_many_producers", live: PLACES } });
  });

  scenario(
    "a chain that an append makes anew after it was forgotten counts for its owner, within one call too",
    async (log) => {
      const claim = await claimOf(log, harness);
      await takeAll(log, claim, "alice");
      assert.is(await log.expireChains(claim.ownership, EMPTY_CHAIN_KEPT_MS + 1), 0);
      const names = numbered(SHARE_OF_ONE + 2, "alice");
      const outcomes = await append(
        log,
        claim,
        names.map((name) => firstBatch(name, "alice")),
      );
      assert.is(outcomes.filter(({ kind }) => kind === "written").length, SHARE_OF_ONE);
      assert.equal(outcomes.at(-1), atShare(SHARE_OF_ONE, SHARE_OF_ONE));
      assert.equal(await open(log, claim, "one-more", "alice"), atShare(SHARE_OF_ONE, SHARE_OF_ONE));
    },
  );

  scenario("a chain that a declared loss makes anew counts for its owner", async (log) => {
    const claim = await claimOf(log, harness);
    const lose = (producerId: string) =>
      log.declareLost(claim.ownership, producerId, 1, undefined, plain(1), 0, "alice");
    for (const name of numbered(SHARE_OF_ONE, "alice")) assert.is((await lose(name)).kind, "written");
    assert.equal(await lose("one-more"), atShare(SHARE_OF_ONE, SHARE_OF_ONE));
  });

  scenario("places of forgotten chains are free again for the same principal", async (log) => {
    const claim = await claimOf(log, harness, PLACES, 1_000);
    const batches = numbered(SHARE_OF_ONE, "alice").map((name, n) => firstBatch(name, "alice", n === 0 ? 500 : 0));
    await append(log, claim, batches);
    assert.is(await log.expireChains(claim.ownership, 1_001), 1);
    const again = await takeAll(log, claim, "alice", "again");
    assert.equal(again, { taken: SHARE_OF_ONE - 1, outcome: atShare(SHARE_OF_ONE, SHARE_OF_ONE) });
  });

  scenario("places are counted alike under the next owner, and in a store's next life", async (log, reopen) => {
    const claim = await claimOf(log, harness);
    await append(
      log,
      claim,
      numbered(SHARE_OF_ONE - 1, "alice").map((name) => firstBatch(name, "alice")),
    );
    assert.is((await open(log, claim, "alice-last", "alice")).kind, "opened");
    const next = await claimOf(log, harness);
    assert.equal(await open(log, next, "one-more", "alice"), atShare(SHARE_OF_ONE, SHARE_OF_ONE));
    const reopened = await reopen();
    const again = await claimOf(reopened, harness);
    assert.equal(await open(reopened, again, "one-more", "alice"), atShare(SHARE_OF_ONE, SHARE_OF_ONE));
    assert.is((await takeAll(reopened, again, "bob")).taken, SHARE_OF_THE_NEXT);
  });

  // chain places C3
  scenario("a chain counts for the principal that opened it last", async (log) => {
    const claim = await claimOf(log, harness);
    const names = numbered(SHARE_OF_ONE, "old");
    for (const name of names) await open(log, claim, name);
    for (const name of names) assert.is((await open(log, claim, name, "alice")).kind, "opened");
    assert.equal(await open(log, claim, "one-more", "alice"), atShare(SHARE_OF_ONE, SHARE_OF_ONE));
    for (const name of names) await open(log, claim, name);
    assert.equal(await open(log, claim, "one-more", "alice"), atShare(SHARE_OF_ONE, SHARE_OF_ONE));
    for (const name of names) await open(log, claim, name, "bob");
    assert.equal(await open(log, claim, "one-more", "bob"), atShare(SHARE_OF_ONE, SHARE_OF_ONE));
    assert.is((await takeAll(log, claim, "alice", "new")).taken, SHARE_OF_THE_NEXT);
  });

  scenario("a resume point comes back from a chain that has an owner", async (log, reopen) => {
    const claim = await claimOf(log, harness);
    const position = { file: "x", at: 17 };
    await append(log, claim, [dense("a", 0, 1, { extra: { owner: "alice", position } })]);
    assert.equal(await open(log, claim, "a", "alice"), { kind: "opened", lastSequence: plain(0), position });
    const reopened = await reopen();
    const again = await claimOf(reopened, harness);
    assert.equal(await open(reopened, again, "a", "bob"), { kind: "opened", lastSequence: plain(0), position });
  });

  test(`${harness.name}: places taken and given up at random are counted as the model counts them`, () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => runSteps(harness, steps)),
      {
        numRuns,
      },
    ));
}

// At random -----------------------------------------------------------------------------------------------------------

const FEW_PLACES = 12;
const WINDOW_MS = 200_000;

const step = fc.record({
  kind: fc.constantFrom("open", "open", "append", "append", "expire", "claim"),
  name: fc.nat({ max: 20 }).map((n) => `producer-${n}`),
  owner: fc.constantFrom("alice", "alice", "alice", "bob", undefined),
  afterMs: fc.nat({ max: 30_000 }),
});

export const placeSteps = fc.array(step, { minLength: 5, maxLength: 60 });

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

interface ModelChain {
  owner: string | undefined;
  activeAtMs: number;
  isEmpty: boolean;
}

/** Compares each answer of the log with a plain count of all chains. */
export async function runSteps(harness: LogHarness, steps: readonly Step[], wrap = (log: Log) => log): Promise<void> {
  const opened = await harness.open();
  const log = wrap(opened);
  const chains = new Map<string, ModelChain>();
  try {
    let claim = await claimOf(log, harness, FEW_PLACES, WINDOW_MS);
    let nowMs = 0;
    for (const { kind, name, owner, afterMs } of steps) {
      nowMs += afterMs;
      if (kind === "claim") claim = await claimOf(log, harness, FEW_PLACES, WINDOW_MS);
      else if (kind === "expire") {
        for (const [known, { activeAtMs, isEmpty }] of chains) {
          if (nowMs - activeAtMs > (isEmpty ? EMPTY_CHAIN_KEPT_MS : WINDOW_MS)) chains.delete(known);
        }
        assert.is(await log.expireChains(claim.ownership, nowMs), chains.size);
      } else {
        const expected = expectedRefusal(chains, name, owner);
        const outcome =
          kind === "open"
            ? await open(log, claim, name, owner, nowMs)
            : (await append(log, claim, [firstBatch(name, owner, nowMs)]))[0];
        if (expected !== undefined) assert.equal(outcome, expected);
        else if (kind === "open") assert.is(outcome?.kind, "opened");
        else assert.is(outcome?.kind, chains.get(name)?.isEmpty === false ? "duplicate" : "written");
        if (expected === undefined && outcome?.kind !== "duplicate") take(chains, name, owner, nowMs, kind === "open");
      }
    }
  } finally {
    await harness.close(opened);
  }
}

function take(
  chains: Map<string, ModelChain>,
  name: string,
  owner: string | undefined,
  nowMs: number,
  isOpen: boolean,
) {
  const known = chains.get(name);
  if (known === undefined) chains.set(name, { owner, activeAtMs: nowMs, isEmpty: isOpen });
  else {
    if (isOpen) known.owner = owner ?? known.owner;
    else known.isEmpty = false;
    known.activeAtMs = nowMs;
  }
}

function expectedRefusal(chains: ReadonlyMap<string, ModelChain>, name: string, owner: string | undefined) {
  if (chains.has(name)) return undefined;
  const free = FEW_PLACES - chains.size;
  if (free === 0) return { kind: "too_many_producers", live: FEW_PLACES };
  const held = [...chains.values()].filter((chain) => chain.owner === owner).length;
  if (owner === undefined || held < PLACES_SHARE * free) return undefined;
  return { kind: "too_many_producers", live: chains.size, share: { held, free } };
}
