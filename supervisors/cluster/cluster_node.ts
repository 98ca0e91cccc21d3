/** A node's part in its cluster: joins, runs each life's member and links, places its partitions, leaves in order. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { ActorReference, ActorSystem, DeadLetterOffice } from "../../actors/kernel/actor.ts";
import { settledWithin } from "../../actors/kernel/settled_within.ts";
import type { Log } from "../../actors/log/log.ts";
import type { NodeLog } from "../../actors/observers/node_log.ts";
import { createPeerLinks, type PeerLinks, type PeerLinksOptions } from "../../actors/transport/peer/peer_links.ts";
import type { PeerTls } from "../../actors/transport/peer/peer_socket.ts";
import { refuseUpgrade } from "../../actors/transport/refuse_upgrade.ts";
import { pause, SYSTEM_CLOCK } from "../../protocols/clock.ts";
import { RejectedError, reasonOf, UnavailableError } from "../../protocols/errors.ts";
import { nodeId, partitionName } from "../../protocols/position.ts";
import type { PartitionOrder, PlacementEvent, PlacementOrder } from "../node/placement.ts";
import type { NodeDirectory } from "../node/stream_directory.ts";
import {
  type ClusterCommand,
  type ClusterTimes,
  type Decision,
  type Life,
  type MemberProfile,
  nameOfLife,
  type PartitionLoad,
  type PartitionName,
  partitionOfName,
} from "./cluster.ts";
import { ageOf, overviewOf, partitionOf } from "./cluster_overview.ts";
import type { LeaseStore } from "./leases/lease_store.ts";
import { memberActor } from "./member/member_actor.ts";
import { createMember, hasLinkToLeader, type MemberMessage, type MemberState } from "./member/member_state.ts";
import type { ClusterControl, ClusterOverview, Explanation } from "./overview.ts";
import { OwnerPointers, partitionActorName } from "./owner_pointers.ts";

/** Between two attempts to join while the store is away. */
const JOIN_RETRY_MS = 500;
/** How long `leave` waits for the store to answer. */
const STORE_WITHIN_MS = 250;
/** How many of the newest decisions are searched for the one behind a partition. */
const DECISIONS_LOOKED_AT = 200;

export interface ClusterNodeParts {
  readonly system: Pick<ActorSystem, "spawn" | "stop"> & { readonly deadLetters: Pick<DeadLetterOffice, "add"> };
  readonly directory: Pick<NodeDirectory, "partitions" | "setElsewhere">;
  readonly times: ClusterTimes;
  readonly name: string;
  /** Called at each join, as the port is known only then. */
  profile(): MemberProfile;
  readonly store: LeaseStore;
  readonly clusterId: string;
  readonly secret: string | undefined;
  /** Mutual TLS: the certificate that this node shows, and the authority that it trusts. */
  readonly tls?: PeerTls | undefined;
  readonly log: NodeLog;
  /** The log that all nodes share. */
  readonly records: Pick<Log, "read" | "seek">;
  /** Default: over WebSocket. */
  readonly createLinks?: (options: PeerLinksOptions) => Promise<PeerLinks>;
  order(stream: string, order: PlacementOrder): void;
}

interface CurrentLife {
  readonly life: Life;
  readonly links: PeerLinks;
  readonly member: ActorReference<MemberMessage>;
}

const { random, setTimer } = SYSTEM_CLOCK;

export class ClusterNode implements ClusterControl {
  readonly #parts: ClusterNodeParts;
  readonly #partitions: readonly PartitionName[];
  /** Partitions for which the node's tree has had orders since it last dropped them. */
  readonly #ordered = new Set<PartitionName>();
  readonly #published = new Map<PartitionName, { stop(): void }>();
  readonly #pointers: OwnerPointers;
  #current: CurrentLife | undefined;
  #state: MemberState | undefined;
  /** How far the member's time is ahead of the machine's clock, which may have been set back. */
  #aheadMs = 0;
  #overview: ClusterOverview | undefined;
  #isEnding = false;
  #onLeft: () => void = () => {};

