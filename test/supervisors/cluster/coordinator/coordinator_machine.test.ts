import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LinkEvent } from "../../../../actors/transport/transport.ts";
import { FencedError, UnavailableError } from "../../../../protocols/errors.ts";
import { nodeId } from "../../../../protocols/position.ts";
import {
  CLUSTER_TIMES,
  type Holding,
  type Leader,
  type Life,
  type Member,
  type Order,
  type TableEntry,
} from "../../../../supervisors/cluster/cluster.ts";
import { stepCoordinator } from "../../../../supervisors/cluster/coordinator/coordinator_machine.ts";
import {
  COORDINATOR_LIMITS,
  type CoordinatorEffect,
  type CoordinatorMessage,
  type CoordinatorState,
  createCoordinator,
} from "../../../../supervisors/cluster/coordinator/coordinator_state.ts";
import { EMPTY_TABLE } from "../../../support/fakes/coordinator_term.ts";

const TIMES = CLUSTER_TIMES;
const LEADER: Leader = { node: nodeId("a"), incarnation: 1, leaderEpoch: 7 };
const NAMES = (count: number) => Array.from({ length: count }, (_, at) => `s/${at}`);

const member = (node: string, more: Partial<Member> = {}): Member => ({
  node: nodeId(node),
  incarnation: 1,
  profile: {
    node: nodeId(node),
    clientAddress: `ws://${node}/v1/connect`,
    peerAddress: `ws://${node}/v1/peer`,
    zone: "z",
    capacity: 1,
    minor: 0,
    version: "0",
  },
  expiresInMs: 5_000,
  probationMs: 0,
  isDraining: false,
  ...more,
});
const life = (node: string, incarnation = 1): Life => ({ node: nodeId(node), incarnation });

/** A coordinator of `nodes`, with all its effects. Members answer orders only when the test lets them. */
class Harness {
  readonly state: CoordinatorState;
  readonly effects: CoordinatorEffect[] = [];
  nowMs = 100_000;
  members: Member[];

  constructor(
    nodes: readonly string[],
    options: { entries?: readonly TableEntry[]; partitions?: number; reported?: boolean } = {},
  ) {
    this.members = nodes.map((node) => member(node));
    const entries = new Map((options.entries ?? []).map((entry) => [entry.partition, entry]));
    const table = { ...EMPTY_TABLE, version: entries.size === 0 ? 0 : 5, entries };
    const links = new Map(nodes.map((node) => [nodeId(node), { incarnation: 1, state: "up" as const }]));
    const election = {
      leader: LEADER,
      times: TIMES,
      partitions: NAMES(options.partitions ?? 6),
      table,
      view: this.view,
      links,
    };
    this.state = createCoordinator(election, this.nowMs);
    this.tell({ type: "begin" });
    if (options.reported !== false) for (const node of nodes) this.report(node);
  }

  get view() {
    return { members: this.members, leader: LEADER, leaseExpiresInMs: 1_000, tableVersion: 0 };
  }

  tell(message: CoordinatorMessage): readonly CoordinatorEffect[] {
    const [, effects] = stepCoordinator(this.state, message, this.nowMs);
    this.effects.push(...effects);
    return effects;
  }

  report(node: string, holdings: readonly Holding[] = []): readonly CoordinatorEffect[] {
    return this.tell({ type: "report", from: life(node), leaderEpoch: 7, holdings });
  }

  link(kind: LinkEvent["kind"], node: string, incarnation = 1): readonly CoordinatorEffect[] {
    return this.tell({ type: "link", event: { kind, node: nodeId(node), incarnation, minor: 0 } as LinkEvent });
  }

  /** Answers the write under way as done. Undefined if no write is under way. */
  write(): readonly TableEntry[] | undefined {
    const { writing } = this.state;
    if (writing === undefined) return undefined;
    this.tell({ type: "written", version: this.state.version + 1 });
    return writing.entries;
  }

