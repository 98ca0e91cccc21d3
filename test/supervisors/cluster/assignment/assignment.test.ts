import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InvariantError } from "../../../../protocols/errors.ts";
import { nodeId } from "../../../../protocols/position.ts";
import {
  type AssignableNode,
  type AssignablePartition,
  type Assignment,
  assign,
  skewOf,
} from "../../../../supervisors/cluster/assignment/assignment.ts";
import { movesAtLeast } from "../../../support/moves_bound.ts";
import { seededRandom } from "../../../support/seeded_random.ts";
import { fewestMoves, loadsByHand } from "./assignment_oracle.ts";

const node = (name: string, { zone = "z", capacity = 1 } = {}): AssignableNode => ({
  node: nodeId(name),
  zone,
  capacity,
});
const nodesOf = (count: number, zones = 1): AssignableNode[] =>
  Array.from({ length: count }, (_, number) => node(`node-${number}`, { zone: `zone-${number % zones}` }));
const partition = (name: string, weight = 1, holder?: string): AssignablePartition => ({
  partition: name,
  weight,
  holder: holder === undefined ? undefined : nodeId(holder),
});
const orphans = (count: number, weightOf: (number: number) => number = () => 1): AssignablePartition[] =>
  Array.from({ length: count }, (_, number) => partition(`events/${number}`, weightOf(number)));
const held = (partitions: readonly AssignablePartition[], { targets }: Assignment): AssignablePartition[] =>
  partitions.map((one) => ({ ...one, holder: targets.get(one.partition) }));

/** By node: the sum of any measure over its partitions. */
function totals(
  nodes: readonly AssignableNode[],
  partitions: readonly AssignablePartition[],
  { targets }: Assignment,
  measure: (one: AssignablePartition, number: number) => number = () => 1,
): number[] {
  const byNode = new Map(nodes.map((one) => [one.node, 0]));
  for (const [number, one] of partitions.entries()) {
    const target = targets.get(one.partition);
    assert.ok(target !== undefined && byNode.has(target), `${one.partition} has a target among the nodes (A1)`);
    byNode.set(target, byNode.get(target)! + measure(one, number));
  }
  return nodes.map((one) => byNode.get(one.node)!);
}

/** Clusters of any kind: some partitions have no holder, some have a holder that is gone. */
const anyCluster = ({
  nodesMax = 8,
  partitionsMax = 60,
  weights = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5 }), fc.double({ min: 1e-3, max: 1e6, noNaN: true })),
  capacities = fc.constantFrom(1, 2, 3, 4),
} = {}) =>
  fc
    .record({
      nodes: fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), capacities), { minLength: 1, maxLength: nodesMax }),
      partitions: fc.array(fc.tuple(weights, fc.integer({ min: -1, max: nodesMax })), { maxLength: partitionsMax }),
    })
    .map((drawn) => ({
      nodes: drawn.nodes.map(([zone, capacity], number) => node(`node-${number}`, { zone, capacity })),
      partitions: drawn.partitions.map(([weight, holder], number) =>
        partition(`s${number % 4}/${number >> 2}`, weight, holder < 0 ? undefined : `node-${holder}`),
      ),
    }));

test("without nodes there are no targets; without partitions there are no moves", () => {
  assert.equal(assign([], orphans(3)), { targets: new Map(), moves: 0, skew: 1 });
  assert.equal(assign(nodesOf(2), []), { targets: new Map(), moves: 0, skew: 1 });
});

test("every partition has a target among the nodes, and `moves` counts those that are not on their holder (A1)", () => {
  fc.assert(
    fc.property(anyCluster(), ({ nodes, partitions }) => {
      const result = assign(nodes, partitions);
      totals(nodes, partitions, result);
      assert.is(result.targets.size, partitions.length);
      assert.is(result.moves, partitions.filter((one) => result.targets.get(one.partition) !== one.holder).length);
    }),
  );
});

