/**
 * The tree under one stream: groups of partitions, and under each partition that is placed on this node its owner and,
 * while it is owned, one delivery for each sink. Deliveries begin and end with the ownership whose fence they carry.
 *   V1. The placement of each partition is kept beside the actors: after a restart of any actor the same partitions are placed.
 *   V2. A partition that leaves is first announced to its clients (`moving`), which connect to the next owner meanwhile. Then its
 *       deliveries end, within the order's time, while appends go on. Then its appends end: only this delays producers.
 *   V3. No order waits for deliveries that end. The deliveries of the next ownership begin after the end of the former ones.
 *   V4. Before a node stops, its deliveries end while every partition still takes appends, as a delivery may append to another
 *       partition of the node. No delivery begins afterwards.
 */
import type { ActorContext, ActorDefinition, ActorReference, Supervision } from "../../actors/kernel/actor.ts";
import type { Grant } from "../../actors/log/log.ts";
import type { PartitionRequest } from "../../actors/partition/partition.ts";
import { type PartitionOptions, partitionActor } from "../../actors/partition/partition_actor.ts";
import type { PartitionFeed } from "../../actors/partition/partition_feed.ts";
import type { HeadraceError } from "../../protocols/errors.ts";
import type { Epoch, PartitionReference } from "../../protocols/position.ts";
import type { DirectoryEntry, NodeDirectory } from "./stream_directory.ts";

/**
 * Time for clients to connect to the next owner: a connection, a greeting and the producer's registration. Over the loopback
 * of a busy machine that takes some 40 ms; TLS adds three round trips.
 */
const ANNOUNCED_MS = 100;

/** Children of one actor: nact copies its map of children with each message. */
const GROUP_SIZE = 50;

export interface PartitionPlan {
  readonly owner: Omit<PartitionOptions, "placement" | "onOwned" | "onDisowned" | "onHandedOver" | "onBlocked">;
  /** Starts the deliveries of this partition; each reports its progress to `owner`. */
  readonly deliveries: (
    feed: PartitionFeed,
    owner: ActorReference<PartitionRequest>,
  ) => readonly ActorDefinition<never>[];
}

/** An order for one partition of a stream on this node. Each order may be repeated. */
export type PlacementOrder =
  /** The partition will be granted: hold the messages sent to it until then. */
  | { readonly type: "expect"; readonly partition: number }
  | { readonly type: "take"; readonly partition: number; readonly grant: Grant }
  /** Finish the work under way, then report `released`. */
  | { readonly type: "hand_over"; readonly partition: number; readonly drainWithinMs: number }
  /** The partition is no longer placed here: end its actors at once, whatever their state. */
  | { readonly type: "drop"; readonly partition: number }
  /** The node stops: end the deliveries for good, and keep taking appends meanwhile (V4). */
  | { readonly type: "rest"; readonly partition: number; readonly onRest: () => void };

/** A change in the state of a partition that is placed here. */
export type PlacementEvent =
  | {
      readonly kind: "placed";
      readonly partition: PartitionReference;
      readonly reference: ActorReference<PartitionRequest>;
    }
  | { readonly kind: "owned"; readonly partition: PartitionReference; readonly epoch: Epoch }
  /** The partition is handed over: no request is in flight, and no actor of it runs. */
  | { readonly kind: "released"; readonly partition: PartitionReference }
  /** Another owner holds a higher grant than this one; the partition's actors here have ended. */
  | {
      readonly kind: "superseded";
      readonly partition: PartitionReference;
      readonly grant: Grant;
      readonly error: HeadraceError;
    };

export interface StreamTree {
  readonly stream: string;
  readonly plans: readonly PartitionPlan[];
  readonly directory: NodeDirectory;
  /** Every partition is placed here from the start, with this grant. */
  readonly grant?: Grant;
  onPlacement?(event: PlacementEvent): void;
}

type Placement =
  | { readonly phase: "expected" }
  | { readonly phase: "granted"; readonly grant: Grant }
  | { readonly phase: "leaving"; readonly drainWithinMs: number };

/** The state of one partition, kept over all lives of its actors (V1). */
interface Place {
  placement: Placement | undefined;
  isResting: boolean;
}

