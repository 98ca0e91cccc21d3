import { test } from "uvu";
import * as assert from "uvu/assert";
import type { NodeId } from "../../../../protocols/position.ts";
import type { TableEntry } from "../../../../supervisors/cluster/cluster.ts";
import { encodeEntry, entriesOf, leaderOf, viewOf } from "../../../../supervisors/cluster/leases/redis_lease_forms.ts";

const text = (value: string) => Buffer.from(value);
const life = (node: string, incarnation: number) => ({ node: node as NodeId, incarnation });

test("an entry of the table is read back as it was stored, with and without holder, grant and next owner", () => {
  const entries: TableEntry[] = [
    {
      partition: "orders/0",
      holder: life("a", 3),
      grant: { leaderEpoch: 7, tableVersion: 9 },
      next: life("b", 1),
      decision: 4,
      reason: "b has joined",
    },
    { partition: "orders/1", holder: undefined, grant: undefined, next: undefined, decision: 0, reason: "" },
  ];
  const fields = entries.flatMap((entry) => [text(entry.partition), encodeEntry(entry)]);
  assert.equal(
    [...entriesOf([text(""), text("version"), ...fields])],
    entries.map((entry) => [entry.partition, entry]),
  );
});

test("a holder's name may hold spaces", () => {
  assert.equal(leaderOf("12", "5 node of Ada"), { node: "node of Ada", incarnation: 5, leaderEpoch: 12 });
});

test("times of the store become times from now on, and members come in the order of their names", () => {
  const profile = (address: string) => text(JSON.stringify({ address }));
  const view = viewOf([
    1,
    1_000,
    [text("7"), text("3 b"), text("1500"), text("9")],
    [text("b"), text("3 2000"), text("a"), text("1 1200 1")],
    [text("a"), text("4 1700")],
    [text("a"), profile("ws://a"), text("b"), profile("ws://b")],
  ] as never);
  assert.equal(
    view.members.map(({ node, incarnation, expiresInMs, probationMs, isDraining }) => [
      node,
      incarnation,
      expiresInMs,
      probationMs,
      isDraining,
    ]),
    [
      ["a", 1, 200, 700, true],
      ["b", 3, 1_000, 0, false],
    ],
  );
  assert.equal(view.leader, { node: "b", incarnation: 3, leaderEpoch: 7 });
  assert.equal([view.leaseExpiresInMs, view.tableVersion], [500, 9]);
});

test.run();
