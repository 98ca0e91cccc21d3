/**
 * Bugs that break exactly-once on purpose, each as a wrapper around the product's log, sink or connection. A simulation that
 * does not notice one of them proves nothing.
 */
import type { AppendBatch, AppendOutcome, AppendResult, Log } from "../../actors/log/log.ts";
import type { NamedItem, SourceBatch, SourceReader } from "../../actors/sources/source.ts";
import type { Connect } from "../../protocols/connection.ts";
import { InvariantError } from "../../protocols/errors.ts";
import { offset } from "../../protocols/position.ts";
import { lastSequence, type Sequence, sequenceCount } from "../../protocols/sequence.ts";
import { decodeTrustedEvents, encodeEvents } from "../../protocols/values/event_codec.ts";
import type { AppendFrame, ClientFrame, NodeFrame } from "../../protocols/wire/frames.ts";
import type { WrapReader } from "./parts/node_sources.ts";
import type { WrapLog } from "./parts/simulated_log.ts";
import type { AnyReader } from "./parts/simulated_places.ts";
import type { Plant } from "./simulation.ts";

/** A log with some methods replaced. The others are called on the true log. */
export const replacing =
  (replace: (log: Log, isChaos: () => boolean) => Partial<Log>): WrapLog =>
  (log, node) => {
    const replaced = replace(log, () => node.world.isChaos);
    return new Proxy(log, {
      get(target, name) {
        const own = replaced[name as keyof Log];
        if (own !== undefined) return own;
        const value = Reflect.get(target, name) as unknown;
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };

const kept = ({ sequences, rejects }: AppendBatch): number =>
  sequenceCount(sequences) - (rejects?.verdicts.length ?? 0);

const mapOutcomes = (result: AppendResult, map: (outcome: AppendOutcome) => AppendOutcome): AppendResult => ({
  ...result,
  outcomes: result.outcomes.map(map),
});

/** A reader of a place that acknowledges each batch as soon as it has read it. */
const acknowledgingAtOnce: WrapReader = (reader) => {
  const { read, acknowledge, close } = reader as SourceReader<NamedItem>;
  async function* readOn(signal: AbortSignal): AsyncIterable<SourceBatch<NamedItem>> {
    for await (const batch of read(signal)) {
      await acknowledge?.(batch);
      yield batch;
    }
  }
  return { read: readOn, close } as AnyReader;
};

const isPageOfIds = (key: string): boolean => /^source\/.*\/ids\/\d+$/.test(key);

let attempts = 0;

/** By this time, in ms, a batch has been stored. */
const IDS_LATE_MS = 60;

export const PLANTED_BUGS: Readonly<Record<string, Plant>> = {
  "an append is acknowledged before the log has answered": {
    wrapNodeLog: (log, node) => {
      const partitions = new Map<number, number>();
      return replacing(() => ({
        claim: async (...parts) => {
          const claim = await log.claim(...parts);
          partitions.set(parts[0].partition, claim.channels.get("records")?.endOffset ?? 0);
          return claim;
        },
        append: (ownership, request) => {
          const real = log.append(ownership, request);
          if (request.channel !== "records") return real;
          real.catch(() => undefined);
          let end = partitions.get(ownership.partition.partition) ?? 0;
          const outcomes = request.batches.map((batch): AppendOutcome => {
            const firstOffset = offset(end);
            end += kept(batch);
            return { kind: "written", firstOffset, count: kept(batch) };
          });
          partitions.set(ownership.partition.partition, end);
          return Promise.resolve({ outcomes, endOffset: offset(end) });
        },
      }))(log, node);
    },
  },
  "there are no chains: repeated batches are written again": {
    wrapLog: replacing((log) => ({
      append: (ownership, request) => {
        const batches = request.batches.map((batch) => {
          attempts += 1;
          return { ...batch, producerId: `${batch.producerId}#${attempts}`, previousSequence: undefined };
        });
        return log.append(ownership, request.channel === "records" ? { ...request, batches } : request);
      },
    })),
  },
  "a gap is accepted": {
    wrapLog: replacing((log) => ({
      append: async (ownership, request) => {
        const result = await log.append(ownership, request);
        if (request.channel !== "records") return result;
        const outcomes = [...result.outcomes];
        let { endOffset } = result;
        for (const [at, outcome] of outcomes.entries()) {
          if (outcome.kind !== "gap") continue;
          const batch = { ...request.batches[at]!, previousSequence: outcome.stored };
          const again = await log.append(ownership, { ...request, batches: [batch] });
          outcomes[at] = again.outcomes[0]!;
          endOffset = again.endOffset;
        }
        return { outcomes, endOffset };
      },
    })),
  },
  "a group commit drops one of its batches": {
    wrapLog: replacing((log) => ({
      append: async (ownership, request) => {
        const dropped = request.batches.at(-1);
        if (request.channel !== "records" || request.batches.length < 2 || dropped === undefined) {
          return log.append(ownership, request);
        }
        const result = await log.append(ownership, { ...request, batches: request.batches.slice(0, -1) });
        const outcome = { kind: "written", firstOffset: result.endOffset, count: kept(dropped) } as const;
        return {
          outcomes: [...result.outcomes, outcome],
          endOffset: offset(result.endOffset + outcome.count),
        };
      },
    })),
  },
  "a duplicate is answered without its stored verdicts": {
    wrapLog: replacing((log) => ({
      append: async (...parts) =>
        mapOutcomes(await log.append(...parts), (outcome) =>
          outcome.kind === "duplicate" ? { ...outcome, verdicts: [] } : outcome,
        ),
    })),
  },
  "the state moves before its bytes exist": {
    // The chain has moved for a batch without a stored form, so the repeated batch is answered as a duplicate (E25).
    wrapLog: (inner, node) => {
      const moved = new Map<string, AppendBatch>();
      const nameOf = ({ producerId, sequences }: AppendBatch) => `${producerId} ${lastSequence(sequences).join()}`;
      return replacing((log) => ({
        append: async (ownership, request) => {
          if (request.channel !== "records") return log.append(ownership, request);
          try {
            const batches = request.batches.filter((batch) => !moved.has(nameOf(batch)));
            const result = await log.append(ownership, { ...request, batches });
            const outcomes = [...result.outcomes];
            const told = request.batches.map((batch): AppendOutcome => {
              const stored = lastSequence(batch.sequences);
              return moved.has(nameOf(batch)) ? { kind: "duplicate", stored, verdicts: [] } : outcomes.shift()!;
            });
            return { ...result, outcomes: told };
          } catch (error) {
            if (error instanceof InvariantError) for (const batch of request.batches) moved.set(nameOf(batch), batch);
            throw error;
          }
        },
      }))(inner, node);
    },
  },
  "room for records is not given back": {
    wrapRecords: (grant) => {
      const take = grant.take.bind(grant);
      const keeping: typeof grant.take = (...sizes) => {
        const room = take(...sizes);
        return room === undefined ? undefined : Object.assign(room, { give: () => undefined });
      };
      return Object.assign(grant, { take: keeping });
    },
  },
  "readers see records that are not committed": {
    wrapLog: replacing((log) => ({
      read: (partition, request) =>
        log.read(partition, { ...request, committedOffset: offset(Number.MAX_SAFE_INTEGER) }),
    })),
  },
  "the epoch table is ignored: a cursor is its offset": {
    wrapLog: replacing((log) => ({
      read: async (partition, request) => {
        const result = await log.read(partition, request);
        if (result.kind !== "truncated" || request.after === undefined) return result;
        const bounds = (await log.describe(partition))?.get(request.channel);
        const at = Math.min(request.after.offset, (bounds?.endOffset ?? 0) - 1);
        const holder = bounds?.epochs.findLast(({ firstOffset }) => firstOffset <= at)?.epoch;
        const after = holder === undefined ? undefined : { epoch: holder, offset: offset(at) };
        return log.read(partition, { ...request, after });
      },
    })),
  },
  "an epoch lost with a tail is made again": {
    // The claim was not flushed, so the fence goes back with the tail. The clock, which would hide this, stands still.
    onTailLoss: (store) => {
      store.forgetEpochs();
    },
  },
  "rejected events are not set aside": {
    wrapLog: replacing((log) => ({
      append: (ownership, request) => {
        if (request.channel !== "records") return log.append(ownership, request);
        const batches = request.batches.map((batch) => {
          const { rejects: _, ...rest } = batch;
          return rest;
        });
        return log.append(ownership, { ...request, batches });
      },
    })),
  },
  "a sink's dead letters are dropped": {
    wrapLog: replacing((log) => ({
      append: async (ownership, request) => {
        if (!request.channel.startsWith("dead_letters/")) return log.append(ownership, request);
        if (request.checkpoints !== undefined) await log.checkpoint(ownership, request.checkpoints);
        const outcomes = request.batches.map(
          (batch): AppendOutcome => ({ kind: "written", firstOffset: offset(0), count: kept(batch) }),
        );
        return { outcomes, endOffset: offset(0) };
      },
    })),
  },
  "what was set aside is forgotten at a restart": {
    wrapLog: replacing((log) => ({
      append: (ownership, request) => {
        const { checkpoints: _, ...rest } = request;
        return log.append(ownership, rest);
      },
    })),
  },
  "a producer's epoch does not fence the one before it": {
    wrapLog: replacing((log) => ({
      append: async (ownership, request) => {
        const result = await log.append(ownership, request);
        if (request.channel !== "records") return result;
        const outcomes = [...result.outcomes];
        let { endOffset } = result;
        for (const [at, outcome] of outcomes.entries()) {
          if (outcome.kind !== "stale_producer_epoch") continue;
          const batch = { ...request.batches[at]!, producerEpoch: outcome.current };
          const again = await log.append(ownership, { ...request, batches: [batch] });
          outcomes[at] = again.outcomes[0]!;
          endOffset = again.endOffset;
        }
        return { outcomes, endOffset };
      },
    })),
  },
  "an owner of a lower epoch may still write": {
    wrapLog: replacing((log) => {
      const newest = new Map<number, Parameters<Log["append"]>[0]>();
      return {
        claim: async (...parts) => {
          const claim = await log.claim(...parts);
          owners.set(log, newest.set(parts[0].partition, claim.ownership));
          return claim;
        },
        append: (ownership, request) =>
          log.append(owners.get(log)?.get(ownership.partition.partition) ?? ownership, request),
      };
    }),
  },
  "a sink stores its position before its output": { sinks: { storesPositionFirst: true } },
  "a sink's cursor is moved by another sink": { sinks: { sharesPosition: true } },
  "the position of a sink passes what the sink holds (sink S10)": { sinks: { passesHeld: true } },
  "a sink checks neither fence nor predecessor": { sinks: { hasNoFence: true, hasNoPredecessorCheck: true } },
  "a sink's position is compared without its epoch": { sinks: { answersPositionInOwnEpoch: true } },
  "a message is acknowledged before it is durable (source I4)": { wrapReader: acknowledgingAtOnce },
  "message ids are forgotten at a restart (decision 0015)": {
    wrapLog: replacing((log) => ({
      readMetadata: async (key) => {
        const found = await log.readMetadata(key);
        if (found === undefined || !isPageOfIds(key)) return found;
        const page = { ...decodeTrustedEvents(found.value)[0], ids: new Uint8Array(0), partitions: [] };
        return { ...found, value: encodeEvents([page], { asRecords: false }) };
      },
    })),
  },
  "message ids are stored after their batch (named sender N2)": {
    wrapNodeLog: (log, node) =>
      replacing(() => ({
        writeMetadata: (key, value, expectedVersion) => {
          if (!isPageOfIds(key)) return log.writeMetadata(key, value, expectedVersion);
          node.world.after(IDS_LATE_MS, () => log.writeMetadata(key, value, expectedVersion).catch(() => undefined));
          return Promise.resolve(expectedVersion + 1);
        },
      }))(log, node),
  },
  "a producer forgets events in doubt": { forgetsInDoubt: true },
  "a producer sends again under fresh sequences": { wrapConnect: (connect) => freshSequences(connect) },
};

/** The newest ownership of each partition, by log: a log without a fence writes under it. */
const owners = new WeakMap<Log, Map<number, Parameters<Log["append"]>[0]>>();

/** Appends behind the stored sequence whatever the producer counts, and acks the producer's own sequences. */
function freshSequences(connect: Connect): Connect {
  return async (address, events, signal) => {
    const stored = new Map<number, number>();
    const sent = new Map<number, Sequence>();
    const onFrame = (frame: NodeFrame, wireBytes: number) => {
      if (frame.type === "opened") stored.set(frame.partition, frame.lastSequence?.[1] ?? -1);
      const last = frame.type === "ack" ? sent.get(frame.partition) : undefined;
      events.onFrame(last === undefined || frame.type !== "ack" ? frame : { ...frame, lastSequence: last }, wireBytes);
    };
    const connection = await connect(
      address,
      { ...events, onFrame, onClose: (error) => events.onClose(error) },
      signal,
    );
    const renumber = (frame: AppendFrame): ClientFrame => {
      const { sequences, partition } = frame;
      const before = stored.get(partition) ?? -1;
      const count = sequenceCount(sequences);
      stored.set(partition, before + count);
      sent.set(partition, "list" in sequences ? sequences.list.at(-1)! : [0, sequences.first[1] + count - 1, 0]);
      return {
        ...frame,
        previousSequence: before < 0 ? null : [0, before, 0],
        sequences: { first: [0, before + 1, 0], count },
      };
    };
    return {
      bufferedBytes: 0,
      send: (frame) => connection.send(frame.type === "append" ? renumber(frame) : frame),
      close: () => connection.close(),
    };
  };
}