  /** Carries out every order at once, until no order is left. */
  settle(): void {
    for (let turns = 0; turns < 100; turns++) {
      const orders = this.takeOrders();
      if (this.write() === undefined && orders.length === 0) return;
      for (const [to, order] of orders) {
        const from = { from: to, leaderEpoch: 7 } as const;
        if (order.kind === "take")
          this.tell({ type: "claimed", ...from, partition: order.partition, grant: order.grant, epoch: turns + 1 });
        if (order.kind === "hand_over")
          this.tell({ type: "released", ...from, partition: order.partition, grant: order.grant });
      }
    }
    throw new Error("Cannot settle the coordinator as it orders without end");
  }

  takeOrders(): readonly (readonly [Life, Order])[] {
    return this.effects
      .splice(0)
      .flatMap((effect) =>
        effect.type === "tell" && effect.message.type === "orders"
          ? effect.message.orders.map((order) => [(effect.message as { to: Life }).to, order] as const)
          : [],
      );
  }

  held(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { holder } of this.state.table.values()) {
      if (holder !== undefined) counts[holder.node] = (counts[holder.node] ?? 0) + 1;
    }
    return counts;
  }

  get did(): readonly string[] {
    return this.effects.map(({ type }) => type);
  }
}

const settled = (nodes: readonly string[], partitions = 6): Harness => {
  const harness = new Harness(nodes, { partitions });
  harness.settle();
  harness.effects.length = 0;
  return harness;
};

test("O1: no order is sent before the table is written", () => {
  const harness = new Harness(["a", "b"]);
  assert.is(harness.takeOrders().length, 0);
  harness.write();
  const orders = harness.takeOrders();
  assert.is(orders.length, 6);
  assert.ok(
    orders.every(
      ([, order]) => order.kind === "take" && order.grant.leaderEpoch === 7 && order.grant.tableVersion === 1,
    ),
  );
});

test("O2: a moving partition is granted only after its holder has released it; members get no orders about others (O6)", () => {
  const harness = settled(["a", "b"]);
  harness.members.push(member("c"));
  harness.tell({ type: "view", view: harness.view });
  harness.link("up", "c");
  harness.report("c");
  harness.nowMs += COORDINATOR_LIMITS.gatherJoinsMs;
  harness.tell({ type: "decide_due" });
  harness.write();
  const orders = harness.takeOrders();
  const kinds = orders.map(([to, { kind }]) => `${kind} ${to.node}`).sort();
  assert.equal(kinds, ["expect c", "expect c", "hand_over a", "hand_over b"]);
  assert.is(harness.state.writing, undefined);
  const [, first] = orders.find(([, { kind }]) => kind === "hand_over") as [
    Life,
    Extract<Order, { kind: "hand_over" }>,
  ];
  const from = orders.find(([, order]) => order === first)?.[0] as Life;
  // A release under a former grant changes nothing.
  harness.tell({
    type: "released",
    from,
    leaderEpoch: 7,
    partition: first.partition,
    grant: { leaderEpoch: 6, tableVersion: 1 },
  });
  assert.is(harness.state.writing, undefined);
  harness.tell({ type: "released", from, leaderEpoch: 7, partition: first.partition, grant: first.grant });
  const granted = harness.write();
  assert.equal(
    granted?.map(({ partition, holder, next }) => [partition, holder?.node, next]),
    [[first.partition, "c", undefined]],
  );
});

test("a move that takes too long is forced, with a grant above its holder's (O2)", () => {
  const harness = settled(["a", "b"]);
  harness.tell({ type: "asked", from: life("a"), leaderEpoch: 7, command: { kind: "drain", node: nodeId("b") } });
  harness.write();
  const before = harness.state.table.get("s/0")?.grant?.tableVersion ?? 0;
  harness.nowMs += TIMES.handOverWithinMs;
  harness.tell({ type: "tick" });
  const granted = harness.write() ?? [];
  assert.is(granted.length, 3);
  assert.ok(
    granted.every(
      ({ holder, grant, reason }) =>
        holder?.node === "a" && (grant?.tableVersion ?? 0) > before && /not handed over in time/.test(reason),
    ),
  );
});

