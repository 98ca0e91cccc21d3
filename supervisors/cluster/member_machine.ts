/**
 * One life of a node as a member of its cluster: whom it follows, what it holds, and when it stands for coordinator. Leaves
 * who gets what to the coordinator, and partitions to their supervisors.
 *   M1. An order is carried out only for this life, and only of the highest term seen (E20).
 *   M2. Each coordinator is first told all that this life holds; then what changes.
 *   M3. Every order is answered, and answered alike when it comes again.
 *   M4. What the table gives to another life is let go of, whoever forgot to order it: its appends would be refused.
 *   M5. A member stands when nobody leads, when the lease has expired, or at once when the leader's port refuses (E20). One
 *       that stepped down because it may be cut off lets the others stand first.
 *   M6. While the store is away nothing is given up: expiry is the coordinator's to judge (E21).
 *   M7. A life that the registry does not know any more is over: whoever runs it begins another.
 */
import type { Grant } from "../../actors/log/log.ts";
import type { LinkEvent } from "../../actors/transport/transport.ts";
import type { NodeId } from "../../protocols/position.ts";
import type {
  ClusterCommand,
  ClusterTimes,
  Holding,
  Leader,
  Life,
  Member,
  NodeRates,
  Order,
  PartitionLoad,
  PartitionName,
  TableEntry,
  ToCoordinator,
  ToMember,
} from "./cluster.ts";
import { compareGrants, isSameLife } from "./cluster.ts";
import type { LinkOfNode } from "./coordinator_state.ts";
import type { ElectionOutcome, StoreView } from "./lease_store.ts";

/** Members stand one after the other, by name, so that not all ask the store at once. */
const STAND_APART_MS = 20;
const STAND_APART_MAX_MS = 1_000;

interface Held {
  phase: Holding["phase"];
  grant: Grant | undefined;
  epoch: number | undefined;
  /** Who is to have it next, while it is handed over. */
  to: Life | undefined;
}

export interface MemberState {
  readonly self: Life;
  readonly times: ClusterTimes;
  phase: "member" | "leaving" | "over";
  /** Of the highest term heard of. */
  leader: Leader | undefined;
  /** This life coordinates. */
  isLeading: boolean;
  isStanding: boolean;
  /** M5. */
  standNotBeforeMs: number;
  /** Until the lease expires, as last looked at; undefined before. */
  leaseExpiresAtMs: number | undefined;
  members: ReadonlyMap<NodeId, Member>;
  readonly links: Map<NodeId, LinkOfNode>;
  readonly holdings: Map<PartitionName, Held>;
  readonly table: Map<PartitionName, TableEntry>;
  tableVersion: number;
  readonly epochs: Map<PartitionName, number>;
  rates: ReadonlyMap<NodeId, NodeRates>;
  isStoreAway: boolean;
  /** When the leader, or the store, was last heard of. */
  heardAtMs: number;
}

export type MemberMessage =
  | ToMember
  | { readonly type: "begin" }
  | { readonly type: "look_due" }
  | { readonly type: "viewed"; readonly view: StoreView }
  | { readonly type: "look_failed" }
  | { readonly type: "renew_due" }
  | { readonly type: "renewed"; readonly isKnown: boolean }
  | { readonly type: "renew_failed" }
  | { readonly type: "stand_due"; readonly insteadOf: number | undefined }
  | { readonly type: "stood"; readonly outcome: ElectionOutcome }
  | { readonly type: "stand_failed" }
  /** Its coordinator has given the lease up, or lost it. */
  | { readonly type: "stepped_down"; readonly because: "superseded" | "cut_off" | "failed" }
  | { readonly type: "link"; readonly event: LinkEvent }
  | { readonly type: "owned"; readonly partition: PartitionName; readonly epoch: number }
  | { readonly type: "let_go"; readonly partition: PartitionName }
  | { readonly type: "superseded"; readonly partition: PartitionName }
  | { readonly type: "loads"; readonly loads: readonly PartitionLoad[] }
  | { readonly type: "command"; readonly command: ClusterCommand }
  /** The node ends once it holds nothing. */
  | { readonly type: "leave" };