type Message =
  | PlacementOrder
  | { readonly type: "owned"; readonly feed: PartitionFeed }
  /** Resolves once the deliveries of the former ownership have ended. */
  | { readonly type: "deliver"; readonly feed: PartitionFeed }
  | {
      readonly type: "disowned";
      readonly owner: ActorReference<PartitionRequest>;
      readonly error: HeadraceError;
      readonly isFinal: boolean;
    }
  | { readonly type: "announced" }
  | { readonly type: "drained" }
  | { readonly type: "handed_over" };

/** A crashed actor is restarted in place, with growing delays; an actor that keeps crashing fails its supervisor. */
export const SUPERVISION: Supervision = {
  strategy: "one_for_one",
  intensity: { restartsMax: 20, withinMs: 60_000 },
  backoff: { firstMs: 50, maxMs: 5_000 },
};

export const streamSupervisor = (tree: StreamTree): ActorDefinition<PlacementOrder> => {
  const { grant } = tree;
  const places = tree.plans.map(
    (): Place => ({
      placement: grant === undefined ? undefined : { phase: "granted", grant },
      isResting: false,
    }),
  );
  return {
    name: tree.stream,
    supervision: SUPERVISION,
    start(context) {
      const groups: ActorReference<PlacementOrder>[] = [];
      for (let first = 0; first < tree.plans.length; first += GROUP_SIZE) {
        groups.push(context.spawn(partitionGroup(tree, places, first)));
      }
      return { receive: (order) => groups[Math.floor(order.partition / GROUP_SIZE)]?.tell(order) };
    },
  };
};

const partitionGroup = (
  tree: StreamTree,
  places: readonly Place[],
  first: number,
): ActorDefinition<PlacementOrder> => ({
  name: String(first),
  supervision: SUPERVISION,
  start(context) {
    const partitions = new Map<number, ActorReference<Message>>();
    const supervisorOf = (partition: number): ActorReference<Message> | undefined => {
      const known = partitions.get(partition);
      const [plan, place] = [tree.plans[partition], places[partition]];
      if (known !== undefined || plan === undefined || place === undefined) return known;
      const made = context.spawn(partitionSupervisor(tree, plan, place));
      partitions.set(partition, made);
      return made;
    };
    for (let at = first; at < Math.min(first + GROUP_SIZE, places.length); at += 1) {
      if (places[at]?.placement !== undefined) supervisorOf(at);
    }
    return {
      receive: (order) => {
        const isAbsent = order.type === "rest" && !partitions.has(order.partition);
        if (isAbsent)
          order.onRest(); // no actor of it runs here, and a stopping node gets no further partition
        else supervisorOf(order.partition)?.tell(order);
      },
    };
  },
});

const partitionSupervisor = (tree: StreamTree, plan: PartitionPlan, place: Place): ActorDefinition<Message> => ({
  name: String(plan.owner.partition.partition),
  supervision: SUPERVISION,
  start: (context) => new PlacedPartition(tree, plan, place, context),
});

class PlacedPartition {
  readonly #tree: StreamTree;
  readonly #plan: PartitionPlan;
  readonly #place: Place;
  readonly #context: ActorContext<Message>;
  #owner: ActorReference<PartitionRequest> | undefined;
  #deliveries: readonly ActorReference<never>[] = [];
  #announcement: { cancel(): void } | undefined;
  /** Stopped actors whose end is awaited, as their names are free only afterwards. */
  #ending: Promise<unknown> = Promise.resolve();

  constructor(tree: StreamTree, plan: PartitionPlan, place: Place, context: ActorContext<Message>) {
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

  async receive(message: Message): Promise<void> {
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
          await this.#superseded(this.#place.placement.grant, message.error);
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
      if (isSameGrant(placement.grant, grant)) return this.#ownedAgain();
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

  async #superseded(grant: Grant, error: HeadraceError): Promise<void> {
    await this.#end();
    this.#tell({ kind: "superseded", partition: this.#partition, grant, error });
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
        onDisowned: (error, isFinal) => {
          if (this.#owner !== owner) return;
          directory.setFeed(this.#partition, undefined);
          this.#context.self.tell({ type: "disowned", owner, error, isFinal });
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

const isSameGrant = (left: Grant, right: Grant): boolean =>
  left.leaderEpoch === right.leaderEpoch && left.tableVersion === right.tableVersion;