  constructor(parts: ClusterNodeParts) {
    this.#parts = parts;
    this.#pointers = new OwnerPointers(parts.directory, parts.records);
    this.#partitions = [...parts.directory.partitions()].map(partitionName);
  }

  /** Begins a life. Rejects with `UnavailableError` while the store is away: the caller tries the first life again. */
  async join(): Promise<void> {
    const { system, store, profile, times, clusterId, secret, tls, log, createLinks = createPeerLinks } = this.#parts;
    const { node, incarnation, probationMs } = await store.join(profile(), times.registrationMs);
    const life: Life = { node, incarnation };
    const links = await createLinks({
      self: life,
      clusterId,
      ...(secret === undefined ? {} : { secret }),
      ...(tls === undefined ? {} : { tls, authorizedByTls: true }),
      times,
      setTimer,
      random,
      onDeadLetter: (path, _reason, message) => system.deadLetters.add(path, "unreachable", message),
      onProblem: (error, peer) => log("warn", `link: ${reasonOf(error)}`, { peer }),
    });
    log("info", "joined the cluster", { life: nameOfLife(life), probationMs });
    const member = system.spawn(
      memberActor({
        ...{ self: life, times, partitions: this.#partitions, store, peers: links },
        placement: {
          order: (name, order) => this.#order(name, order),
          pointTo: (partition, owner) => this.#pointers.pointTo(links, partition, owner),
        },
        note: (level, text) => log(level, text),
        onStep: (state, nowMs) => {
          this.#state = state;
          this.#aheadMs = nowMs - Date.now();
          this.#overview = undefined;
        },
        onLeft: () => this.#onLeft(),
        onOver: () => void this.#beginAnother(),
      }),
    );
    this.#current = { life, links, member };
  }

  /** The registry has forgotten the life before, whose member has dropped its partitions (member M7). */
  async #beginAnother(): Promise<void> {
    const before = this.#current;
    if (before === undefined || this.#isEnding) return;
    this.#current = undefined;
    this.#parts.log("warn", "the registry no longer knows this node, which joins again", {
      life: nameOfLife(before.life),
    });
    // A member that was restarted has forgotten partitions, and so has not dropped them.
    for (const name of [...this.#ordered]) this.#order(name, { type: "drop" });
    await this.#endLife(before);
    while (!this.#isEnding && this.#current === undefined) {
      try {
        await this.join();
      } catch (error) {
        this.#parts.log("warn", `cannot join: ${reasonOf(error)}`);
        await pause(JOIN_RETRY_MS);
      }
    }
  }

  /** A member also drops partitions that were never placed here: the tree hears only of those that it has had orders for. */
  #order(name: PartitionName, order: PartitionOrder): void {
    if (order.type !== "drop") this.#ordered.add(name);
    else if (!this.#ordered.delete(name)) return;
    const { stream, partition } = partitionOfName(name);
    this.#parts.order(stream, { ...order, partition });
  }

  /** An actor of the tree ended while it held the order to drop the partition, and its successor placed it again. */
  #dropAgain(name: PartitionName): void {
    this.#ordered.add(name);
    this.#order(name, { type: "drop" });
  }