test("O4: a refusing port is a death at once; only the partitions of the dead node are granted to others", () => {
  const harness = settled(["a", "b", "c"], 9);
  const lost = [...harness.state.table.values()]
    .filter(({ holder }) => holder?.node === "c")
    .map(({ partition }) => partition);
  harness.link("closed", "c");
  assert.equal(harness.did, []);
  harness.link("refused", "c");
  assert.ok(harness.did.includes("declare_dead"));
  assert.equal(harness.state.writing?.entries.map(({ partition }) => partition).sort(), lost.sort());
  harness.settle();
  assert.equal(Object.values(harness.held()).sort(), [4, 5]);
});

test("O4: an expired registration is no death with a link, nor in the first registration period after an outage (E21)", () => {
  const harness = settled(["a", "b", "c"]);
  harness.nowMs += TIMES.registrationMs;
  harness.members = harness.members.map((one) => ({ ...one, expiresInMs: -1 }));
  harness.tell({ type: "view", view: harness.view });
  assert.is(harness.state.members.size, 3);
  // The link of one node breaks while the store is away: the node has one registration period to come back.
  harness.tell({ type: "store_away" });
  harness.link("closed", "c");
  harness.tell({ type: "view", view: harness.view });
  harness.nowMs += TIMES.registrationMs - 1;
  harness.tell({ type: "tick" });
  assert.is(harness.state.members.size, 3);
  harness.nowMs += 1;
  harness.tell({ type: "tick" });
  assert.equal([...harness.state.members.keys()], ["a", "b"]);
});

test("O5: a coordinator that loses many peers at once moves nothing and steps down", () => {
  const harness = settled(["a", "b", "c", "d"], 12);
  harness.link("silent", "b");
  assert.is(harness.state.phase, "leading"); // one loss alone proves nothing
  harness.effects.length = 0;
  harness.link("silent", "c");
  const down = harness.effects.find((effect) => effect.type === "step_down");
  assert.is(down?.type === "step_down" && down.because, "cut_off");
  assert.not(harness.did.includes("declare_dead"));
  assert.equal(harness.tell({ type: "tick" }), []);
});

test("O5: a successor that sees the same losses acts on them", () => {
  const harness = new Harness(["a", "b", "c", "d"], { reported: false });
  for (const node of ["b", "c"]) harness.link("silent", node);
  for (const node of ["a", "d"]) harness.report(node);
  assert.is(harness.state.phase, "leading");
  assert.equal([...harness.state.members.keys()], ["a", "d"]);
});

test("O3: no decision is made before all members have reported or exceeded their time", () => {
  const harness = new Harness(["a", "b"], { reported: false });
  harness.report("a");
  assert.is(harness.state.writing, undefined);
  harness.nowMs += TIMES.silentAfterMs;
  harness.tell({ type: "tick" });
  assert.is(harness.state.writing?.entries.length, 6);
  assert.ok(harness.state.writing?.entries.every(({ holder }) => holder?.node === "a"));
});

test("a new coordinator continues the moves in the table", () => {
  const grant = { leaderEpoch: 6, tableVersion: 4 };
  const moving: TableEntry = { partition: "s/0", holder: life("a"), grant, next: life("b"), decision: 4, reason: "r" };
  const harness = new Harness(["a", "b"], { entries: [moving], partitions: 1, reported: false });
  harness.report("a", [{ partition: "s/0", phase: "owned", grant, epoch: 9 }]);
  const orders = harness.takeOrders().map(([to, { kind, partition }]) => `${to.node} ${kind} ${partition}`);
  assert.equal(orders.sort(), ["a hand_over s/0", "b expect s/0"]);
  harness.report("b");
  assert.equal(
    harness.takeOrders().map(([to, { kind }]) => `${to.node} ${kind}`),
    ["b expect"],
  );
  harness.tell({ type: "released", from: life("a"), leaderEpoch: 7, partition: "s/0", grant });
  const granted = harness.write();
  assert.equal([granted?.[0]?.holder, granted?.[0]?.grant], [life("b"), { leaderEpoch: 7, tableVersion: 6 }]);
});

