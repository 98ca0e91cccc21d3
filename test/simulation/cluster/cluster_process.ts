/**
 * One process of a simulated cluster: the product's own `ClusterNode` (member, coordinator, placement, forwarded partitions)
 * beside the partitions, deliveries and sessions of `simulated_node.ts`, over simulated links and a simulated lease store.
 * Checks each order of its member, and reports a violation as a problem of the world.
 *   - An order of a lower term than the highest heard is not carried out (member M1).
 *   - A partition is taken only under a grant that the table holds for this life (coordinator O1 and O2).
 */

import type { ActorDefinition, ActorReference } from "../../../actors/kernel/actor.ts";
import { Answer } from "../../../actors/kernel/machine_actor.ts";
import type { Log } from "../../../actors/log/log.ts";
import type { PeerLinks } from "../../../actors/transport/peer/peer_links.ts";
import { reasonOf } from "../../../protocols/errors.ts";
import { nodeId, partitionId, partitionName } from "../../../protocols/position.ts";
import {
  CLUSTER_TIMES,
  type ClusterCommand,
  type ClusterTimes,
  type Life,
  type MemberProfile,
} from "../../../supervisors/cluster/cluster.ts";
import { ClusterNode } from "../../../supervisors/cluster/cluster_node.ts";
import type { MemberMessage } from "../../../supervisors/cluster/member/member_state.ts";
import type { PlacementEvent, PlacementOrder } from "../../../supervisors/node/placement.ts";
import { type NodeParts, SimulatedNode } from "../parts/simulated_node.ts";
import { STREAM } from "../parts/simulated_store.ts";
import type { World } from "../parts/world.ts";
import { ForwardedRequests } from "./forwarded_requests.ts";
import { nameOfGrant, type SimulatedLeases, type WrapLeases } from "./simulated_lease_store.ts";
import type { PeerNetwork, SimulatedPeers } from "./simulated_peers.ts";

/** The product's times, with shorter probations and moves, so that runs are shorter. */
export const SIMULATED_TIMES = {
  ...CLUSTER_TIMES,
  probationFirstMs: 200,
  probationMaxMs: 1_500,
  handOverWithinMs: 4_000,
  drainWithinMs: 1_000,
};

/** A test-side wrapper of one process's actors. */
export type WrapProcessActor = <Message>(
  definition: ActorDefinition<Message>,
  process: ClusterProcess,
) => ActorDefinition<Message>;

/** A test-side wrapper of placement orders. */
export type WrapOrder = (
  order: (one: PlacementOrder) => void,
  process: ClusterProcess,
) => (one: PlacementOrder) => void;

/** A test-side wrapper of the links of a life. */
export type WrapLinks = (links: PeerLinks) => PeerLinks;

export interface ProcessParts {
  readonly world: World;
  readonly node: Omit<NodeParts, "cluster" | "onDeath" | "wrapLog">;
  readonly leases: SimulatedLeases;
  readonly peers: PeerNetwork;
  readonly times: ClusterTimes;
  readonly wrapActor: WrapProcessActor;
  readonly wrapLeases: WrapLeases;
  readonly wrapOrder: WrapOrder;
  readonly wrapLinks: WrapLinks;
  readonly wrapLog: NodeParts["wrapLog"];
  onDeath(process: ClusterProcess): void;
}

/** Between two attempts to join while the store does not answer. */
const JOIN_RETRY_MS = 500;
const LEAVE_WITHIN_MS = 5_000;

export const addressOf = (name: string): string => `ws://${name}/v1/connect`;

export class ClusterProcess {
  readonly name: string;
  readonly number: number;
  readonly node: SimulatedNode;
  readonly cluster: ClusterNode;
  /** The links of the present life, once it has joined. */
  peers: SimulatedPeers | undefined;
  /** The process ends in order. */
  isLeaving = false;
  readonly #parts: ProcessParts;
  readonly #order: (order: PlacementOrder) => void;
  #highestTerm = 0;
  /** The member is handling a message of a term that is over. */
  #isHearingStale = false;

