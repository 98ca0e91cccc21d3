/**
 * The log for one node. Each call takes time to arrive and to be answered. It may fail before or after its effect, and may be
 * the moment of the node's death. Calls of one partition arrive in the order in which they were made.
 */
import type * as Contract from "../../../actors/log/log.ts";
import { UnavailableError } from "../../../protocols/errors.ts";
import type { PartitionReference } from "../../../protocols/position.ts";
import type { OutsideCalls } from "./outside_calls.ts";
import type { SimulatedStore } from "./simulated_store.ts";

/** A wrapper that breaks the log on purpose. */
export type WrapLog = (log: Contract.Log, node: OutsideCalls) => Contract.Log;

/** The store, as a call finds it on its arrival. */
export function simulatedLog(store: SimulatedStore, node: OutsideCalls, wrapInner: WrapLog): Contract.Log {
  const log = wrapInner(store.log, node);
  const call = <Value>(
    what: string,
    partition: PartitionReference | undefined,
    perform: () => Promise<Value>,
    onAnswer: (value: Value) => void = () => {},
  ): Promise<Value> =>
    node.operate(what, `log ${partition?.partition ?? ""}`, storeError, async () => {
      store.checkKnown();
      const value = await perform();
      return { value, onAnswer: () => onAnswer(value) };
    });
  return {
    kind: "memory",
    clusterId: log.clusterId,
    state: () => log.state(),
    onStateChange: (listener) => log.onStateChange(listener),
    claim: (partition, grant, atLeast, settings) =>
      call(
        "claim",
        partition,
        async () => {
          const claim = await log.claim(partition, grant, atLeast, settings);
          const endOffset = claim.channels.get("records")?.endOffset ?? 0;
          store.noteClaim(partition.partition, claim.ownership.epoch, endOffset);
          return claim;
        },
        ({ ownership }) => node.world.say(`node ${node.number} owns ${partition.partition} as ${ownership.epoch}`),
      ),
    openChain: (ownership, channel, producerId, producerEpoch, nowMs, owner) =>
      call(channel === "records" ? "open chain" : "open chain of a sink", ownership.partition, () =>
        log.openChain(ownership, channel, producerId, producerEpoch, nowMs, owner),
      ),
    append: (ownership, request) => {
      let losses = 0;
      return call(
        APPENDS[request.channel.split("/")[0]!] ?? "append",
        ownership.partition,
        async () => {
          losses = store.losses;
          const result = await log.append(ownership, request);
          if (request.channel === "records") node.world.count("batches appended", request.batches.length);
          for (const { kind } of result.outcomes) node.world.count(`outcome: ${kind}`);
          store.noteAppend(ownership, request, result);
          return result;
        },
        (result) => {
          if (request.channel !== "records") return;
          const { partition } = ownership.partition;
          // An answer that arrives after a loss must not name records that the loss took.
          const survived = losses === store.losses ? result.endOffset : (store.survived[partition] ?? 0);
          store.told[partition] = Math.max(store.told[partition]!, Math.min(result.endOffset, survived));
        },
      );
    },
    declareLost: (ownership, producerId, producerEpoch, from, to, nowMs, owner) =>
      call("declare lost", ownership.partition, () =>
        log.declareLost(ownership, producerId, producerEpoch, from, to, nowMs, owner),
      ),
    read: (partition, request) =>
      call(
        "read",
        partition,
        () => log.read(partition, request),
        (result) => {
          node.world.count(`read: ${result.kind}`);
          if (result.kind !== "records" || request.channel !== "records") return;
          for (const { epoch, firstOffset, count } of result.batches) {
            const last = (firstOffset + count - 1) as typeof firstOffset;
            if (count > 0) store.checkSeen(partition.partition, { epoch, offset: last }, "a read");
          }
        },
      ),
    seek: (partition, channel, timeMs) => call("seek", partition, () => log.seek(partition, channel, timeMs)),
    describe: (partition) => call("describe", partition, () => log.describe(partition)),
    trim: (ownership, channel, beforeOffset) =>
      call("trim", ownership.partition, async () => {
        await store.absorb();
        // This holds also where the answer is lost, or the commit failed after its effect.
        if (channel === "rejected") store.forgotVerdicts.add(ownership.partition.partition);
        const bounds = await log.trim(ownership, channel, beforeOffset);
        if (channel === "records") store.noteTrim(ownership.partition.partition, bounds.firstOffset);
        return bounds;
      }),
    expireChains: (ownership, nowMs) =>
      call("expire chains", ownership.partition, () => log.expireChains(ownership, nowMs)),
    checkpoint: (ownership, values) => call("checkpoint", ownership.partition, () => log.checkpoint(ownership, values)),
    readCheckpoints: (partition) => call("read checkpoints", partition, () => log.readCheckpoints(partition)),
    welcomeProducer: (...arrival) => call("welcome", undefined, () => log.welcomeProducer(...arrival)),
    readMetadata: (key) => call("read metadata", undefined, () => log.readMetadata(key)),
    listMetadata: (prefix) => call("list metadata", undefined, () => log.listMetadata(prefix)),
    writeMetadata: (key, value, expectedVersion) =>
      call("write metadata", undefined, () => log.writeMetadata(key, value, expectedVersion)),
    probe: () => call("probe", undefined, () => log.probe()),
    close: async () => {},
  };
}

/** The name of an append, by the kind of its channel. */
const APPENDS: Readonly<Record<string, string>> = {
  records: "append",
  dead_letters: "append dead letters",
  outbox: "append outputs",
};

const storeError = (): Error =>
  new UnavailableError("STORE_UNAVAILABLE", "Cannot tell the outcome of the call as the store must answer: it did not");
