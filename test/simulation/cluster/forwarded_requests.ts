/**
 * Looks at what the sessions of one process pass on to owners elsewhere: each request is answered once, and by the time that
 * the end of the link to the owner is told, whatever became of it (W1).
 */
import type { ActorReference } from "../../../actors/kernel/actor.ts";
import type { PartitionAnswer, PartitionRequest, ReplyTo } from "../../../actors/partition/partition.ts";
import { type NodeId, partitionName } from "../../../protocols/position.ts";
import type { ClusterNodeParts } from "../../../supervisors/cluster/cluster_node.ts";
import type { World } from "../parts/world.ts";

type Directory = ClusterNodeParts["directory"];
type Owner = NonNullable<Parameters<Directory["setElsewhere"]>[1]>;

/** Who waits for which answers of one owner. */
type Waiting = Map<ReplyTo, Set<number>>;

export class ForwardedRequests {
  readonly #world: World;
  readonly #process: string;
  /** By the address of the owner's node; also what was asked of owners before the present one. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** One for each asker, as what is passed on is gathered by it. */
  readonly #answerers = new WeakMap<ReplyTo, WeakMap<Waiting, ReplyTo>>();

  constructor(world: World, process: string) {
    this.#world = world;
    this.#process = process;
  }

  /** A directory whose owners elsewhere are looked at. */
  watch(directory: Directory): Directory {
    return {
      partitions: () => directory.partitions(),
      setElsewhere: (partition, owner) =>
        directory.setElsewhere(partition, owner && this.#watchOwner(partitionName(partition), owner)),
    };
  }

  /** The link to a node has ended, and whoever hears of that has. */
  linkEnded(node: NodeId, address: string): void {
    for (const waiting of this.#waiting.get(address) ?? []) {
      for (const [, ids] of waiting) {
        if (ids.size === 0) continue;
        this.#world.problem(`W1: ${this.#process} has ${ids.size} requests under way to ${node} after the link's end`);
      }
    }
    this.#waiting.delete(address);
  }

  #watchOwner(partition: string, owner: Owner): Owner {
    const waiting: Waiting = new Map();
    const { address, reference } = owner;
    const ask = (request: PartitionRequest): PartitionRequest => {
      if (!("requestId" in request || "items" in request)) return request;
      const ofAddress = this.#waiting.get(address) ?? [];
      if (!ofAddress.includes(waiting)) this.#waiting.set(address, [...ofAddress, waiting]);
      const ids = waiting.get(request.replyTo) ?? new Set();
      waiting.set(request.replyTo, ids);
      for (const { requestId } of "items" in request ? request.items : [request]) ids.add(requestId);
      return { ...request, replyTo: this.#answerer(partition, waiting, request.replyTo) };
    };
    const watched: ActorReference<PartitionRequest> = {
      path: reference.path,
      tell: (request) => reference.tell(ask(request)),
      send: (request, weightBytes) => reference.send(ask(request), weightBytes),
      trySend: (request, weightBytes) => reference.trySend(ask(request), weightBytes),
    };
    return { ...owner, reference: watched };
  }

  #answerer(partition: string, waiting: Waiting, asker: ReplyTo): ReplyTo {
    const ofAsker = this.#answerers.get(asker) ?? new WeakMap<Waiting, ReplyTo>();
    this.#answerers.set(asker, ofAsker);
    const known = ofAsker.get(waiting);
    if (known !== undefined) return known;
    const note = (answers: readonly PartitionAnswer[]) => {
      for (const { requestId } of answers) {
        if (waiting.get(asker)?.delete(requestId) === true) continue;
        this.#world.problem(`W1: ${this.#process} was answered twice by the owner of ${partition}`);
      }
    };
    const made: ReplyTo = {
      path: asker.path,
      tell: (reply) => {
        note(reply.answers);
        asker.tell(reply);
      },
      send: (reply, weightBytes) => {
        note(reply.answers);
        return asker.send(reply, weightBytes);
      },
      trySend: (reply, weightBytes) => {
        note(reply.answers);
        return asker.trySend(reply, weightBytes);
      },
    };
    ofAsker.set(waiting, made);
    return made;
  }
}
