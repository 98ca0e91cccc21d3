/**
 * One partition that is placed on this node: starts its owner, then one delivery for each sink, and ends them in order (V2, V3).
 * Leaves the partitions of a stream, and restarts, to `partition_supervisor.ts`.
 */
import type { ActorContext, ActorReference } from "../../actors/kernel/actor.ts";
import type { Grant } from "../../actors/log/log.ts";
import type { PartitionRequest } from "../../actors/partition/partition.ts";
import { partitionActor } from "../../actors/partition/partition_actor.ts";
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import type { PartitionReference } from "../../protocols/position.ts";
import { compareGrants } from "../cluster/cluster.ts";
import type { PartitionOrder, PartitionPlan, PlacementEvent, StreamTree } from "./placement.ts";
import type { DirectoryEntry } from "./stream_directory.ts";

/**
 * Time for clients to connect to the next owner: a connection, a greeting and the producer's registration. Over the loopback
 * of a busy machine that takes some 40 ms; TLS adds three round trips.
 */
const ANNOUNCED_MS = 100;

type Placement =
  | { readonly phase: "expected" }
  | { readonly phase: "granted"; readonly grant: Grant }
  | { readonly phase: "leaving"; readonly drainWithinMs: number };

/** The state of one partition, kept over all lives of its actors (V1). */
export interface Place {
  placement: Placement | undefined;
  isResting: boolean;
}

export type PlaceMessage =
  | PartitionOrder
  | { readonly type: "owned"; readonly feed: PartitionFeed }
  /** Resolves once the deliveries of the former ownership have ended. */
  | { readonly type: "deliver"; readonly feed: PartitionFeed }
  | { readonly type: "disowned"; readonly owner: ActorReference<PartitionRequest>; readonly isFinal: boolean }
  | { readonly type: "announced" }
  | { readonly type: "drained" }
  | { readonly type: "handed_over" };

export class PlacedPartition {
  readonly #tree: StreamTree;
  readonly #plan: PartitionPlan;
  readonly #place: Place;
  readonly #context: ActorContext<PlaceMessage>;
  #owner: ActorReference<PartitionRequest> | undefined;
  #deliveries: readonly ActorReference<never>[] = [];
  #announcement: { cancel(): void } | undefined;
  /** Stopped actors whose end is awaited, as their names are free only afterwards. */
  #ending: Promise<unknown> = Promise.resolve();

  constructor(tree: StreamTree, plan: PartitionPlan, place: Place, context: ActorContext<PlaceMessage>) {
    this.#tree = tree;
    this.#plan = plan;
    this.#place = place;
    this.#context = context;
    if (place.placement?.phase === "leaving")
      context.self.tell({ type: "handed_over" }); // each request in flight has ended
    else if (place.placement !== undefined) this.#spawnOwner();
  }