test("the order of nodes and partitions changes nothing (A1)", () => {
  fc.assert(
    fc.property(anyCluster(), fc.infiniteStream(fc.nat()), ({ nodes, partitions }, keys) => {
      const shuffled = <T>(all: readonly T[]): T[] =>
        all
          .map((one) => [keys.next().value as number, one] as const)
          .sort(([left], [right]) => left - right)
          .map(([, one]) => one);
      const result = assign(nodes, partitions);
      const other = assign(shuffled(nodes), shuffled(partitions));
      assert.equal([...other.targets].sort(), [...result.targets].sort());
      assert.equal({ ...other, targets: 0 }, { ...result, targets: 0 });
    }),
  );
});

test("equal weights: each node ends with its share rounded down or up, in the fewest possible moves (A2, A3)", () => {
  const small = anyCluster({ nodesMax: 3, partitionsMax: 7, weights: fc.constant(1) });
  fc.assert(
    fc.property(small, ({ nodes, partitions }) => {
      const capacity = nodes.reduce((sum, one) => sum + one.capacity, 0);
      const shares = nodes.map((one) => (partitions.length * one.capacity) / capacity);
      const isBalanced = (counts: readonly number[]) =>
        counts.every((count, at) => count >= Math.floor(shares[at]! + 1e-9) && count <= Math.ceil(shares[at]! - 1e-9));
      const result = assign(nodes, partitions);
      assert.ok(isBalanced(totals(nodes, partitions, result)));
      assert.is(
        result.moves,
        fewestMoves(nodes, partitions, () => 1, isBalanced),
      );
    }),
    { numRuns: 300 },
  );
});

test("many equal weights on equal nodes: only the partitions above the quotas of the fullest nodes move (A3)", () => {
  const large = anyCluster({
    nodesMax: 30,
    partitionsMax: 400,
    weights: fc.constant(0),
    capacities: fc.constant(2),
  });
  fc.assert(
    fc.property(large, ({ nodes, partitions }) => {
      const result = assign(nodes, partitions);
      const mean = partitions.length / nodes.length;
      // The fullest nodes keep one more, as far as there are partitions for it.
      const counts = nodes
        .map((one) => partitions.filter(({ holder }) => holder === one.node).length)
        .sort((left, right) => right - left);
      const quotas = counts.map((_, rank) => Math.floor(mean) + (rank < partitions.length % nodes.length ? 1 : 0));
      const kept = counts.reduce((sum, count, rank) => sum + Math.min(count, quotas[rank]!), 0);
      assert.is(result.moves, partitions.length - kept);
      for (const count of totals(nodes, partitions, result)) assert.ok(Math.abs(count - mean) < 1);
    }),
    { numRuns: 200 },
  );
});

test("60 equal partitions on three nodes: a fourth node takes 15, a crash moves 20, and the others stay", () => {
  const three = nodesOf(3);
  const steady = held(orphans(60), assign(three, orphans(60)));
  const joined = assign(nodesOf(4), steady);
  assert.equal(totals(nodesOf(4), steady, joined), [15, 15, 15, 15]);
  assert.is(joined.moves, 15);
  const crashed = assign(three.slice(1), steady);
  assert.equal(totals(three.slice(1), steady, crashed), [30, 30]);
  assert.is(crashed.moves, 20);
  assert.is(assign(three, steady).moves, 0);
});

/** Nodes, and weights of which none is above a twentieth of a share. */
const divisible = fc.tuple(fc.integer({ min: 2, max: 10 }), fc.infiniteStream(fc.integer({ min: 1, max: 6 })));

test("where weights can be divided, loads end between 0.90 and 1.10 shares whatever happens to the nodes (A2)", () => {
  fc.assert(
    fc.property(divisible, fc.constantFrom(0, 1, 3), ([count, numbers], gone) => {
      const drawn = () => numbers.next().value as number;
      let nodes = nodesOf(count, 3).map((one) => ({ ...one, capacity: 1 + (drawn() % 4) }));
      let partitions = orphans(count * 250, drawn);
      const check = (result: Assignment) => {
        const loads = loadsByHand(partitions);
        const whole = loads.reduce((sum, load) => sum + load, 0);
        const capacity = nodes.reduce((sum, one) => sum + one.capacity, 0);
        const ratios = totals(nodes, partitions, result, (_, at) => loads[at]!).map(
          (load, at) => load / ((whole * nodes[at]!.capacity) / capacity),
        );
        for (const ratio of ratios) assert.ok(ratio > 0.899 && ratio < 1.101, `${ratios}`);
        assert.ok(Math.abs(Math.max(...ratios) - result.skew) < 1e-3);
        partitions = held(partitions, result);
      };
      check(assign(nodes, partitions));
      nodes = [...nodes, node("joiner", { zone: "zone-1", capacity: 2 })];
      check(assign(nodes, partitions));
      nodes = nodes.slice(Math.min(gone, nodes.length - 1));
      check(assign(nodes, partitions));
      partitions = partitions.map((one) => ({ ...one, weight: one.weight + drawn() }));
      check(assign(nodes, partitions));
    }),
    { numRuns: 40 },
  );
});