  async #endLife({ links, member }: CurrentLife): Promise<void> {
    this.#pointers.forgetAll();
    for (const publication of this.#published.values()) publication.stop();
    this.#published.clear();
    await this.#parts.system.stop(member as ActorReference<never>);
    await links.close();
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, onShown: () => void): void {
    if (this.#current !== undefined) this.#current.links.upgrade(request, socket, head, onShown);
    else
      refuseUpgrade(
        socket,
        new UnavailableError("NOT_READY", "Cannot link with a node as this node has not joined the cluster"),
      );
  }

  /** The node's tree tells here what became of an order. */
  onPlacement(event: PlacementEvent): void {
    const name = partitionName(event.partition);
    const current = this.#current;
    if (current === undefined) return;
    switch (event.kind) {
      case "placed":
        this.#published.get(name)?.stop();
        this.#published.set(name, current.links.publish(partitionActorName(name), event.reference));
        if (!this.#ordered.has(name)) this.#dropAgain(name);
        return;
      case "owned":
        current.member.tell({ type: "owned", partition: name, epoch: event.epoch });
        return;
      case "released":
        this.#unpublish(name);
        current.member.tell({ type: "let_go", partition: name });
        return;
      case "superseded":
        this.#unpublish(name);
        current.member.tell({ type: "superseded", partition: name, grant: event.grant });
        return;
    }
  }

  #unpublish(name: PartitionName): void {
    this.#published.get(name)?.stop();
    this.#published.delete(name);
  }

  tellLoads(loads: readonly PartitionLoad[]): void {
    this.#current?.member.tell({ type: "loads", loads });
  }

  // Questions of people -------------------------------------------------------------------------------------------------

  overview(): ClusterOverview {
    const nowMs = Date.now() + this.#aheadMs;
    const state = this.#state ?? this.#beforeFirstStep(nowMs);
    this.#overview ??= overviewOf(state, this.#partitions, nowMs);
    const ageMs = ageOf(state, nowMs);
    return ageMs === this.#overview.ageMs ? this.#overview : { ...this.#overview, ageMs };
  }

  #beforeFirstStep(nowMs: number): MemberState {
    return createMember({ node: nodeId(this.#parts.name), incarnation: 0 }, this.#parts.times, nowMs);
  }

  async explain(name: PartitionName): Promise<Explanation | undefined> {
    const state = this.#state;
    if (state === undefined || !this.#partitions.includes(name)) return undefined;
    const entry = state.table.get(name);
    const decisions = await this.#parts.store.readDecisions(DECISIONS_LOOKED_AT);
    const reason = entry?.reason ?? "no coordinator has given it to a node yet";
    const decision = decisions.find(({ id }) => id === entry?.decision);
    return { partition: partitionOf(state, name), reason, decision };
  }

  decisions(countMax: number): Promise<readonly Decision[]> {
    return this.#parts.store.readDecisions(countMax);
  }

  async ask(command: ClusterCommand): Promise<void> {
    const state = this.#state;
    if ("node" in command && state?.members.has(command.node) !== true) {
      const known = [...(state?.members.keys() ?? [])].join(", ");
      throw new RejectedError(
        "UNKNOWN_NODE",
        `Cannot ${command.kind} ${command.node} as the node must be one of [${known}]: current value is ${command.node}`,
      );
    }
    if (state === undefined || !hasLinkToLeader(state) || this.#current === undefined) {
      throw new UnavailableError(
        "NOT_READY",
        `Cannot ${command.kind} as no coordinator can be reached: ${state?.leader === undefined ? "none is known" : `${state.leader.node} is not linked`}`,
      );
    }
    this.#current.member.tell({ type: "command", command });
  }

  // The end -----------------------------------------------------------------------------------------------------------

  /**
   * Hands all partitions over to the other nodes within `withinMs`, then leaves the registry. A store that is away delays this by
   * at most `STORE_WITHIN_MS`: the other nodes then find the registration expired.
   */
  async leave(withinMs: number): Promise<void> {
    const current = this.#current;
    this.#isEnding = true;
    if (current === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      this.#onLeft = () => {
        clearTimeout(timer);
        resolve();
      };
      current.member.tell({ type: "leave" });
    });
    const away = (reason: string) => this.#parts.log("warn", `could not leave the registry: ${reason}`);
    const leaving = this.#parts.store.leave(current.life).catch((error: unknown) => away(reasonOf(error)));
    if (!(await settledWithin(leaving, STORE_WITHIN_MS))) away(`the store must answer within ${STORE_WITHIN_MS} ms`);
  }

  /** Ends the links: their closing tells the other nodes. */
  async close(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    if (current !== undefined) await this.#endLife(current);
  }
}