  get #partition(): PartitionReference {
    return this.#plan.owner.partition;
  }

  get #entry(): DirectoryEntry | undefined {
    const { stream, partition } = this.#partition;
    return this.#tree.directory.partition(stream, partition);
  }

  async receive(message: PlaceMessage): Promise<void> {
    switch (message.type) {
      case "expect":
        if (this.#place.placement !== undefined) return;
        this.#place.placement = { phase: "expected" };
        this.#spawnOwner();
        return;
      case "take":
        return this.#take(message.grant);
      case "hand_over":
        return this.#handOver(message.drainWithinMs);
      case "announced":
        return this.#drain();
      case "drained":
        if (this.#place.placement?.phase !== "leaving" || this.#owner === undefined) return;
        this.#tree.directory.remove(this.#partition); // later requests are sent to the next owner
        this.#owner.tell({ type: "hand_over" });
        return;
      case "drop":
        return this.#end();
      case "rest":
        this.#place.isResting = true;
        void this.#stopDeliveries().then(message.onRest);
        return;
      case "owned":
        void this.#stopDeliveries().then(() => this.#context.self.tell({ type: "deliver", feed: message.feed }));
        return;
      case "deliver":
        this.#startDeliveries(message.feed);
        return;
      case "disowned":
        if (message.owner !== this.#owner) return; // another owner was placed meanwhile, under another grant
        void this.#stopDeliveries();
        if (message.isFinal && this.#place.placement?.phase === "granted")
          await this.#superseded(this.#place.placement.grant);
        return;
      case "handed_over":
        if (this.#place.placement?.phase !== "leaving") return;
        await this.#end();
        this.#tell({ kind: "released", partition: this.#partition });
        return;
    }
  }

  async #take(grant: Grant): Promise<void> {
    const { placement } = this.#place;
    if (placement?.phase === "leaving")
      await this.#end(); // the partition returns with a newer grant
    else if (placement?.phase === "granted" && placement.grant !== grant) {
      if (compareGrants(placement.grant, grant) === 0) return this.#ownedAgain();
      await this.#end();
    }
    this.#place.placement = { phase: "granted", grant };
    if (this.#owner === undefined) this.#spawnOwner();
    else this.#owner.tell({ type: "granted", grant });
  }

  /** Answers a repeated order again, as the first answer may have been lost. */
  #ownedAgain(): void {
    const feed = this.#entry?.feed;
    if (feed !== undefined) this.#tell({ kind: "owned", partition: this.#partition, epoch: feed.epoch });
  }

  /** V2. */
  #handOver(drainWithinMs: number): void {
    const { placement } = this.#place;
    if (placement === undefined) this.#tell({ kind: "released", partition: this.#partition });
    if (placement === undefined || placement.phase === "leaving") return;
    this.#place.placement = { phase: "leaving", drainWithinMs };
    this.#tree.directory.leave(this.#partition);
    const isAnnounced = placement.phase === "granted" && this.#entry?.nextAddress !== undefined;
    if (isAnnounced) this.#announcement = this.#context.after(ANNOUNCED_MS, { type: "announced" });
    else this.#drain();
  }

  #drain(): void {
    const { placement } = this.#place;
    if (placement?.phase !== "leaving") return;
    const { self } = this.#context;
    const overdue = this.#context.after(placement.drainWithinMs, { type: "drained" });
    void this.#stopDeliveries().then(() => {
      overdue.cancel();
      self.tell({ type: "drained" });
    });
  }

  async #superseded(grant: Grant): Promise<void> {
    await this.#end();
    this.#tell({ kind: "superseded", partition: this.#partition, grant });
  }

  async #end(): Promise<void> {
    const owner = this.#owner;
    this.#announcement?.cancel();
    this.#place.placement = undefined;
    this.#owner = undefined;
    this.#tree.directory.remove(this.#partition);
    void this.#stopDeliveries(); // V2
    if (owner !== undefined) await this.#context.stopChild(owner as ActorReference<never>);
  }

  #spawnOwner(): void {
    const { directory } = this.#tree;
    const place = this.#place;
    const owner: ActorReference<PartitionRequest> = this.#context.spawn(
      partitionActor({
        ...this.#plan.owner,
        placement: {
          get grant() {
            return place.placement?.phase === "granted" ? place.placement.grant : undefined;
          },
          get isLeaving() {
            return place.placement?.phase === "leaving";
          },
        },
        onOwned: (feed) => {
          if (this.#owner !== owner) return;
          directory.setFeed(this.#partition, feed);
          this.#context.self.tell({ type: "owned", feed });
          this.#tell({ kind: "owned", partition: this.#partition, epoch: feed.epoch });
        },
        onBlocked: (error) => {
          if (this.#owner === owner) directory.setBlocked(this.#partition, error);
        },
        onDisowned: (_error, isFinal) => {
          if (this.#owner !== owner) return;
          directory.setFeed(this.#partition, undefined);
          this.#context.self.tell({ type: "disowned", owner, isFinal });
        },
        onHandedOver: () => {
          if (this.#owner === owner) this.#context.self.tell({ type: "handed_over" });
        },
      }),
    );
    this.#owner = owner;
    directory.place(this.#partition, owner);
    this.#tell({ kind: "placed", partition: this.#partition, reference: owner });
  }

  #startDeliveries(feed: PartitionFeed): void {
    const isCurrent = this.#entry?.feed === feed;
    const { placement, isResting } = this.#place;
    if (!isCurrent || this.#owner === undefined || placement?.phase !== "granted" || isResting) return;
    this.#deliveries = this.#plan.deliveries(feed, this.#owner).map((delivery) => this.#context.spawn(delivery));
  }

  #stopDeliveries(): Promise<unknown> {
    const stopping = this.#deliveries.map((child) => this.#context.stopChild(child));
    this.#deliveries = [];
    this.#ending = Promise.all([this.#ending, ...stopping]);
    return this.#ending;
  }

  #tell(event: PlacementEvent): void {
    this.#tree.onPlacement?.(event);
  }
}