export type MemberEffect =
  | { readonly type: "look" }
  | { readonly type: "renew" }
  | { readonly type: "stand"; readonly insteadOf: number | undefined }
  | {
      readonly type: "lead";
      readonly leader: Leader;
      readonly links: ReadonlyMap<NodeId, LinkOfNode>;
    }
  /** The coordinator that runs here is to end, as another term has begun. */
  | { readonly type: "stop_leading" }
  | { readonly type: "keep_links"; readonly members: readonly Member[] }
  | { readonly type: "tell_coordinator"; readonly node: NodeId; readonly message: ToCoordinator }
  | { readonly type: "expect"; readonly partition: PartitionName }
  | { readonly type: "take"; readonly partition: PartitionName; readonly grant: Grant }
  | { readonly type: "hand_over"; readonly partition: PartitionName; readonly drainWithinMs: number }
  | { readonly type: "drop"; readonly partition: PartitionName }
  /** Who owns a partition elsewhere, as far as is known. */
  | { readonly type: "point_to"; readonly partition: PartitionName; readonly owner: Member | undefined }
  | { readonly type: "wait"; readonly delayMs: number; readonly message: MemberMessage }
  /** Nothing is held any more, and the coordinator knows (for `leave`). */
  | { readonly type: "left" }
  /** M7. */
  | { readonly type: "over" };

export type MemberResult = readonly [MemberState, readonly MemberEffect[]];

export function createMember(self: Life, times: ClusterTimes, nowMs: number): MemberState {
  return {
    self,
    times,
    phase: "member",
    leader: undefined,
    isLeading: false,
    isStanding: false,
    standNotBeforeMs: 0,
    leaseExpiresAtMs: undefined,
    members: new Map(),
    links: new Map(),
    holdings: new Map(),
    table: new Map(),
    tableVersion: 0,
    epochs: new Map(),
    rates: new Map(),
    isStoreAway: false,
    heardAtMs: nowMs,
  };
}

export function stepMember(state: MemberState, message: MemberMessage, nowMs: number): MemberResult {
  return [state, state.phase === "over" ? [] : take(state, message, nowMs)];
}

function take(state: MemberState, message: MemberMessage, nowMs: number): readonly MemberEffect[] {
  const { times } = state;
  switch (message.type) {
    case "begin":
      return [{ type: "look" }, { type: "wait", delayMs: times.renewEveryMs, message: { type: "renew_due" } }];
    case "look_due":
      return [{ type: "look" }];
    case "viewed":
      return [...viewed(state, message.view, nowMs), lookLater(state)];
    case "look_failed":
      state.isStoreAway = true;
      return [lookLater(state)];
    case "renew_due":
      return [{ type: "renew" }];
    case "renewed":
      return message.isKnown ? [renewLater(state)] : end(state);
    case "renew_failed":
      return [renewLater(state)]; // M6
    case "stand_due":
      return standNow(state, message.insteadOf, nowMs);
    case "stood":
      return stood(state, message.outcome, nowMs);
    case "stand_failed":
      state.isStanding = false;
      return [];
    case "stepped_down":
      return steppedDown(state, message.because, nowMs);
    case "link":
      return takeLink(state, message.event, nowMs);
    case "orders":
      return takeOrders(state, message, nowMs);
    case "table":
      return takeTable(state, message, nowMs);
    case "report_again":
      return follow(state, message.leader, nowMs) ? greet(state) : [];
    case "owned":
      return owned(state, message.partition, message.epoch);
    case "let_go": {
      // Where it was given back meanwhile, the tree has that order too, behind the one that it has just carried out.
      const isAsked = state.holdings.get(message.partition)?.phase === "handing_over";
      return isAsked ? letGo(state, message.partition) : [];
    }
    case "superseded":
      return letGo(state, message.partition);
    case "loads":
      return tellLeader(state, ({ leaderEpoch }) => ({
        type: "loads",
        from: state.self,
        leaderEpoch,
        loads: message.loads,
      }));
    case "command":
      return tellLeader(state, ({ leaderEpoch }) => ({
        type: "asked",
        from: state.self,
        leaderEpoch,
        command: message.command,
      }));
    case "leave":
      return leave(state);
  }
}

// Whom to follow ------------------------------------------------------------------------------------------------------

const renewLater = ({ times }: MemberState): MemberEffect => ({
  type: "wait",
  delayMs: times.renewEveryMs,
  message: { type: "renew_due" },
});

/** Often while no leader is linked: the store then tells who leads. */
const lookLater = (state: MemberState): MemberEffect => ({
  type: "wait",
  delayMs: state.isLeading || !hasLinkToLeader(state) ? state.times.lookEveryMs : state.times.renewEveryMs,
  message: { type: "look_due" },
});

function hasLinkToLeader({ leader, links, isLeading }: MemberState): boolean {
  if (leader === undefined) return false;
  const link = links.get(leader.node);
  return isLeading || (link?.incarnation === leader.incarnation && link.state === "up");
}