test("weights differ: at most 1.20 of the fewest moves, or two more (A3)", () => {
  const weights = fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constantFrom(1, 2, 3, 5, 8, 20, 40));
  const small = anyCluster({ nodesMax: 4, partitionsMax: 9, weights });
  let balanced = 0;
  fc.assert(
    fc.property(small, ({ nodes, partitions }) => {
      const loads = loadsByHand(partitions);
      const whole = loads.reduce((sum, load) => sum + load, 0);
      const capacity = nodes.reduce((sum, one) => sum + one.capacity, 0);
      const shares = nodes.map((one) => (whole * one.capacity) / capacity);
      fc.pre(nodes.length > 1 && partitions.length > nodes.length);
      fc.pre(shares.every((share) => Math.max(...loads) <= share)); // giants have bounds of their own
      const isWithin = (sums: readonly number[]) =>
        sums.every((sum, at) => sum >= 0.9 * shares[at]! && sum <= 1.1 * shares[at]!);
      const fewest = fewestMoves(nodes, partitions, (at) => loads[at]!, isWithin);
      if (fewest === Number.POSITIVE_INFINITY) return;
      balanced += 1;
      const { moves } = assign(nodes, partitions);
      assert.ok(moves <= Math.max(1.2 * fewest, fewest + 2), `${moves} moves where ${fewest} suffice`);
    }),
    { numRuns: 500, seed: 1 },
  );
  assert.ok(balanced > 50, `${balanced} cases could be balanced`);
});

test("40 nodes, 4,000 partitions: a crash moves its partitions and a tenth more at most, a joiner gets ten at most (A3)", () => {
  for (const capacities of [1, 4]) {
    const nodes = nodesOf(40, 3).map((one, at) => ({ ...one, capacity: 1 + (at % capacities) }));
    const weights = orphans(4_000, (number) => 1_000 / (20 + number));
    const steady = held(weights, assign(nodes, weights));
    const joiners = ["joiner-1", "joiner-2", "joiner-3", "joiner-4"].map((name) => node(name));
    for (const changed of [
      nodes.slice(1),
      nodes.slice(4),
      [...nodes, ...joiners.slice(0, 3)],
      [...nodes, ...joiners],
    ]) {
      const { moves, skew } = assign(changed, steady);
      const most = changed.length < 40 ? 1.1 * movesAtLeast(changed, steady) : 10 * (changed.length - 40);
      assert.ok(moves <= most, `${moves} moves with ${changed.length} nodes`);
      assert.ok(skew <= 1.1 + 1e-6, `${skew}`);
    }
  }
});

test("a joiner gives back a light piece for a heavier one that the donor could not spare alone (A3)", () => {
  const nodes = nodesOf(20);
  const weights = orphans(1_200, (number) => 1_000 / (2 + number));
  const steady = held(weights, assign(nodes, weights));
  const { moves, targets } = assign([...nodes, node("joiner-1"), node("joiner-2")], steady);
  assert.ok(moves <= 14, `${moves}: without such exchanges it takes 17`);
  const movers = steady.filter((one) => targets.get(one.partition) !== one.holder);
  const donors = new Set(movers.map((one) => one.holder));
  assert.ok(
    movers.some((one) => donors.has(targets.get(one.partition))),
    "a node that gave a piece got another one",
  );
});

