/**
 * Random histories, compared with a model that knows nothing of how a log is built. The model is a list of record names with
 * their epochs, a number for each chain, and the last owner. After every step everything that a reader can see is compared.
 */
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type AppendOutcome, CHAIN_LIMITS, type Channel, type Log, type Ownership } from "../../../actors/log/log.ts";
import { epoch, offset, type Position, position } from "../../../protocols/position.ts";
import { type Sequence, sequenceAt } from "../../../protocols/sequence.ts";
import { batch, dense, namesOf, partition, plain, recordsOf } from "./log_batches.ts";
import { type LogHarness, readAll, rejection } from "./log_harness.ts";

const STATE_CHANNELS: readonly Channel[] = ["state/even", "state/odd"];

interface PlannedBatch {
  readonly producer: string;
  /** The batch's previous sequence, minus the stored one: 0 is right, below 0 overlaps, above 0 skips. */
  readonly skew: number;
  readonly count: number;
  readonly rejected: readonly number[];
  readonly isListed: boolean;
  readonly epochSkew: number;
}

type Step =
  | { readonly kind: "claim" }
  | {
      readonly kind: "append";
      readonly isStale: boolean;
      readonly batches: readonly PlannedBatch[];
      /** Records of each attached batch. Those of even places go to one channel, the others to another. */
      readonly attached: readonly number[];
    }
  | { readonly kind: "open"; readonly producer: string; readonly epochSkew: number }
  | { readonly kind: "trim"; readonly share: number }
  | { readonly kind: "checkpoint"; readonly name: string; readonly value: number }
  | { readonly kind: "reopen" }
  | { readonly kind: "read"; readonly share: number; readonly epochBack: number; readonly bytesMax: number };