function viewed(state: MemberState, view: StoreView, nowMs: number): readonly MemberEffect[] {
  state.isStoreAway = false;
  state.heardAtMs = nowMs;
  state.leaseExpiresAtMs = view.leaseExpiresInMs === undefined ? undefined : nowMs + view.leaseExpiresInMs;
  const effects: MemberEffect[] = [...noteMembers(state, view.members)];
  if (view.leader !== undefined && isNewer(state, view.leader)) {
    if (follow(state, view.leader, nowMs)) effects.push(...stopLeadingIfOther(state), ...greet(state));
  }
  if (view.leader === undefined || (view.leaseExpiresInMs ?? 0) < 0)
    effects.push(...standSoon(state, undefined, nowMs));
  return effects;
}

const isNewer = ({ leader }: MemberState, { leaderEpoch }: Leader): boolean => leaderEpoch > (leader?.leaderEpoch ?? 0);

/** M1: false for one of a lower term. */
function follow(state: MemberState, leader: Leader, nowMs: number): boolean {
  if (leader.leaderEpoch < (state.leader?.leaderEpoch ?? 0)) return false;
  state.leader = leader;
  state.heardAtMs = nowMs;
  return true;
}

function stopLeadingIfOther(state: MemberState): readonly MemberEffect[] {
  if (!state.isLeading || isSameLife(state.leader, state.self)) return [];
  state.isLeading = false;
  return [{ type: "stop_leading" }];
}

function noteMembers(state: MemberState, members: readonly Member[]): readonly MemberEffect[] {
  const before = state.members;
  state.members = new Map(members.map((member) => [member.node, member]));
  const isNews = (life: Life | undefined) =>
    life !== undefined && ofLife(state, life) !== undefined && !isSameLife(before.get(life.node), life);
  const news = [...state.table.values()].filter(({ holder }) => isNews(holder)).map((entry) => pointTo(state, entry));
  const others = members.filter(({ node }) => node !== state.self.node);
  return [{ type: "keep_links", members: others }, ...news, ...(hasHeirs(state) ? [] : leftAlone(state))];
}

/** There is a node that may take over what this one leaves. */
const hasHeirs = ({ members, self }: MemberState): boolean =>
  [...members.values()].some(({ node, isDraining }) => node !== self.node && !isDraining);

const pointTo = (state: MemberState, { partition, holder }: TableEntry): MemberEffect => ({
  type: "point_to",
  partition,
  owner: holder === undefined || isSameLife(holder, state.self) ? undefined : ofLife(state, holder),
});

/** M2: its first words to a coordinator. One that leaves says so to each. */
const greet = (state: MemberState): readonly MemberEffect[] => [
  report(state),
  ...(state.phase === "leaving" ? askToDrain(state) : []),
];

const report = (state: MemberState): MemberEffect => ({
  type: "tell_coordinator",
  node: (state.leader ?? state.self).node,
  message: {
    type: "report",
    from: state.self,
    leaderEpoch: state.leader?.leaderEpoch ?? 0,
    holdings: [...state.holdings].map(([partition, { phase, grant, epoch }]) => ({ partition, phase, grant, epoch })),
  },
});

function tellLeader(state: MemberState, message: (leader: Leader) => ToCoordinator): readonly MemberEffect[] {
  const { leader } = state;
  return leader === undefined ? [] : [{ type: "tell_coordinator", node: leader.node, message: message(leader) }];
}

function takeLink(state: MemberState, event: LinkEvent, nowMs: number): readonly MemberEffect[] {
  state.links.set(event.node, { incarnation: event.incarnation, state: event.kind });
  const { leader } = state;
  if (leader === undefined || !isSameLife(leader, event) || state.isLeading) return [];
  switch (event.kind) {
    case "up":
      return greet(state);
    case "closed":
      return [];
    case "refused":
      return standSoon(state, leader.leaderEpoch, nowMs); // M5
    case "silent":
      return [{ type: "look" }];
  }
}

// Standing ------------------------------------------------------------------------------------------------------------

function standSoon(state: MemberState, insteadOf: number | undefined, nowMs: number): readonly MemberEffect[] {
  if (state.isStanding || state.isLeading || state.phase !== "member") return [];
  state.isStanding = true;
  const names = [...state.members.keys()].filter((node) => node !== state.leader?.node).sort();
  const apartMs = Math.min(Math.max(0, names.indexOf(state.self.node)) * STAND_APART_MS, STAND_APART_MAX_MS);
  const delayMs = Math.max(apartMs, state.standNotBeforeMs - nowMs);
  return [{ type: "wait", delayMs, message: { type: "stand_due", insteadOf } }];
}

