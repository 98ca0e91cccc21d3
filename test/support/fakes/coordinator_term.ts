/** A coordinator's machine in one term. The test decides each answer of its store and of its members. */
import * as assert from "uvu/assert";
import { UnavailableError } from "../../../protocols/errors.ts";
import { nodeId } from "../../../protocols/position.ts";
import {
  type AssignmentTable,
  CLUSTER_TIMES,
  type Life,
  lifeOf,
  type Member,
  type TableEntry,
  type ToMember,
} from "../../../supervisors/cluster/cluster.ts";
import { stepCoordinator } from "../../../supervisors/cluster/coordinator/coordinator_machine.ts";
import {
  type CoordinatorEffect,
  type CoordinatorMessage,
  type CoordinatorState,
  createCoordinator,
} from "../../../supervisors/cluster/coordinator/coordinator_state.ts";

const TERM = 7;

export const EMPTY_TABLE: AssignmentTable = { version: 0, leaderEpoch: 0, entries: new Map() };

export const member = (name: string, incarnation = 1, more: Partial<Member> = {}): Member => ({
  node: nodeId(name),
  incarnation,
  profile: {
    node: nodeId(name),
    clientAddress: `ws://${name}/v1/connect`,
    peerAddress: `ws://${name}/v1/peer`,
    zone: "z",
    capacity: 1,
    minor: 0,
    version: "0",
  },
  expiresInMs: 10_000,
  probationMs: 0,
  isDraining: false,
  ...more,
});

/** A coordinator on node `a`. Its writes are stored only when the test says so. */
export class Term {
  readonly state: CoordinatorState;
  readonly told: { readonly node: string; readonly message: ToMember }[] = [];
  members: Member[];
  nowMs = 1_000;
  readonly declaredDead: Life[] = [];
  writing: Extract<CoordinatorEffect, { type: "write_table" }> | undefined;
  #version = 0;

  /** @param entries the assignment table when the term began */
  constructor(names: readonly string[], partitions: readonly string[], entries: readonly TableEntry[] = []) {
    this.members = names.map((name) => member(name));
    const leader = { node: nodeId("a"), incarnation: 1, leaderEpoch: TERM };
    const table = { ...EMPTY_TABLE, entries: new Map(entries.map((entry) => [entry.partition, entry])) };
    const view = { members: this.members, leader, leaseExpiresInMs: 1_000, tableVersion: 0 };
    const election = { leader, times: CLUSTER_TIMES, partitions, table, view, links: new Map() };
    this.state = createCoordinator(election, this.nowMs);
    this.hear({ type: "begin" });
    for (const name of names) {
      this.hear({ type: "link", event: { kind: "up", node: nodeId(name), incarnation: 1, minor: 0 } });
      this.report(name);
    }
    this.pass(200);
  }

  hear(message: CoordinatorMessage): void {
    const [, effects] = stepCoordinator(this.state, message, this.nowMs);
    for (const effect of effects) {
      if (effect.type === "write_table") this.writing = effect;
      if (effect.type === "declare_dead") this.declaredDead.push(effect.life);
      if (effect.type === "tell") this.told.push({ node: effect.node, message: effect.message });
    }
  }

  report(name: string): void {
    const from = lifeOf(this.members.find(({ node }) => node === name)!);
    this.hear({ type: "report", from, leaderEpoch: TERM, holdings: [] });
  }

  /** Moves the time on, and lets the machine decide. */
  pass(forMs: number): void {
    this.nowMs += forMs;
    this.hear({ type: "decide_due" });
  }

  write(): void {
    assert.ok(this.writing, "something is written");
    this.writing = undefined;
    this.#version += 1;
    this.hear({ type: "written", version: this.#version });
  }

  /** The store answers nothing, and has not written the table. */
  failWrite(): void {
    assert.ok(this.writing, "something is written");
    this.writing = undefined;
    this.hear({ type: "write_failed", error: new UnavailableError("STORE_UNAVAILABLE", "it did not answer") });
    this.hear({ type: "table_read", table: { ...EMPTY_TABLE, version: this.#version, entries: this.state.table } });
  }

  writeAll(): void {
    while (this.writing !== undefined) this.write();
  }

  claim(): void {
    for (const { partition, holder, grant } of this.state.table.values()) {
      if (holder !== undefined && grant !== undefined)
        this.hear({ type: "claimed", from: holder, leaderEpoch: TERM, partition, grant, epoch: 1 });
    }
  }

  join(joining: Member): void {
    const { node, incarnation } = joining;
    this.members = [...this.members, joining];
    this.look();
    this.hear({ type: "link", event: { kind: "up", node, incarnation, minor: 0 } });
    this.report(node);
    this.pass(200);
  }

  tick(): void {
    this.hear({ type: "tick" });
  }

  look(): void {
    const { leader } = this.state;
    this.hear({ type: "view", view: { members: this.members, leader, leaseExpiresInMs: 1_000, tableVersion: 0 } });
  }

  kill(name: string): void {
    this.members = this.members.filter(({ node }) => node !== name);
    this.hear({ type: "link", event: { kind: "refused", node: nodeId(name), incarnation: 1 } });
  }

  entry(partition: string): TableEntry {
    return this.state.table.get(partition)!;
  }

  /** The partitions that a node was last told to own. */
  taken(name: string): readonly string[] {
    return this.told
      .filter(({ node }) => node === name)
      .flatMap(({ message }) => (message.type === "orders" ? message.orders : []))
      .flatMap((order) => (order.kind === "take" ? [order.partition] : []));
  }
}
