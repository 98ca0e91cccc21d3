import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Member } from "../../../supervisors/cluster/cluster.ts";
import { OwnerPointers } from "../../../supervisors/cluster/owner_pointers.ts";

const PARTITION = "orders/3";
const owner = (node: string, incarnation: string, clientAddress: string) =>
  ({ node, incarnation, profile: { clientAddress } }) as unknown as Member;

/** The addresses that a node's directory was given for the partition, in order; undefined: its owner is not known. */
function pointers() {
  const given: (string | undefined)[] = [];
  const directory = {
    setElsewhere: (_partition: unknown, entry: { readonly address: string } | undefined) => given.push(entry?.address),
  };
  const made = new OwnerPointers(directory as never, {} as never);
  const links = { reference: () => ({}) } as never;
  return { given, forgetAll: () => made.forgetAll(), point: (to?: Member) => made.pointTo(links, PARTITION, to) };
}

test("an owner that stays the same keeps its pointer, so that requests under way to it are not given up", () => {
  const { given, point } = pointers();
  point(owner("a", "1", "ws://a"));
  point(owner("a", "1", "ws://a"));
  assert.equal(given, ["ws://a"]);
});

test("another node, another life of the node or another address is a new pointer, and the old one ends first", () => {
  const { given, point } = pointers();
  point(owner("a", "1", "ws://a"));
  point(owner("a", "2", "ws://a"));
  point(owner("a", "2", "ws://moved"));
  point(owner("b", "1", "ws://b"));
  assert.equal(given, ["ws://a", undefined, "ws://a", undefined, "ws://moved", undefined, "ws://b"]);
});

test("a partition without a known owner has no pointer, and none is left once all are forgotten", () => {
  const { given, point, forgetAll } = pointers();
  point();
  assert.equal(given, []);
  point(owner("a", "1", "ws://a"));
  forgetAll();
  forgetAll();
  assert.equal(given, ["ws://a", undefined]);
});

test.run();