test("O7: an unanswered order is repeated; a member that never heard of its grant is told when it reports", () => {
  const harness = new Harness(["a", "b"]);
  harness.write();
  harness.takeOrders();
  harness.nowMs += COORDINATOR_LIMITS.repeatAfterMs;
  harness.tell({ type: "tick" });
  assert.is(harness.takeOrders().length, 6);
  harness.report("b");
  assert.equal(
    harness.takeOrders().map(([to, { kind }]) => `${to.node} ${kind}`),
    ["b take", "b take", "b take"],
  );
});

test("a member is ordered to hand over a partition that the table gives to another life", () => {
  const harness = settled(["a", "b"]);
  const [entry] = [...harness.state.table.values()].filter(({ holder }) => holder?.node === "a");
  const old = { leaderEpoch: 3, tableVersion: 1 };
  harness.report("b", [{ partition: entry?.partition ?? "", phase: "owned", grant: old, epoch: 1 }]);
  const order = harness.takeOrders().find(([, { kind }]) => kind === "hand_over");
  assert.equal(order, [
    life("b"),
    { kind: "hand_over", partition: entry?.partition, grant: old, to: life("a"), withinMs: TIMES.drainWithinMs },
  ]);
});

test("O1: a write of unknown outcome is read back, and repeated only if it was not made", () => {
  for (const wasMade of [true, false]) {
    const harness = new Harness(["a", "b"]);
    harness.tell({ type: "write_failed", error: new UnavailableError("TIMEOUT", "no answer") });
    assert.ok(harness.did.includes("read_table"));
    assert.is(harness.takeOrders().length, 0);
    const table = { version: wasMade ? 1 : 0, leaderEpoch: wasMade ? 7 : 0, entries: new Map() };
    harness.tell({ type: "table_read", table });
    if (!wasMade) harness.write();
    assert.is(harness.takeOrders().length, 6);
    assert.is(harness.state.version, 1);
  }
});

test("O1: a late answer of an earlier read or write does not count for the one under way", () => {
  const harness = new Harness(["a", "b"]);
  harness.tell({ type: "write_failed", error: new UnavailableError("TIMEOUT", "no answer") });
  const read = { type: "table_read", table: { version: 1, leaderEpoch: 7, entries: new Map() } } as const;
  harness.tell(read);
  harness.takeOrders();
  harness.link("refused", "b");
  const { writing } = harness.state;
  assert.ok(writing, "what the dead one held is given to the other");
  harness.tell(read);
  harness.tell({ type: "written", version: 1 });
  assert.is(harness.state.writing, writing);
  assert.is(harness.takeOrders().length, 0);
  harness.write();
  assert.is(harness.takeOrders().length, 3);
});

test("O1: the table is read once for each write of unknown outcome, and at no other time", () => {
  const harness = settled(["a", "b"]);
  const failed = { type: "write_failed", error: new UnavailableError("TIMEOUT", "no answer") } as const;
  harness.tell(failed);
  assert.not.ok(harness.did.includes("read_table"), "nothing is being written");
  harness.link("refused", "b");
  harness.tell(failed);
  harness.tell(failed);
  assert.is(harness.did.filter((type) => type === "read_table").length, 1);
});

test("a coordinator whose write is refused, or that sees a higher term, steps down", () => {
  const refused = new Harness(["a", "b"]);
  refused.tell({ type: "write_failed", error: new FencedError("STALE_LEADER", "a higher term") });
  assert.ok(refused.did.includes("step_down"));
  const overtaken = settled(["a", "b"]);
  overtaken.tell({ type: "view", view: { ...overtaken.view, leader: { ...life("b"), leaderEpoch: 8 } } });
  assert.ok(overtaken.did.includes("step_down"));
});