function standNow(state: MemberState, insteadOf: number | undefined, nowMs: number): readonly MemberEffect[] {
  const isNeeded = insteadOf === undefined || state.leader?.leaderEpoch === insteadOf;
  if (!state.isStanding || !isNeeded || state.isLeading || nowMs < state.standNotBeforeMs) {
    state.isStanding = false;
    return [];
  }
  return [{ type: "stand", insteadOf }];
}

function stood(state: MemberState, outcome: ElectionOutcome, nowMs: number): readonly MemberEffect[] {
  state.isStanding = false;
  if (outcome.kind === "held") {
    state.leaseExpiresAtMs = nowMs + outcome.leaseExpiresInMs;
    return isNewer(state, outcome.leader) && follow(state, outcome.leader, nowMs) ? greet(state) : [];
  }
  const leader: Leader = { ...state.self, leaderEpoch: outcome.leaderEpoch };
  if (!follow(state, leader, nowMs)) return [];
  state.isLeading = true;
  return [{ type: "lead", leader, links: new Map(state.links) }, ...greet(state)];
}

function steppedDown(
  state: MemberState,
  because: "superseded" | "cut_off" | "failed",
  nowMs: number,
): readonly MemberEffect[] {
  state.isLeading = false;
  if (because === "cut_off") state.standNotBeforeMs = nowMs + 2 * state.times.leaseMs;
  return [{ type: "look" }];
}

// Orders and the table ------------------------------------------------------------------------------------------------

function takeOrders(
  state: MemberState,
  { leader, to, orders }: Extract<ToMember, { type: "orders" }>,
  nowMs: number,
): readonly MemberEffect[] {
  if (!isSameLife(to, state.self) || !follow(state, leader, nowMs)) return []; // M1
  return [...stopLeadingIfOther(state), ...orders.flatMap((order) => takeOrder(state, order))];
}

function takeOrder(state: MemberState, order: Order): readonly MemberEffect[] {
  const held = state.holdings.get(order.partition);
  switch (order.kind) {
    case "expect":
      if (held !== undefined) return [];
      state.holdings.set(order.partition, { phase: "expecting", grant: undefined, epoch: undefined, to: undefined });
      return [{ type: "expect", partition: order.partition }];
    case "forget":
      if (held?.phase !== "expecting") return [];
      state.holdings.delete(order.partition);
      return [{ type: "drop", partition: order.partition }];
    case "take":
      return takePartition(state, order.partition, order.grant, held);
    case "hand_over":
      return handOver(state, order, held);
  }
}

function takePartition(
  state: MemberState,
  partition: PartitionName,
  grant: Grant,
  held: Held | undefined,
): readonly MemberEffect[] {
  if (held?.grant !== undefined) {
    const order = compareGrants(grant, held.grant);
    if (order < 0) return []; // an order that was overtaken
    if (order === 0) return held.phase === "owned" ? claimed(state, partition, held) : [];
  }
  state.holdings.set(partition, { phase: "claiming", grant, epoch: undefined, to: undefined });
  return [{ type: "take", partition, grant }];
}

function handOver(
  state: MemberState,
  { partition, grant, to, withinMs }: Extract<Order, { kind: "hand_over" }>,
  held: Held | undefined,
): readonly MemberEffect[] {
  if (held?.grant === undefined) {
    // M3: there is nothing to finish, unless an earlier life of this actor took it: the tree knows.
    state.holdings.set(partition, { phase: "handing_over", grant, epoch: undefined, to });
    return [...towards(state, partition, to), { type: "hand_over", partition, drainWithinMs: withinMs }];
  }
  if (compareGrants(grant, held.grant) < 0) return released(state, partition, grant);
  if (compareGrants(grant, held.grant) > 0) return []; // granted, and the order to take it is still on its way
  const isFirst = held.phase !== "handing_over";
  held.phase = "handing_over";
  held.to = to;
  const point = towards(state, partition, to);
  return isFirst ? [...point, { type: "hand_over", partition, drainWithinMs: withinMs }] : point;
}

/** Who asks for it here is sent to its next owner. */
const towards = (state: MemberState, partition: PartitionName, to: Life): readonly MemberEffect[] =>
  isSameLife(to, state.self) ? [] : [{ type: "point_to", partition, owner: state.members.get(to.node) }];

