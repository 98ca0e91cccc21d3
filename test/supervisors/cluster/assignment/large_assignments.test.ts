/** 1,000 nodes and 100,000 partitions whose weights differ. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nodeId } from "../../../../protocols/position.ts";
import {
  type AssignableNode,
  type AssignablePartition,
  assign,
} from "../../../../supervisors/cluster/assignment/assignment.ts";
import { seededRandom } from "../../../support/seeded_random.ts";

const NODES = 1_000;
const PARTITIONS = 100_000;

const nodesOf = (count: number, sizes: number): AssignableNode[] =>
  Array.from({ length: count }, (_, number) => ({
    node: nodeId(`node-${number}`),
    zone: `zone-${number % 3}`,
    capacity: 1 + (Math.floor(number / 3) % sizes),
  }));

/** The n-th weight is `1 / (n + flat)`. With 1 the heaviest has many shares; with half the number of nodes, half a share. */
function steadyOf(nodes: readonly AssignableNode[], flat: number): AssignablePartition[] {
  const random = seededRandom(3);
  const ranks = Array.from({ length: PARTITIONS }, (_, rank) => rank);
  for (let at = PARTITIONS - 1; at > 0; at -= 1) {
    const other = random.below(at + 1);
    [ranks[at], ranks[other]] = [ranks[other]!, ranks[at]!];
  }
  const fresh = ranks.map((rank, number) => ({
    partition: `stream-${Math.floor(number / 60)}/${number % 60}`,
    weight: 1_000_000 / (rank + flat),
    holder: undefined,
  }));
  const { targets } = assign(nodes, fresh);
  return fresh.map((one) => ({ ...one, holder: targets.get(one.partition) }));
}

/** Each weight up to a third more or less, one in fifty tenfold or a tenth. */
function drifted(partitions: readonly AssignablePartition[]): AssignablePartition[] {
  const random = seededRandom(11);
  const factor = () => (random.chance(0.02) ? (random.chance(0.5) ? 10 : 0.1) : 1 + (random.next() - 0.5) / 1.5);
  return partitions.map((one) => ({ ...one, weight: one.weight * factor() }));
}

const shapes = [
  { name: "gentle weights, nodes alike", sizes: 1, flat: NODES / 2 },
  { name: "gentle weights, nodes of four sizes", sizes: 4, flat: NODES / 2 },
  { name: "weights of many shares, nodes alike", sizes: 1, flat: 1 },
  { name: "weights of many shares, nodes of four sizes", sizes: 4, flat: 1 },
];

for (const { name, sizes, flat } of shapes) {
  test(`a drift or a join of a tenth moves few; a second decision moves nothing: ${name} (A3)`, () => {
    const nodes = nodesOf(NODES, sizes);
    const steady = steadyOf(nodes, flat);
    const joined = nodesOf(NODES + NODES / 10, sizes);
    for (const [nodesNow, partitions, movesMax] of [
      [nodes, drifted(steady), PARTITIONS / 100],
      [joined, steady, PARTITIONS / 50],
    ] as const) {
      const { moves, targets } = assign(nodesNow, partitions);
      assert.ok(moves <= movesMax, `${moves} moves`);
      const held = partitions.map((one) => ({ ...one, holder: targets.get(one.partition) }));
      assert.is(assign(nodesNow, held).moves, 0);
    }
  });
}

test.run();