test("a partition that has grown heavy moves, and not the 30 small ones beside it: another node makes room (A3)", () => {
  const partitions = [
    partition("grown/0", 100, "node-0"),
    ...Array.from({ length: 30 }, (_, number) => partition(`small/${number}`, 1, "node-0")),
    ...[1, 2, 3, 4].flatMap((at) =>
      Array.from({ length: 6 }, (_, number) => partition(`large-${at}/${number}`, 16, `node-${at}`)),
    ),
  ];
  const { moves, targets, skew } = assign(nodesOf(5), partitions);
  assert.ok(targets.get("grown/0") !== "node-0");
  assert.ok(moves <= 8, `${moves}`);
  assert.ok(skew <= 1.1, `${skew}`);
});

test("30 nodes whose weights have drifted move 3 % of the partitions at most, and no node ends above 1.10 of what is forced (A2, A3)", () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const random = seededRandom(seed);
    const nodes = nodesOf(30, 3);
    const weights = orphans(3_000, (number) => 1_000 / (15 + number));
    const steady = held(weights, assign(nodes, weights));
    const drifted = steady.map((one) => ({
      ...one,
      weight: one.weight * (random.chance(0.02) ? 6 : 0.8 + random.next() / 2),
    }));
    const loads = loadsByHand(drifted);
    const share = loads.reduce((sum, load) => sum + load, 0) / nodes.length;
    const { moves, skew } = assign(nodes, drifted);
    assert.ok(moves <= 90, `${moves} moves with seed ${seed}`);
    assert.ok(skew <= 1.1 * Math.max(1, Math.max(...loads) / share) + 1e-6, `${skew}`);
  }
});

test("with any weights the skew of equal nodes is at most 1.10, or what the heaviest partition forces (A2)", () => {
  const any = anyCluster({ capacities: fc.constant(1), partitionsMax: 40 });
  fc.assert(
    fc.property(any, ({ nodes, partitions }) => {
      fc.pre(partitions.length > 0);
      const loads = loadsByHand(partitions);
      const whole = loads.reduce((sum, load) => sum + load, 0);
      const heaviest = Math.max(...loads) / whole;
      const { skew } = assign(nodes, partitions);
      const most = Math.max(1.1, 1 + 1 / 20 + (nodes.length - 1) * heaviest);
      assert.ok(skew <= most + 1e-3, `${skew} is above ${most}`);
    }),
    { numRuns: 2_000 },
  );
});

test("a partition above a node's share has a node to itself if the other nodes have room for the rest (A2)", () => {
  const partitions = [
    partition("big/0", 1_000, "node-0"),
    ...Array.from({ length: 30 }, (_, number) => partition(`small/${number}`, 10, "node-0")),
  ];
  const result = assign(nodesOf(3), partitions);
  assert.is(result.targets.get("big/0"), "node-0");
  assert.equal(totals(nodesOf(3), partitions, result), [1, 15, 15]);
  assert.is(result.moves, 30);
});

test("a heavy orphan goes to the node that makes room for it with the fewest moves", () => {
  const partitions = [
    partition("heavy/0", 90, "crashed"),
    ...[0, 1, 2].map((number) => partition(`large/${number}`, 20, "node-0")),
    ...Array.from({ length: 7 }, (_, number) => partition(`small/${number}`, 5, "node-1")),
  ];
  const { targets, moves, skew } = assign(nodesOf(2), partitions);
  assert.is(targets.get("heavy/0"), "node-0", "although node-1 is less loaded: it would have to give away four");
  assert.is(moves, 3);
  assert.ok(skew <= 1.1);
});

test("placed partitions leave a node at 1.05 shares at most, even if a zone would be better otherwise", () => {
  const partitions = Array.from({ length: 60 }, (_, number) => partition(`events/${number}`, 1_000 / (number + 1)));
  const { skew } = assign(nodesOf(3, 3), partitions);
  assert.ok(skew <= 1.05 + 1e-6, `${skew}`);
});

test("an orphan of almost a share finds a node that makes room step by step: nobody ends with nearly two shares (A2)", () => {
  const nodes = nodesOf(8);
  const others = nodes.flatMap((one) =>
    [30, 25, 20, 15, 10].map((weight, at) => partition(`${one.node}/${at}`, weight, one.node)),
  );
  const { skew } = assign(nodes, [...others, partition("heavy/0", 105)]);
  assert.ok(skew <= 1.1 + 1e-6, `${skew}`);
});

