/**
 * Runs random histories against the store in memory and the store on Redis side by side. Every answer must be the same, and so
 * must be everything that the stores show after each step. Both have one clock, which may go back, and lose the same tails.
 */
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../protocols/position.ts";
import type { Life } from "../../../supervisors/cluster/cluster.ts";
import type { LeaseStore } from "../../../supervisors/cluster/leases/lease_store.ts";
import { requireRedis, startRedis } from "../../support/redis/redis_server.ts";
import { CLOCK_START_MS, decision, entry, type LeaseDomain, profile, seen } from "./lease_domains.ts";
import { memoryLeases } from "./lease_store_memory.ts";
import { redisLeases } from "./lease_store_redis.ts";

requireRedis();
const server = await startRedis();
const onRedis = redisLeases(server);

/** A life, a term or a version, by its age: 0 is the newest, 1 the one before; below 0 it was never made. */
type Back = number;

type Step =
  | { readonly kind: "join"; readonly node: string; readonly forMs: number }
  | { readonly kind: "renew"; readonly life: Back; readonly forMs: number }
  | { readonly kind: "leave"; readonly life: Back }
  | { readonly kind: "stand"; readonly life: Back; readonly forMs: number; readonly insteadOf: Back | undefined }
  | { readonly kind: "renewLease"; readonly term: Back; readonly forMs: number }
  | { readonly kind: "resign"; readonly term: Back }
  | {
      readonly kind: "write";
      readonly term: Back;
      readonly version: Back;
      readonly partitions: readonly string[];
      readonly isDecided: boolean;
      readonly hasHolder: boolean;
    }
  | { readonly kind: "declareDead"; readonly term: Back; readonly life: Back; readonly probationFirstMs: number }
  | { readonly kind: "drain"; readonly term: Back; readonly node: string; readonly isDraining: boolean }
  | { readonly kind: "clock"; readonly byMs: number }
  | { readonly kind: "keep" }
  | { readonly kind: "lose" };