  constructor(parts: ProcessParts, name: string, number: number) {
    const { leases, peers, times } = parts;
    this.#parts = parts;
    this.name = name;
    this.number = number;
    this.node = new SimulatedNode(
      {
        ...parts.node,
        wrapLog: (log, outside) => this.#checkClaims(parts.wrapLog(log, outside)),
        cluster: { name, wrapActor: (definition) => this.#watchMember(parts.wrapActor(definition, this)) },
        onDeath: () => parts.onDeath(this),
      },
      number,
    );
    const { kernel } = this.node;
    this.#order = parts.wrapOrder((order) => this.node.order(order), this);
    peers.listen(nodeId(name), kernel);
    const forwarded = new ForwardedRequests(parts.world, name);
    this.cluster = new ClusterNode({
      system: {
        spawn: (definition) => kernel.spawn(definition).reference,
        stop: (actor: ActorReference<never>) => kernel.stop(actor),
        deadLetters: { add: () => {} }, // counted where links are simulated
      },
      directory: forwarded.watch(this.node.directory),
      times,
      name,
      profile: () => this.#profile(),
      store: leases.open(this.node, parts.wrapLeases),
      clusterId: "simulated",
      secret: undefined,
      records: this.node.log,
      log: (level, message, fields) => this.#note(level, message, fields),
      createLinks: async ({ self }) => {
        this.peers = peers.join(self, kernel);
        this.peers.onLink(({ kind, node }) => kind === "closed" && forwarded.linkEnded(node, addressOf(node)));
        const links = parts.wrapLinks(this.peers);
        const keep = links.keep.bind(links);
        links.keep = (of) => {
          this.#checkTerm("link with those that it is told of");
          keep(of);
        };
        return links;
      },
      order: (_stream, order) => this.#place(order),
    });
    this.node.onPlacement = (event) => this.#placed(event);
    void this.#join();
  }

  get isAlive(): boolean {
    return this.node.isAlive;
  }

  get life(): Life | undefined {
    return this.peers?.self;
  }

  #profile(): MemberProfile {
    return {
      node: nodeId(this.name),
      clientAddress: addressOf(this.name),
      peerAddress: `ws://${this.name}/v1/peer`,
      zone: "simulated",
      capacity: 1,
      minor: 0,
      version: "simulated",
    };
  }

  async #join(): Promise<void> {
    try {
      await this.cluster.join();
    } catch {
      const { world } = this.#parts;
      world.after(JOIN_RETRY_MS, () => this.node.kernel.whenAwake(() => void this.#join()));
    }
  }

  /** Partitions that this process believes to own. */
  owned(): readonly number[] {
    const owned: number[] = [];
    for (const { partition, entry } of this.node.directory.all()) {
      if (entry.isHere && entry.feed !== undefined) owned.push(partition);
    }
    return owned;
  }

  /** Where this process believes a partition to be owned. */
  ownerAddress(partition: number): string | undefined {
    const entry = this.node.directory.partition(STREAM, partition);
    return entry?.feed === undefined ? entry?.ownerAddress : addressOf(this.name);
  }

  async ask(command: ClusterCommand): Promise<void> {
    try {
      await this.cluster.ask(command);
    } catch (error) {
      this.#parts.world.say(`${this.name} was not asked: ${reasonOf(error)}`);
    }
  }

  /** Ends like a node that is told to stop: hands over, leaves the registry, ends. */
  async leave(): Promise<void> {
    if (this.isLeaving || this.peers === undefined) return;
    this.isLeaving = true;
    await this.cluster.leave(LEAVE_WITHIN_MS);
    if (!this.isAlive) return;
    await this.cluster.close();
    this.node.die("a node left in order");
  }

  #note(level: string, message: string, fields?: Readonly<Record<string, unknown>>): void {
    const { world } = this.#parts;
    if (message.includes("may be cut off itself")) world.count("a coordinator that may be cut off stepped down");
    world.say(`${this.name} ${level}: ${message}${fields === undefined ? "" : ` ${JSON.stringify(fields)}`}`);
  }

  // Orders and their checks -----------------------------------------------------------------------------------------