test("nodes above their ceilings give larger pieces than they must if a joiner needs more", () => {
  const nodes = nodesOf(20);
  const weights = orphans(2_000, (number) => 1_000 / (20 + number));
  const steady = held(weights, assign(nodes, weights));
  const changed = [...nodes, node("joiner-1"), node("joiner-2")];
  const [{ moves }, atLeast] = [assign(changed, steady), movesAtLeast(changed, steady)];
  assert.ok(moves <= 1.25 * atLeast, `${moves} moves of at least ${atLeast}`);
});

test("a giant moves to a node larger by more than a tenth, and stays where none is", () => {
  const rest = Array.from({ length: 10 }, (_, number) => partition(`small/${number}`, 5));
  for (const [capacity, target] of [
    [1.5, "other"],
    [1.05, "own"],
  ] as const) {
    const nodes = [node("other", { capacity }), node("own"), node("third")];
    const { targets } = assign(nodes, [partition("big/0", 1_000, "own"), ...rest]);
    assert.is(targets.get("big/0"), target);
  }
});

test("a node that joins beside a giant gets its part of the rest", () => {
  const partitions = [
    partition("big/0", 1_000, "node-0"),
    ...Array.from({ length: 60 }, (_, number) => partition(`small/${number}`, 10, `node-${1 + (number % 2)}`)),
  ];
  const counts = totals(nodesOf(4), partitions, assign(nodesOf(4), partitions));
  assert.is(counts[0], 1);
  assert.ok(Math.min(...counts.slice(1)) >= 18, `${counts}`);
});

test("a joiner gets its part although nodes that one partition fills seem able to give more", () => {
  const weights = orphans(2_000, (number) => 1_000 / (1 + number));
  const steady = held(weights, assign(nodesOf(20), weights));
  const loads = loadsByHand(steady);
  const whole = loads.reduce((sum, load) => sum + load, 0);
  const held21 = totals(nodesOf(21), steady, assign(nodesOf(21), steady), (_, at) => loads[at]!);
  // Two nodes have one partition each, of more than a share; the others 0.90 of what is left.
  const left = whole - held21[0]! - held21[1]!;
  assert.ok(held21[20]! >= (0.899 * left) / 19, `${held21}`);
});

test("two partitions above a share part; on nodes of several sizes the heavier one goes to the larger node", () => {
  const nodes = [node("large", { capacity: 4 }), node("middle", { capacity: 2 }), node("small")];
  const partitions = [partition("big/0", 900, "small"), partition("big/1", 800, "small"), partition("big/2", 1)];
  const { targets } = assign(nodes, partitions);
  assert.is(targets.get("big/0"), "large");
  assert.is(targets.get("big/1"), "middle");
});

test("a second decision about the same moves nothing (A3)", () => {
  fc.assert(
    fc.property(anyCluster(), ({ nodes, partitions }) => {
      const again = assign(nodes, held(partitions, assign(nodes, partitions)));
      assert.is(again.moves, 0);
    }),
    { numRuns: 1_000 },
  );
});

test("a second decision moves nothing, although the first one placed orphans and then filled a node (A3)", () => {
  const nodes = [3, 3, 1, 2, 3].map((capacity, at) => node(`node-${at}`, { zone: at % 2 === 0 ? "b" : "c", capacity }));
  const partitions = [
    ...[0, 20.6].map((weight, number) => partition(`orphan/${number}`, weight)),
    ...[0, 0].map((weight, number) => partition(`idle/${number}`, weight, "node-3")),
    partition("giant/0", 796, "node-2"),
    partition("gone/0", 0.001, "node-5"),
    ...[5, 4].map((weight, number) => partition(`light/${number}`, weight, "node-4")),
    ...[58.2, 122].map((weight, number) => partition(`heavy/${number}`, weight, "node-1")),
  ];
  assert.is(assign(nodes, held(partitions, assign(nodes, partitions))).moves, 0);
});

test("noise of measuring moves no partition, although the weights cannot be divided evenly (A3)", () => {
  const nodes = nodesOf(3);
  const partitions = [0, 1, 2, 3].map((number) =>
    partition(`events/${number}`, 1 + number / 100, `node-${number % 3}`),
  );
  assert.is(assign(nodes, partitions).moves, 0);
});