const back = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.nat(3) },
  { weight: 1, arbitrary: fc.constant(-1) },
);
const node = fc.constantFrom("a", "a", "a", "node b", "ü\0");
const forMs = fc.constantFrom(0, 1, 500, 2_000);
const stepOf = <Kind extends Step["kind"]>(
  kind: Kind,
  weight: number,
  fields: { [Name in Exclude<keyof Extract<Step, { kind: Kind }>, "kind">]: fc.Arbitrary<unknown> },
): fc.WeightedArbitrary<Step> => ({
  weight,
  arbitrary: fc.record({ kind: fc.constant(kind), ...fields }) as unknown as fc.Arbitrary<Step>,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  stepOf("join", 6, { node, forMs }),
  stepOf("renew", 2, { life: back, forMs }),
  stepOf("leave", 1, { life: back }),
  stepOf("stand", 4, { life: back, forMs, insteadOf: fc.option(back, { nil: undefined }) }),
  stepOf("renewLease", 2, { term: back, forMs }),
  stepOf("resign", 1, { term: back }),
  stepOf("write", 5, {
    term: back,
    version: back,
    partitions: fc.uniqueArray(fc.constantFrom("p/0", "p/1", "ü \0/2"), { maxLength: 3 }),
    isDecided: fc.boolean(),
    hasHolder: fc.boolean(),
  }),
  stepOf("declareDead", 6, { term: back, life: back, probationFirstMs: fc.constantFrom(0, 700, 5_000) }),
  stepOf("drain", 2, { term: back, node, isDraining: fc.boolean() }),
  stepOf("clock", 4, { byMs: fc.constantFrom(1, 500, 501, 2_001, 20_001, -1, -700, -3_600_000) }),
  stepOf("keep", 1, {}),
  stepOf("lose", 1, {}),
);

/** One of the two domains, with the lives and terms that it made itself. */
class Run {
  readonly domain: LeaseDomain;
  readonly store: LeaseStore;
  readonly lives: Life[] = [];
  readonly terms: number[] = [];
  #nowMs = CLOCK_START_MS;
  #newestMs = CLOCK_START_MS;
  #floorMs = 0;
  #version = 0;
  #lose: (() => Promise<void>) | undefined;

  constructor(domain: LeaseDomain, store: LeaseStore) {
    this.domain = domain;
    this.store = store;
  }

  async take(planned: Step): Promise<unknown> {
    try {
      return { answer: await this.#call(planned) };
    } catch (error) {
      const { name, code, message } = error as { name: string; code: string; message: string };
      return { name, code, message };
    }
  }

  async #call(planned: Step): Promise<unknown> {
    const { store } = this;
    switch (planned.kind) {
      case "join": {
        const joined = await store.join(profile(planned.node), planned.forMs);
        this.lives.push({ node: joined.node, incarnation: joined.incarnation });
        return joined;
      }
      case "renew":
        return store.renew(this.#life(planned.life), planned.forMs);
      case "leave":
        return store.leave(this.#life(planned.life));
      case "stand": {
        const { life, forMs: leaseMs, insteadOf } = planned;
        const outcome = await store.stand(
          this.#life(life),
          leaseMs,
          insteadOf === undefined ? undefined : this.#term(insteadOf),
        );
        if (outcome.kind === "elected") this.terms.push(outcome.leaderEpoch);
        return outcome;
      }
      case "renewLease":
        return store.renewLease(this.#term(planned.term), planned.forMs);
      case "resign":
        return store.resign(this.#term(planned.term));
      case "write":
        return this.#write(planned);
      case "declareDead": {
        const { probationFirstMs, term, life } = planned;
        const probation = { probationFirstMs, probationMaxMs: 6_000, deathsForgottenMs: 20_000 };
        return store.declareDead(this.#term(term), this.#life(life), probation);
      }
      case "drain":
        return store.setDraining(this.#term(planned.term), nodeId(planned.node), planned.isDraining);
      case "clock":
        return this.#setClock(Math.max(this.#floorMs, this.#nowMs + planned.byMs));
      case "keep":
        this.#lose = await this.domain.keep();
        return;
      case "lose":
        await this.#lose?.();
        // A failover takes longer than the tail that it loses. Later the clock does not go back behind the failover: only
        // the clock keeps lost incarnations and terms from being made again (lease store S1).
        this.#floorMs = this.#newestMs + 100;
        return this.#setClock(this.#floorMs);
    }
  }

  async #setClock(nowMs: number): Promise<void> {
    this.#nowMs = nowMs;
    this.#newestMs = Math.max(nowMs, this.#newestMs);
    await this.domain.setClock(nowMs);
  }

  async #write({ term, version, partitions, isDecided, hasHolder }: Extract<Step, { kind: "write" }>): Promise<number> {
    const expected = this.#version - version;
    const holder = hasHolder ? this.#life(0) : undefined;
    const grant = hasHolder ? { leaderEpoch: this.#term(term), tableVersion: expected + 1 } : undefined;
    const entries = partitions.map((name) =>
      entry(name, { holder, grant, next: this.#life(1), decision: expected + 1 }),
    );
    return this.store.writeTable(this.#term(term), expected, entries, isDecided ? decision(expected + 1) : undefined);
  }

  #life(at: Back): Life {
    return this.lives.at(-1 - at) ?? { node: nodeId("a"), incarnation: 5 };
  }

  #term(at: Back): number {
    return at < 0 ? 7 : (this.terms.at(-1 - at) ?? 0);
  }

  async look() {
    const all = await seen(this.store);
    this.#version = all.table.version;
    return all;
  }
}

test("the lease stores in memory and on Redis answer alike and show the same after any history (lease store S1)", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), async (steps) => {
      const domains = [await memoryLeases.make(), await onRedis.make()] as const;
      try {
        const memory = new Run(domains[0], await domains[0].open());
        const redis = new Run(domains[1], await domains[1].open());
        for (const planned of steps) {
          const wanted = await memory.take(planned);
          assert.equal(await redis.take(planned), wanted, `${planned.kind}`);
          assert.equal(await redis.look(), await memory.look(), `after ${planned.kind}`);
        }
        assertNoneTwice(memory.terms);
        assertNoneTwice(memory.lives.map(({ incarnation }) => incarnation));
      } finally {
        for (const domain of domains) await domain.close();
      }
    }),
    { numRuns: 150 },
  );
});

/** lease store S1 */
function assertNoneTwice(made: readonly number[]): void {
  assert.is(new Set(made).size, made.length);
}

test.after(() => server.stop());
test.run();