test("a node gets no partition during its probation; a node that leaves in order is not declared dead (O4)", () => {
  const harness = settled(["a", "b"]);
  harness.members.push(member("c", { probationMs: 1_000 }));
  harness.tell({ type: "view", view: harness.view });
  harness.report("c");
  harness.nowMs += 500;
  harness.tell({ type: "tick" });
  assert.is(harness.state.writing, undefined);
  harness.nowMs += 500;
  harness.members = [...harness.members.slice(0, 2), member("c")]; // by the store's clock the probation is over
  harness.tell({ type: "view", view: harness.view });
  harness.tell({ type: "tick" });
  harness.nowMs += COORDINATOR_LIMITS.gatherJoinsMs;
  harness.tell({ type: "tick" });
  harness.settle();
  assert.equal(Object.values(harness.held()), [2, 2, 2]);
  harness.tell({ type: "asked", from: life("c"), leaderEpoch: 7, command: { kind: "drain", node: nodeId("c") } });
  harness.settle();
  harness.tell({ type: "leaving", from: life("c"), leaderEpoch: 7 });
  harness.link("closed", "c");
  harness.link("refused", "c");
  assert.not(harness.did.includes("declare_dead"));
  assert.equal([...harness.state.members.keys()], ["a", "b"]);
});

test("a message of another term or another life is ignored", () => {
  const harness = settled(["a", "b"]);
  const entry = [...harness.state.table.values()].find(({ holder }) => holder?.node === "b") as TableEntry;
  const released = { type: "released", partition: entry.partition, grant: entry.grant } as const;
  harness.tell({ ...released, from: life("b"), leaderEpoch: 6 } as CoordinatorMessage);
  harness.tell({ ...released, from: life("b", 2), leaderEpoch: 7 } as CoordinatorMessage);
  assert.is(harness.state.granting.size, 0);
});

test("a skew moves partitions if it lasts and is large enough; a small or passing skew moves none", () => {
  const harness = settled(["a", "b"], 8);
  const busy = [...harness.state.table.values()]
    .filter(({ holder }) => holder?.node === "a")
    .map(({ partition }) => partition);
  const loads = (cpu: number): CoordinatorMessage => ({
    ...{ type: "loads", from: life("a"), leaderEpoch: 7 },
    loads: busy.map((partition) => ({ partition, bytesPerSecond: 0, recordsPerSecond: 0, cpu })),
  });
  for (let looks = 0; looks < 10; looks++) harness.tell(loads(0.004));
  assert.is(harness.state.writing, undefined);
  harness.tell(loads(0.25));
  assert.is(harness.state.writing, undefined);
  for (let looks = 1; looks < COORDINATOR_LIMITS.skewedLooksMin + 1; looks++) harness.tell(loads(0.25));
  const moving = harness.write() ?? [];
  const ofBusy = moving.filter(({ partition }) => busy.includes(partition));
  assert.equal(
    ofBusy.map(({ holder, next }) => [holder?.node, next?.node]),
    [
      ["a", "b"],
      ["a", "b"],
    ],
  );
});

test("a new coordinator tells early reporters the epochs that later reporters hold", () => {
  const [grant, holder] = [{ leaderEpoch: 6, tableVersion: 1 }, life("b")];
  const entry: TableEntry = { partition: "s/0", holder, grant, next: undefined, decision: 1, reason: "" };
  const harness = new Harness(["a", "b"], { entries: [entry], partitions: 1, reported: false });
  harness.report("a");
  const effects = harness.report("b", [{ partition: "s/0", phase: "owned", grant, epoch: 44 }]);
  const told = effects.flatMap((effect) =>
    effect.type === "tell" && effect.message.type === "table" && effect.node === "a" ? effect.message.epochs : [],
  );
  assert.equal(told, [["s/0", 44]]);
});

test("a drain is written again at each look until the store shows it", () => {
  const harness = new Harness(["a", "b"]);
  const command = { kind: "drain", node: nodeId("b") } as const;
  const drains = (effects: readonly CoordinatorEffect[]) => effects.filter(({ type }) => type === "set_draining");
  const written = [{ type: "set_draining", node: nodeId("b"), isDraining: true }];
  assert.equal(drains(harness.tell({ type: "asked", from: life("a"), leaderEpoch: 7, command })), written);
  for (const _ of [1, 2]) assert.equal(drains(harness.tell({ type: "view", view: harness.view })), written);
  harness.members = [member("a"), member("b", { isDraining: true })];
  for (const _ of [1, 2]) assert.equal(drains(harness.tell({ type: "view", view: harness.view })), []);
});

test.run();
