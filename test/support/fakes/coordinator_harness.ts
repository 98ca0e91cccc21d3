/** A coordinator's machine with its effects, for tests of its parts. */
import type { LinkEvent } from "../../../actors/transport/transport.ts";
import { nodeId } from "../../../protocols/position.ts";
import {
  CLUSTER_TIMES,
  type Holding,
  type Leader,
  type Life,
  type Member,
  type Order,
  type TableEntry,
} from "../../../supervisors/cluster/cluster.ts";
import { stepCoordinator } from "../../../supervisors/cluster/coordinator/coordinator_machine.ts";
import {
  type CoordinatorEffect,
  type CoordinatorMessage,
  type CoordinatorState,
  createCoordinator,
} from "../../../supervisors/cluster/coordinator/coordinator_state.ts";
import { EMPTY_TABLE, member as memberOf } from "./coordinator_term.ts";

export const TIMES = CLUSTER_TIMES;
export const LEADER: Leader = { node: nodeId("a"), incarnation: 1, leaderEpoch: 7 };
export const NAMES = (count: number) => Array.from({ length: count }, (_, at) => `s/${at}`);

export const member = (node: string, more: Partial<Member> = {}): Member =>
  memberOf(node, 1, { expiresInMs: 5_000, ...more });
export const life = (node: string, incarnation = 1): Life => ({ node: nodeId(node), incarnation });

/** A coordinator of `nodes`, with all its effects. Members answer orders only when the test lets them. */
export class Harness {
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

export const settled = (nodes: readonly string[], partitions = 6): Harness => {
  const harness = new Harness(nodes, { partitions });
  harness.settle();
  harness.effects.length = 0;
  return harness;
};
