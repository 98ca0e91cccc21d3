/**
 * A partition that another node owns, for the sessions of this node: passes requests on over the link, and answers back.
 * Events are not decoded on their way.
 *   W1. Every request is answered once: by the owner, or with `CONNECTION_LOST` where the link ended first. Then its outcome
 *       is unknown, and its producer asks for it by `open`.
 *   W2. Requests leave in the order in which they came, and the link keeps that order (transport T1).
 *   W3. No request is queued here: it leaves at once, and its sender waits for the credit of the link (E19).
 */
import { UnavailableError } from "../../protocols/errors.ts";
import { type PartitionReference, partitionName } from "../../protocols/position.ts";
import type { ActorReference } from "../kernel/actor.ts";
import { LocalReference, watch } from "./link_ends.ts";
import type { AppendItem, PartitionAnswer, PartitionReply, PartitionRequest, ReplyTo } from "./partition.ts";
import type { Waiting } from "./partition_messages.ts";

export class ForwardedPartition implements ActorReference<PartitionRequest> {
  readonly path: string;
  readonly #partition: PartitionReference;
  readonly #owner: ActorReference<PartitionRequest>;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #endWatch: (() => void) | undefined;

  /** Where the owner sends its answers. */
  readonly #answers: LocalReference<PartitionReply>;

  /** @param owner the partition's actor on its owner's node; can be watched */
  constructor(partition: PartitionReference, owner: ActorReference<PartitionRequest>) {
    this.path = `forwarded/${partitionName(partition)}`;
    this.#partition = partition;
    this.#owner = owner;
    this.#answers = new LocalReference(`${this.path}/answers`, ({ answers }) => this.#answer(answers));
  }

  tell(request: PartitionRequest): void {
    this.#owner.tell(this.#passOn(request).message);
  }

  async send(request: PartitionRequest, weightBytes: number): Promise<boolean> {
    const { message, ids } = this.#passOn(request);
    const isTaken = await this.#owner.send(message, weightBytes);
    if (!isTaken) this.#refuse(ids);
    return true; // W1: the request is answered in any case
  }

  trySend(request: PartitionRequest, weightBytes: number): boolean {
    const { message, ids } = this.#passOn(request);
    if (this.#owner.trySend(message, weightBytes)) return true;
    // W1: without a link the watch has answered the request already.
    const unanswered = ids.filter((id) => this.#waiting.delete(id));
    return ids.length > 0 && unanswered.length === 0;
  }

  /** Refuses all waiting requests: another node owns the partition, or none. */
  end(): void {
    this.#endWatch?.();
    this.#endWatch = undefined;
    this.#refuse([...this.#waiting.keys()]);
    this.#answers.end();
  }

  #passOn(request: PartitionRequest): { readonly message: PartitionRequest; readonly ids: readonly number[] } {
    switch (request.type) {
      case "append": {
        const items = request.items.map(
          (item): AppendItem => ({ requestId: this.#expect(request.replyTo, item.requestId), batch: item.batch }),
        );
        const ids = items.map(({ requestId }) => requestId);
        return { message: { type: "append", items, replyTo: this.#answers }, ids };
      }
      case "open_chain":
      case "declare_lost": {
        const requestId = this.#expect(request.replyTo, request.requestId);
        return { message: { ...request, requestId, replyTo: this.#answers }, ids: [requestId] };
      }
      case "granted":
      case "hand_over":
      case "store_answers":
      case "consumer_at":
      case "follow":
      case "unfollow":
      case "fence_seen":
        return { message: request, ids: [] };
    }
  }

  #expect(replyTo: ReplyTo, requestId: number): number {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#waiting.set(id, { replyTo, requestId });
    // Watched from the first request that waits for an answer, and again after each end of the link.
    this.#endWatch ??= watch(this.#owner, () => {
      this.#endWatch = undefined;
      this.#refuse([...this.#waiting.keys()]);
    });
    return id;
  }

  #refuse(ids: readonly number[]): void {
    const error = new UnavailableError(
      "CONNECTION_LOST",
      `Cannot tell the outcome of a request to ${partitionName(this.#partition)} as its owner must be reached: the link to its node has ended`,
    );
    this.#answer(ids.map((requestId) => ({ kind: "refused", requestId, error })));
  }

  /** Passes answers on in their order, gathered for each asker. */
  #answer(answers: readonly PartitionAnswer[]): void {
    const gathered = new Map<ReplyTo, PartitionAnswer[]>();
    for (const answer of answers) {
      const waiting = this.#waiting.get(answer.requestId);
      if (waiting === undefined) continue;
      this.#waiting.delete(answer.requestId);
      const own = { ...answer, requestId: waiting.requestId };
      const before = gathered.get(waiting.replyTo);
      if (before === undefined) gathered.set(waiting.replyTo, [own]);
      else before.push(own);
    }
    for (const [replyTo, list] of gathered) {
      replyTo.tell({ type: "partition_reply", partition: this.#partition, answers: list });
    }
  }
}