  #place(order: PlacementOrder): void {
    const { world, leases } = this.#parts;
    const partition = partitionName({ stream: STREAM, partition: partitionId(order.partition) });
    world.say(
      `${this.name} is to ${order.type} ${partition}${order.type === "take" ? ` ${JSON.stringify(order.grant)}` : ""}`,
    );
    world.count(`order: ${order.type}`);
    this.#checkTerm(`${order.type} ${partition}`);
    if (order.type === "take" && this.life !== undefined) leases.checkTake(partition, order.grant, this.life);
    this.#order(order);
  }

  /** The check of member M1. */
  #checkTerm(what: string): void {
    if (this.#isHearingStale) this.#parts.world.problem(`M1: ${this.name} is told to ${what}, in a term that is over`);
  }

  #placed(event: PlacementEvent): void {
    const { world } = this.#parts;
    world.say(
      `${this.name} ${event.kind} ${event.partition.partition}${event.kind === "owned" ? ` as ${event.epoch}` : ""}`,
    );
    world.count(`placement: ${event.kind}`);
    if (event.kind === "released" && world.isChaos) world.count("handoff under load");
    this.cluster.onPlacement(event);
  }

  /** Notes the terms that the member hears of. */
  #watchMember<Message>(definition: ActorDefinition<Message>): ActorDefinition<Message> {
    if (definition.name !== "member") return definition;
    const start = startAround(definition, (message, receive) => {
      const term = termOf(message as MemberMessage);
      this.#isHearingStale = isOrderOf(message as MemberMessage) && term !== undefined && term < this.#highestTerm;
      if (term !== undefined) this.#highestTerm = Math.max(this.#highestTerm, term);
      if (this.#isHearingStale) this.#parts.world.count("a word of a term that is over");
      try {
        return receive(message);
      } finally {
        this.#isHearingStale = false;
      }
    });
    return {
      ...definition,
      start: (context) => {
        this.#highestTerm = 0; // a restarted member has forgotten the terms
        return start(context);
      },
    };
  }

  /** No two processes claim under one grant, and claims that succeed have rising grants. */
  #checkClaims(log: Log): Log {
    const { world, leases } = this.#parts;
    const claim: Log["claim"] = async (...parts) => {
      const claimed = await log.claim(...parts);
      const partition = partitionName(parts[0]);
      world.say(`${this.name} claims ${nameOfGrant(partition, parts[1])} as ${claimed.ownership.epoch}`);
      leases.noteClaim(partition, parts[1], this.number);
      return claimed;
    };
    const bound = new Map<string | symbol, unknown>([["claim", claim]]);
    return new Proxy(log, {
      get: (target, name) => {
        if (bound.has(name)) return bound.get(name);
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== "function") return value;
        bound.set(name, value.bind(target));
        return bound.get(name);
      },
    });
  }
}

/** A definition's `start` whose actor is given each message through `around`. */
export const startAround =
  <Message>(
    definition: ActorDefinition<Message>,
    around: (message: Message, receive: (message: Message) => void | Promise<void>) => void | Promise<void>,
  ): ActorDefinition<Message>["start"] =>
  (context) => {
    const actor = definition.start(context);
    if (actor instanceof Promise)
      throw new Error(`Cannot simulate ${definition.name} as an actor must start at once: its start returns a promise`);
    const receive = (message: Message) => actor.receive(message);
    /** The answer of a life to itself is seen without its envelope, and handed on within one. */
    const receiveAnswer = ({ life, message }: { readonly life: unknown; readonly message: Message }) =>
      around(message, (inner) => actor.receive(new Answer(life, inner as never) as unknown as Message));
    return {
      receive: (message) => (message instanceof Answer ? receiveAnswer(message) : around(message, receive)),
      stop: () => actor.stop?.(),
    };
  };

/** A message that a member must ignore if its term is over. */
const isOrderOf = ({ type }: MemberMessage): boolean => type === "orders" || type === "table";

function termOf(message: MemberMessage): number | undefined {
  switch (message.type) {
    case "orders":
    case "table":
    case "report_again":
      return message.leader.leaderEpoch;
    case "viewed":
      return message.view.leader?.leaderEpoch;
    case "stood":
      return message.outcome.kind === "elected" ? message.outcome.leaderEpoch : message.outcome.leader.leaderEpoch;
    default:
      return undefined;
  }
}