function released(state: MemberState, partition: PartitionName, grant: Grant): readonly MemberEffect[] {
  return tellLeader(state, ({ leaderEpoch }) => ({
    type: "released",
    from: state.self,
    leaderEpoch,
    partition,
    grant,
  }));
}

function claimed(state: MemberState, partition: PartitionName, { grant, epoch }: Held): readonly MemberEffect[] {
  if (grant === undefined || epoch === undefined) return [];
  return tellLeader(state, ({ leaderEpoch }) => ({
    type: "claimed",
    from: state.self,
    leaderEpoch,
    partition,
    grant,
    epoch,
  }));
}

function owned(state: MemberState, partition: PartitionName, epoch: number): readonly MemberEffect[] {
  const held = state.holdings.get(partition);
  if (held === undefined) return [];
  held.epoch = epoch;
  if (held.phase === "claiming") held.phase = "owned";
  return held.phase === "owned" ? claimed(state, partition, held) : [];
}

function letGo(state: MemberState, partition: PartitionName): readonly MemberEffect[] {
  const held = state.holdings.get(partition);
  if (held === undefined) return [];
  state.holdings.delete(partition);
  const told = held.grant === undefined ? [] : released(state, partition, held.grant);
  return [...told, ...leftIfEmpty(state)];
}

function takeTable(
  state: MemberState,
  { leader, version, isWhole, entries, epochs, members, rates }: Extract<ToMember, { type: "table" }>,
  nowMs: number,
): readonly MemberEffect[] {
  if (!follow(state, leader, nowMs)) return []; // M1
  const effects: MemberEffect[] = [...stopLeadingIfOther(state)];
  if (members !== undefined) effects.push(...noteMembers(state, members));
  if (isWhole) {
    state.table.clear();
    state.epochs.clear();
  }
  state.tableVersion = version;
  if (rates !== undefined) state.rates = new Map(rates.map((one) => [one.node, one]));
  for (const entry of entries) effects.push(...takeEntry(state, entry));
  for (const [partition, epoch] of epochs) state.epochs.set(partition, epoch);
  return effects;
}

function takeEntry(state: MemberState, entry: TableEntry): readonly MemberEffect[] {
  const { partition, holder, grant } = entry;
  const before = state.table.get(partition);
  state.table.set(partition, entry);
  if (!isSameLife(before?.holder, holder)) state.epochs.delete(partition);
  const effects: MemberEffect[] = [];
  const held = state.holdings.get(partition);
  const isOurs = isSameLife(holder, state.self);
  // M4: the move was forced, or its order went astray.
  const isOvertaken = grant !== undefined && held?.grant !== undefined && compareGrants(held.grant, grant) < 0;
  if (!isOurs && isOvertaken) {
    state.holdings.delete(partition);
    effects.push({ type: "drop", partition });
  }
  effects.push(pointTo(state, entry));
  return effects;
}

function ofLife({ members }: MemberState, life: Life): Member | undefined {
  const member = members.get(life.node);
  return isSameLife(member, life) ? member : undefined;
}

// The end -------------------------------------------------------------------------------------------------------------

function leave(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "member") return [];
  state.phase = "leaving";
  if (!hasHeirs(state)) return leftAlone(state);
  return [...askToDrain(state), ...leftIfEmpty(state)];
}

const askToDrain = (state: MemberState): readonly MemberEffect[] =>
  tellLeader(state, ({ leaderEpoch }) => ({
    type: "asked",
    from: state.self,
    leaderEpoch,
    command: { kind: "drain", node: state.self.node },
  }));

/** What nobody can take over ends with the node. */
function leftAlone(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "leaving") return [];
  state.holdings.clear();
  return leftIfEmpty(state);
}

function leftIfEmpty(state: MemberState): readonly MemberEffect[] {
  if (state.phase !== "leaving" || state.holdings.size > 0) return [];
  state.phase = "over";
  const leaving = tellLeader(state, ({ leaderEpoch }) => ({ type: "leaving", from: state.self, leaderEpoch }));
  return [...leaving, { type: "left" }];
}

/** M7. */
function end(state: MemberState): readonly MemberEffect[] {
  state.phase = "over";
  const dropping = [...state.holdings.keys()].map((partition): MemberEffect => ({ type: "drop", partition }));
  state.holdings.clear();
  const leading: MemberEffect[] = state.isLeading ? [{ type: "stop_leading" }] : [];
  state.isLeading = false;
  return [...leading, ...dropping, { type: "over" }];
}