test("partitions of weight 0 are spread as well: no node has more than 5.5 times its share of the count (A4)", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 8 }), fc.integer({ min: 1, max: 20 }), (count, busy) => {
      const partitions = orphans(count * 50, (number) => (number < busy ? 100 : 0));
      const counts = totals(nodesOf(count), partitions, assign(nodesOf(count), partitions));
      assert.ok(Math.max(...counts) <= 5.5 * 50 + 1, `${counts}`);
    }),
  );
  const idle = orphans(60, () => 0);
  assert.equal(totals(nodesOf(3), idle, assign(nodesOf(3), idle)), [20, 20, 20]);
});

/** By stream and zone: how many partitions. */
function inZones(nodes: readonly AssignableNode[], { targets }: Assignment): Map<string, number> {
  const zones = new Map(nodes.map((one) => [one.node, one.zone]));
  const counts = new Map<string, number>();
  for (const [name, target] of targets) {
    const key = `${name.slice(0, name.lastIndexOf("/"))} ${zones.get(target)}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

test("the partitions of a stream are spread over zones in proportion to the capacity of the zones (A5)", () => {
  const nodes = [...nodesOf(9, 3), node("extra-1", { zone: "zone-0" }), node("extra-2", { zone: "zone-0" })];
  const partitions = Array.from({ length: 440 }, (_, number) =>
    partition(`team/stream-${Math.floor(number / 11)}/${number % 11}`),
  );
  const counts = inZones(nodes, assign(nodes, partitions));
  assert.is(counts.size, 120);
  for (const [key, count] of counts) assert.is(count, key.endsWith("zone-0") ? 5 : 3, key);
});

test("after a crash, orphans go to the zone with the least of their stream, balance first (A2, A5)", () => {
  const nodes = nodesOf(12, 3);
  const partitions = Array.from({ length: 720 }, (_, number) =>
    partition(`stream-${Math.floor(number / 6)}/${number % 6}`, 1 + (number % 7)),
  );
  const steady = held(partitions, assign(nodes, partitions));
  const left = nodes.filter((one) => one.node !== "node-3" && one.node !== "node-7" && one.node !== "node-8");
  const counts = inZones(left, assign(left, steady));
  for (const [key, count] of counts) assert.ok(count <= 3, `${count} of ${key}`);
});

test("no partition moves for its zone alone (A3 before A5)", () => {
  const nodes = nodesOf(2, 2);
  const partitions = [0, 1, 2, 3].map((number) => partition(`s${number >> 1}/${number & 1}`, 1, `node-${number >> 1}`));
  assert.is(assign(nodes, partitions).moves, 0);
});

test("of equal partitions a node first gives those whose stream is crowded in its zone (A5)", () => {
  const nodes = nodesOf(2, 2);
  const partitions = [
    ...[0, 1, 2].map((number) => partition(`a-spread-${number}/0`, 1, "node-0")),
    ...[0, 1, 2].map((number) => partition(`crowded/${number}`, 1, "node-0")),
    ...[0, 1].map((number) => partition(`other-${number}/0`, 1, "node-1")),
  ];
  const { targets, moves } = assign(nodes, partitions);
  assert.is(moves, 2);
  const moved = partitions.filter((one) => targets.get(one.partition) !== one.holder).map((one) => one.partition);
  assert.is(moved.filter((name) => name.startsWith("crowded/")).length, 1, `${moved}`);
});

test("no zone gets more than its share of a stream rounded up, even a zone far larger than the others (A5)", () => {
  const nodes = [
    ...[0, 1, 2, 3, 4].map((number) => node(`large-${number}`, { zone: "large" })),
    ...[0, 1, 2, 3, 4].map((number) => node(`small-${number}`, { zone: `small-${number}` })),
  ];
  const counts = inZones(nodes, assign(nodes, orphans(4)));
  assert.is(counts.get("events large"), 2);
});

test("of equal partitions a joiner gets one whose stream has a place in its zone (A5)", () => {
  const nodes = [node("a", { zone: "z0" }), node("b", { zone: "z1" }), node("joiner", { zone: "z1" })];
  const partitions = [
    partition("full/0", 1, "b"),
    partition("full/1", 1, "b"),
    partition("full/2", 1, "a"),
    partition("other/0", 1, "a"),
  ];
  const { targets, moves } = assign(nodes, partitions);
  assert.is(moves, 1);
  assert.is(targets.get("other/0"), "joiner");
});

test("orphans find the one empty node among 200 zones", () => {
  const nodes = nodesOf(200, 200);
  const partitions = [
    ...Array.from({ length: 1_990 }, (_, number) => partition(`events/${number}`, 1, `node-${number % 199}`)),
    ...Array.from({ length: 12 }, (_, number) => partition(`orphans/${number}`)),
  ];
  assert.is(assign(nodes, partitions).moves, 12);
});

test("1,000 nodes in 1,000 zones: streams are spread over zones, and a join moves 99 of 100,000 partitions", () => {
  const nodes = nodesOf(1_000, 1_000);
  const partitions = Array.from({ length: 100_000 }, (_, number) =>
    partition(`stream-${Math.floor(number / 50)}/${number % 50}`),
  );
  const first = assign(nodes, partitions);
  assert.is(first.skew, 1);
  const apart = [...inZones(nodes, first).values()].filter((count) => count === 1).length;
  assert.ok(apart > 99_000, `${apart} of 100,000 are alone of their stream in their zone`);
  const joined = assign([...nodes, node("one-more", { zone: "new" })], held(partitions, first));
  assert.is(joined.moves, 99);
});

test("of nodes alike in everything else the least loaded gets the orphan, in one zone or in three (A6)", () => {
  const partitions = [3, 1, 2].flatMap((count, at) =>
    Array.from({ length: count + 20 }, (_, number) => partition(`held-${at}/${number}`, 10, `node-${at}`)),
  );
  for (const zones of [1, 3]) {
    const { targets, moves } = assign(nodesOf(3, zones), [...partitions, partition("orphan/0", 5)]);
    assert.is(moves, 1);
    assert.is(targets.get("orphan/0"), "node-1");
  }
});

test("`skewOf` tells the skew of the holders; partitions without a holder count in the whole", () => {
  const nodes = [node("a"), node("b", { capacity: 3 })];
  const partitions = [0, 1, 2, 3].map((number) => partition(`s/${number}`, 5, number < 2 ? "a" : "b"));
  assert.is(skewOf(nodes, partitions), 2);
  assert.is(
    skewOf(
      nodes,
      partitions.map((one) => ({ ...one, holder: undefined })),
    ),
    0,
  );
  assert.is(skewOf([], partitions), 1);
  assert.is(skewOf(nodes, []), 1);
});

test("a name that comes twice, and an invalid weight or capacity are refused", () => {
  const refused = (nodes: AssignableNode[], partitions: AssignablePartition[]) =>
    assert.throws(
      () => assign(nodes, partitions),
      (error: unknown) => error instanceof InvariantError,
    );
  refused([node("a"), node("a")], []);
  refused([node("a")], [partition("s/1"), partition("s/1")]);
  for (const weight of [-1, Number.NaN, Number.POSITIVE_INFINITY]) refused([node("a")], [partition("s/1", weight)]);
  for (const capacity of [0, -1, Number.NaN]) refused([node("a", { capacity })], [partition("s/1")]);
});

test("each stream is spread over nodes that join one after the other, as the loads of streams differ", () => {
  const names = [
    ...Array.from({ length: 12 }, (_, at) => `few/${at}`),
    ...Array.from({ length: 24 }, (_, at) => `many/${at}`),
  ];
  const nodes = ["a", "b", "c"].map((name) => ({ node: nodeId(name), zone: "z", capacity: 1 }));
  let targets: ReadonlyMap<string, string> = new Map();
  for (const count of [1, 2, 3]) {
    const partitions = names.map((partition) => ({
      partition,
      weight: 1,
      holder: targets.has(partition) ? nodeId(targets.get(partition) ?? "") : undefined,
    }));
    targets = assign(nodes.slice(0, count), partitions).targets;
  }
  for (const { node } of nodes) {
    const held = [...targets].filter(([, target]) => target === node).map(([name]) => name);
    assert.is(held.length, 12);
    assert.ok(Math.abs(held.filter((name) => name.startsWith("few/")).length - 4) <= 1, `${node}: ${held.join()}`);
  }
});

test.run();
