import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ActorReference, Termination } from "../../../actors/kernel/actor.ts";
import type { AppendBatch } from "../../../actors/log/log.ts";
import { ForwardedPartition } from "../../../actors/partition/forwarded_partition.ts";
import type { PartitionReply, PartitionRequest, ReplyTo } from "../../../actors/partition/partition.ts";
import { decodePeerFrame, encodePeerFrame } from "../../../actors/transport/peer/peer_codec.ts";
import { offset, partitionId } from "../../../protocols/position.ts";
import { dense } from "../../conformance/log/log_batches.ts";

const partition = { stream: "s", partition: partitionId(0) };

/** An owner on another node. The test ends its link. */
class Owner {
  readonly requests: PartitionRequest[] = [];
  readonly listeners = new Set<(termination: Termination) => void>();
  isLinked = true;
  readonly reference: ActorReference<PartitionRequest>;

  constructor() {
    const take = (request: PartitionRequest) => {
      if (this.isLinked) this.requests.push(request);
      return this.isLinked;
    };
    this.reference = {
      path: "other/partition",
      tell: take,
      send: async (request: PartitionRequest) => take(request),
      trySend: take,
      onTerminated: (listener: (termination: Termination) => void) => {
        if (!this.isLinked) listener({ kind: "stopped" });
        else this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
    } as ActorReference<PartitionRequest>;
  }

  end(): void {
    this.isLinked = false;
    for (const listener of [...this.listeners]) listener({ kind: "failed", error: new Error("the link ended") });
    this.listeners.clear();
  }

  /** Ids of the requests, as the owner gets them. */
  get ids(): readonly number[] {
    return this.requests.flatMap((request) =>
      request.type === "append"
        ? request.items.map(({ requestId }) => requestId)
        : "requestId" in request
          ? [request.requestId]
          : [],
    );
  }

  answer(...ids: readonly number[]): void {
    const [first] = this.requests;
    if (first === undefined || !("replyTo" in first)) return;
    (first.replyTo as ReplyTo).tell({
      type: "partition_reply",
      partition,
      answers: ids.map((requestId) => ({
        kind: "appended",
        requestId,
        outcome: { kind: "written", firstOffset: offset(0), count: 1 },
      })),
    });
  }
}

function asker(): { readonly replies: PartitionReply[]; readonly reference: ReplyTo } {
  const replies: PartitionReply[] = [];
  const tell = (reply: PartitionReply) => void replies.push(reply);
  return { replies, reference: { path: "asker", tell, send: async () => true, trySend: () => true } };
}
const append = (requestId: number, replyTo: ReplyTo): PartitionRequest => ({
  type: "append",
  items: [{ requestId, batch: {} as AppendBatch }],
  replyTo,
});
const heard = (replies: readonly PartitionReply[]) =>
  replies.flatMap(({ answers }) =>
    answers.map((one) => `${one.requestId} ${one.kind === "refused" ? one.error.code : one.kind}`),
  );

test("W1: askers that use the same numbers each get their own answers, in order", async () => {
  const owner = new Owner();
  const forwarded = new ForwardedPartition(partition, owner.reference);
  const [one, two] = [asker(), asker()];
  await forwarded.send(append(1, one.reference), 10);
  await forwarded.send(append(1, two.reference), 10);
  await forwarded.send(append(2, one.reference), 10);
  owner.answer(...owner.ids);
  assert.equal(heard(one.replies), ["1 appended", "2 appended"]);
  assert.equal(heard(two.replies), ["1 appended"]);
  owner.answer(...owner.ids); // a repeated answer is ignored
  assert.is(heard(one.replies).length, 2);
});

test("W1: a request under way when the link ends is answered CONNECTION_LOST once, and a later one at once", async () => {
  const owner = new Owner();
  const forwarded = new ForwardedPartition(partition, owner.reference);
  const { replies, reference } = asker();
  await forwarded.send(append(1, reference), 10);
  owner.end();
  assert.equal(heard(replies), ["1 CONNECTION_LOST"]);
  assert.is(await forwarded.send(append(2, reference), 10), true);
  assert.equal(heard(replies), ["1 CONNECTION_LOST", "2 CONNECTION_LOST"]);
  owner.answer(...owner.ids); // late
  assert.is(replies.length, 2);
});

test("W2: requests of every kind reach the owner in the order in which they came", async () => {
  const owner = new Owner();
  const forwarded = new ForwardedPartition(partition, owner.reference);
  const { reference } = asker();
  const about = { producerId: "p", producerEpoch: 1, replyTo: reference };
  const sent = forwarded.send(append(1, reference), 10);
  forwarded.tell({ type: "open_chain", requestId: 2, ...about });
  forwarded.trySend(append(3, reference), 10);
  forwarded.tell({ type: "declare_lost", requestId: 4, from: undefined, to: [0, 1, 0], ...about });
  await sent;
  assert.equal(
    owner.requests.map(({ type }) => type),
    ["append", "open_chain", "append", "declare_lost"],
  );
  assert.equal(
    owner.ids,
    [...owner.ids].sort((left, right) => left - right),
  );
});

test("W3: a request is handed to the link at once, and its sender waits for the link's credit", async () => {
  const owner = new Owner();
  let giveCredit = (_isTaken: boolean): void => undefined;
  const handed: number[] = [];
  Object.assign(owner.reference, {
    send: (_request: PartitionRequest, weightBytes: number) => {
      handed.push(weightBytes);
      return new Promise<boolean>((resolve) => (giveCredit = resolve));
    },
  });
  const forwarded = new ForwardedPartition(partition, owner.reference);
  let isTaken = false;
  const sent = forwarded.send(append(1, asker().reference), 10).then(() => (isTaken = true));
  assert.equal(handed, [10]);
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  assert.is(isTaken, false);
  giveCredit(true);
  await sent;
  assert.is(isTaken, true);
});

test("the principal of a chain reaches the owner with an open, a loss and an append", async () => {
  const owner = new Owner();
  const forwarded = new ForwardedPartition(partition, owner.reference);
  const { reference } = asker();
  const about = { producerId: "p", producerEpoch: 1, owner: "plant", replyTo: reference };
  const batch = dense("p", 0, 1, { extra: { owner: "plant" } });
  await forwarded.send({ type: "open_chain", requestId: 1, ...about }, 0);
  await forwarded.send({ type: "declare_lost", requestId: 2, from: undefined, to: [0, 1, 0], ...about }, 0);
  await forwarded.send({ type: "append", items: [{ requestId: 3, batch }], replyTo: reference }, 10);
  const arrived = owner.requests.map((request) => {
    const message = { ...request, replyTo: undefined };
    const frame = decodePeerFrame(encodePeerFrame({ type: "message", lane: "data", to: 1, weightBytes: 10, message }));
    return (frame.type === "message" ? frame.message : frame) as PartitionRequest;
  });
  const named = arrived.flatMap((request) => {
    if (request.type === "append") return request.items.map((item) => [request.type, item.batch.owner]);
    return "owner" in request ? [[request.type, request.owner]] : [];
  });
  assert.equal(named, [
    ["open_chain", "plant"],
    ["declare_lost", "plant"],
    ["append", "plant"],
  ]);
});

test("W1: trySend answers a request once, by its result or by a reply", () => {
  const owner = new Owner();
  const forwarded = new ForwardedPartition(partition, owner.reference);
  const { replies, reference } = asker();
  assert.is(forwarded.trySend(append(1, reference), 10), true);
  assert.equal(heard(replies), []);
  owner.end();
  assert.equal(heard(replies), ["1 CONNECTION_LOST"]);
  assert.is(forwarded.trySend(append(2, reference), 10), true, "without a link the reply tells it");
  assert.equal(heard(replies), ["1 CONNECTION_LOST", "2 CONNECTION_LOST"]);
  const full = new Owner();
  Object.assign(full.reference, { trySend: () => false });
  assert.is(new ForwardedPartition(partition, full.reference).trySend(append(3, reference), 10), false);
  assert.is(replies.length, 2, "a request that was not taken gets no reply");
});

test("W1: after a new link its end refuses requests too", async () => {
  const owner = new Owner();
  const forwarded = new ForwardedPartition(partition, owner.reference);
  const { replies, reference } = asker();
  owner.isLinked = false;
  await forwarded.send(append(1, reference), 10);
  owner.isLinked = true;
  await forwarded.send(append(2, reference), 10);
  owner.end();
  assert.equal(heard(replies), ["1 CONNECTION_LOST", "2 CONNECTION_LOST"]);
});

test("after its end a forwarded partition refuses waiting requests, and the link can forget its reply address", async () => {
  const owner = new Owner();
  const forwarded = new ForwardedPartition(partition, owner.reference);
  const { replies, reference } = asker();
  await forwarded.send(append(1, reference), 10);
  const [request] = owner.requests;
  let hasEnded = false;
  const answers = (request as unknown as { replyTo: ReplyTo & { onTerminated(listener: () => void): void } }).replyTo;
  answers.onTerminated(() => (hasEnded = true));
  forwarded.end();
  assert.equal(heard(replies), ["1 CONNECTION_LOST"]);
  assert.is(hasEnded, true);
  assert.is(owner.listeners.size, 0);
});

test.run();