const producer = fc.constantFrom("a", "b", "a\0b");
const plannedBatch: fc.Arbitrary<PlannedBatch> = fc.record({
  producer,
  skew: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.integer({ min: -5, max: 3 }) }),
  count: fc.integer({ min: 1, max: 5 }),
  rejected: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.uniqueArray(fc.nat(4), { maxLength: 5 })),
  isListed: fc.boolean(),
  epochSkew: fc.constantFrom(0, 0, 0, 0, 1, -1),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      isStale: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      batches: fc.array(plannedBatch, { maxLength: 5 }),
      attached: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "claim" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("open" as const), producer, epochSkew: fc.integer({ min: -1, max: 2 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("trim" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("checkpoint" as const),
      name: producer,
      value: fc.integer({ min: -1, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "reopen" as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("read" as const),
      share: fc.double({ min: 0, max: 1.2, noNaN: true }),
      epochBack: fc.integer({ min: -1, max: 2 }),
      bytesMax: fc.constantFrom(1, 300, 1 << 20),
    }),
  },
);

interface Chain {
  epoch: number;
  /** Position of the last stored sequence, -1 for none. */
  stored: number;
  readonly rejected: Set<number>;
}

class Model {
  readonly of = partition(3, "history");
  log: Log;
  owner: Ownership | undefined;
  stale: Ownership | undefined;
  readonly records: { readonly epoch: number; readonly name: string }[] = [];
  readonly rejected: string[] = [];
  /** Names of the records that were attached, by the two channels. */
  readonly attached: readonly string[][] = [[], []];
  first = 0;
  /** Offsets at which a call ended: trim may cut at each of them. */
  readonly cuts = new Set<number>([0]);
  readonly chains = new Map<string, Chain>();
  readonly checkpoints = new Map<string, string>();
  readonly harness: LogHarness;

  constructor(log: Log, harness: LogHarness) {
    this.log = log;
    this.harness = harness;
  }

  async run(planned: Step): Promise<void> {
    if (planned.kind === "claim" || this.owner === undefined) return this.claim();
    switch (planned.kind) {
      case "append":
        return this.append(this.owner, planned);
      case "open":
        return this.open(this.owner, planned.producer, planned.epochSkew);
      case "trim":
        return this.trim(this.owner, Math.floor(planned.share * (this.records.length + 2)));
      case "checkpoint": {
        const value = planned.value < 0 ? undefined : Buffer.from([planned.value]);
        await this.log.checkpoint(this.owner, new Map([[planned.name, value]]));
        if (value === undefined) this.checkpoints.delete(planned.name);
        else this.checkpoints.set(planned.name, value.toString("hex"));
        return;
      }
      case "reopen":
        this.log = await this.harness.reopen(this.log);
        this.stale = this.owner;
        this.owner = undefined;
        return;
      case "read":
        return this.read(planned);
    }
  }

  async claim(): Promise<void> {
    const settings = { tier: this.harness.tier, chains: CHAIN_LIMITS };
    const before = this.owner ?? this.stale;
    const { ownership, channels } = await this.log.claim(
      this.of,
      { leaderEpoch: 1, tableVersion: 1 },
      epoch(1),
      settings,
    );
    assert.ok(ownership.epoch > (before?.epoch ?? 0));
    assert.is(channels.get("records")?.endOffset, this.records.length);
    this.stale = before;
    this.owner = ownership;
  }

  async append(owner: Ownership, planned: Extract<Step, { kind: "append" }>): Promise<void> {
    const isStale = planned.isStale && this.stale !== undefined;
    // A refused call must have no effect, so the model is changed only by calls of the owner.
    const shadow = isStale ? new Map(structuredClone([...this.chains])) : this.chains;
    const expected: AppendOutcome[] = [];
    const names: string[] = [];
    const rejectedNames: string[] = [];
    const batches = planned.batches.map((one) => {
      const chain = shadow.get(one.producer);
      const previous = Math.max(-1, (chain?.stored ?? -1) + one.skew);
      const sequences = one.isListed
        ? { list: Array.from({ length: one.count }, (_, n): Sequence => plain(previous + 1 + n)) }
        : { first: plain(previous + 1), count: one.count };
      const rejected = one.rejected.filter((index) => index < one.count).sort();
      const producerEpoch = Math.max(1, (chain?.epoch ?? 5) + one.epochSkew);
      const sent = batch(one.producer, previous < 0 ? undefined : plain(previous), sequences, {
        rejected,
        producerEpoch,
      });
      const accepted = Array.from({ length: one.count }, (_, n) => n).filter((n) => !rejected.includes(n));
      const nameOf = (n: number) => `${one.producer}:${sequenceAt(sequences, n).join("/")}`;
      expected.push(
        expectedOutcome(shadow, one.producer, producerEpoch, previous, one.count, rejected, () => {
          const firstOffset = this.records.length + names.length;
          names.push(...accepted.map(nameOf));
          rejectedNames.push(...rejected.map((n) => `dead:${nameOf(n)}`));
          return { kind: "written", firstOffset: offset(firstOffset), count: accepted.length };
        }),
      );
      return sent;
    });
    const attached = planned.attached.map((count, at) => ({
      channel: STATE_CHANNELS[at % 2] as Channel,
      batch: dense(`${this.records.length}/${at}`, 0, count),
    }));
    const request = { channel: "records", batches, ...(attached.length === 0 ? {} : { attached }) } as const;
    if (isStale) {
      const error = await rejection(this.log.append(this.stale as Ownership, request));
      assert.is(error.name, "FencedError");
      return;
    }
    const { outcomes, endOffset, attachedEnds = [] } = await this.log.append(owner, request);
    assert.equal(outcomes.map(plainOutcome), expected.map(plainOutcome));
    const isAttached = expected.every(({ kind }) => kind === "written" || kind === "duplicate");
    if (isAttached)
      for (const [at, one] of attached.entries()) this.attached[at % 2]?.push(...namesOf(one.batch.events));
    assert.equal(
      attachedEnds,
      attached.map((_, at) => this.attached[at % 2]?.length),
    );
    for (const name of names) this.records.push({ epoch: owner.epoch, name });
    this.rejected.push(...rejectedNames);
    this.cuts.add(this.records.length);
    assert.is(endOffset, this.records.length);
  }

  async open(owner: Ownership, name: string, epochSkew: number): Promise<void> {
    const chain = this.chains.get(name);
    const asked = Math.max(1, (chain?.epoch ?? 5) + epochSkew);
    const outcome = await this.log.openChain(owner, "records", name, asked, 1_000);
    if (chain !== undefined && asked < chain.epoch) {
      assert.equal(outcome, { kind: "stale_producer_epoch", current: chain.epoch });
      return;
    }
    const stored = chain?.stored ?? -1;
    assert.equal(outcome, { kind: "opened", lastSequence: stored < 0 ? undefined : plain(stored) });
    this.chains.set(name, { epoch: asked, stored, rejected: chain?.rejected ?? new Set() });
  }

  async trim(owner: Ownership, before: number): Promise<void> {
    const { firstOffset } = await this.log.trim(owner, "records", offset(before));
    const atLeast = Math.max(this.first, ...[...this.cuts].filter((cut) => cut <= before));
    assert.ok(
      firstOffset >= atLeast && firstOffset <= Math.max(before, this.first),
      `${firstOffset} not in ${atLeast}..${before}`,
    );
    this.first = firstOffset;
  }

  /** Compares everything that a reader can see with the model. */
  async compare(): Promise<void> {
    const channels = await this.log.describe(this.of);
    if (this.owner === undefined && this.stale === undefined) return;
    const bounds = channels?.get("records");
    assert.equal([bounds?.firstOffset, bounds?.endOffset], [this.first, this.records.length]);
    const after = this.first === 0 ? undefined : position(this.records[this.first - 1]?.epoch ?? 0, this.first - 1);
    assert.equal(await this.readFrom(after, 1 << 20), this.expectedFrom(this.first));
    const rejected = await this.log.read(this.of, {
      channel: "rejected",
      after: undefined,
      committedOffset: offset(this.rejected.length),
      bytesMax: 1 << 20,
    });
    assert.equal(rejected.kind === "records" && recordsOf(rejected.batches).map(([, name]) => name), this.rejected);
    for (const [at, channel] of STATE_CHANNELS.entries()) {
      const names = (await readAll(this.log, this.of, channel)).map(([, name]) => name);
      assert.equal(names, this.attached[at]);
    }
    const checkpoints = [...(await this.log.readCheckpoints(this.of))].map(([name, value]) => [
      name,
      Buffer.from(value).toString("hex"),
    ]);
    assert.equal(Object.fromEntries(checkpoints), Object.fromEntries(this.checkpoints));
  }

  expectedFrom(from: number): [number, string][] {
    return this.records.slice(from).map(({ name }, at) => [from + at, name]);
  }

  async readFrom(after: Position | undefined, bytesMax: number): Promise<[number, string][] | string> {
    const committedOffset = offset(this.records.length);
    const result = await this.log.read(this.of, { channel: "records", after, committedOffset, bytesMax });
    if (result.kind !== "records") return result.kind;
    return recordsOf(result.batches).filter(([at]) => at > (after?.offset ?? -1));
  }

  async read(planned: Extract<Step, { kind: "read" }>): Promise<void> {
    const at = Math.floor(planned.share * this.records.length);
    const inEpoch = (this.records[at]?.epoch ?? this.owner?.epoch ?? 1) - planned.epochBack;
    const found = await this.readFrom(position(inEpoch, at), planned.bytesMax);
    if (this.records[at]?.epoch === inEpoch) {
      if (at + 1 < this.first) assert.is(found, "trimmed");
      else if (typeof found === "string") assert.unreachable(`a cursor at ${at} is ${found}`);
      else {
        const expected = this.expectedFrom(at + 1);
        assert.equal(found, expected.slice(0, found.length));
        assert.ok(found.length > 0 || expected.length === 0, "a read returns at least one record where there is one");
      }
    } else
      assert.ok(found === "truncated" || (found === "trimmed" && at < this.first), `a cursor of no record: ${found}`);
  }
}

/** The expected outcome of a batch, by plain numbers. */
function expectedOutcome(
  chains: Map<string, Chain>,
  name: string,
  producerEpoch: number,
  previous: number,
  count: number,
  rejected: readonly number[],
  write: () => AppendOutcome,
): AppendOutcome {
  const chain = chains.get(name);
  const last = previous + count;
  if (chain === undefined && previous >= 0) return { kind: "unknown_producer" };
  if (chain !== undefined && producerEpoch < chain.epoch) return { kind: "stale_producer_epoch", current: chain.epoch };
  const stored = chain?.stored ?? -1;
  if (last <= stored) {
    const own = [...(chain?.rejected ?? [])]
      .filter((n) => n > previous && n <= last)
      .sort((left, right) => left - right);
    const verdicts = own.map((n) => ({ sequence: plain(n), code: "", path: "", reason: "" }));
    return { kind: "duplicate", stored: plain(stored), verdicts };
  }
  if (previous !== stored) return { kind: "gap", stored: stored < 0 ? undefined : plain(stored) };
  const all = chain?.rejected ?? new Set<number>();
  for (const index of rejected) all.add(previous + 1 + index);
  chains.set(name, { epoch: producerEpoch, stored: last, rejected: all });
  return write();
}

/** An outcome with the sequences of its verdicts alone: the suite checks their texts. */
const plainOutcome = (outcome: AppendOutcome) =>
  outcome.kind === "duplicate"
    ? { ...outcome, verdicts: outcome.verdicts.map(({ sequence }) => sequence.join("/")) }
    : outcome;

export function logHistories(harness: LogHarness, numRuns: number): void {
  test(`${harness.name}: random histories give the answers of the model`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const model = new Model(await harness.open(), harness);
        try {
          for (const planned of steps) {
            await model.run(planned);
            await model.compare();
          }
        } finally {
          await harness.close(model.log);
        }
      }),
      { numRuns },
    );
  });
}
