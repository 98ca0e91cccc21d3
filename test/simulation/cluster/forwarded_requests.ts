/**
 * Checks the requests that the sessions of one process forward to owners on other nodes. Each request must be answered once, at
 * the latest when the end of the link to the owner is told (forwarded partition W1).
 */
import type { ActorReference } from "../../../actors/kernel/actor.ts";
import type { PartitionAnswer, PartitionRequest, ReplyTo } from "../../../actors/partition/partition.ts";
import { type NodeId, partitionName } from "../../../protocols/position.ts";
import type { ClusterNodeParts } from "../../../supervisors/cluster/cluster_node.ts";
import type { World } from "../parts/world.ts";

type Directory = ClusterNodeParts["directory"];
type Owner = NonNullable<Parameters<Directory["setElsewhere"]>[1]>;

/** By asker: the requests to one owner that are not answered yet. */
type Waiting = Map<ReplyTo, Set<number>>;

export class ForwardedRequests {
  readonly #world: World;
  readonly #process: string;
  /** By the address of the owner's node, for the present owner and former ones. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** One answerer for each asker, as forwarded requests are gathered by asker. */
  readonly #answerers = new WeakMap<ReplyTo, WeakMap<Waiting, ReplyTo>>();

  constructor(world: World, process: string) {
    this.#world = world;
    this.#process = process;
  }

  /** A directory that checks the owners on other nodes. */
  watch(directory: Directory): Directory {
    return {
      partitions: () => directory.partitions(),
      setElsewhere: (partition, owner) =>
        directory.setElsewhere(partition, owner && this.#watchOwner(partitionName(partition), owner)),
    };
  }

  /** Call this once all listeners have heard that the link to the node has ended. */
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
