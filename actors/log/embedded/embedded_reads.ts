/** Reads of the embedded log, from the store alone (M3): chooses the entries; log_reading.ts judges cursors. */
import { epoch, offset, type Position } from "../../../protocols/position.ts";
import { firstSequence, lastSequence } from "../../../protocols/sequence.ts";
import { EMPTY_BOUNDS } from "../bounds.ts";
import type { AppendBatch, Channel, ChannelBounds, Log, ReadRequest, RecordBatch, StoredVerdict } from "../log.ts";
import { placeCountsOf } from "../rules/chain_places.ts";
import { LargeBatches } from "../rules/large_batches.ts";
import { answerRead, holderOf, seekByTime } from "../rules/log_reading.ts";
import type { ReadTurns } from "../rules/read_turns.ts";
import { decodeEntry } from "../rules/record_batch.ts";
import type { PartitionState } from "../rules/stored_partition.ts";
import { guarded, type OrderedStore, rangeEnd, valuesBelow } from "./ordered_store.ts";
import * as Stored from "./stored_state.ts";

export class EmbeddedReads {
  readonly #store: OrderedStore;
  readonly #turns: ReadTurns | undefined;
  readonly #large = new LargeBatches();

  /** @param turns absent where the store's reads take next to no time */
  constructor(store: OrderedStore, turns: ReadTurns | undefined) {
    this.#store = store;
    this.#turns = turns;
  }

  /** Forgets the kept batches: a failed commit may have changed the store. */
  forget(): void {
    this.#large.clear();
  }

  readonly read: Log["read"] = async (partition, request) => {
    const prefix = Stored.partitionPrefix(partition);
    const turns = this.#turns;
    if (turns === undefined) return this.#read(prefix, request);
    const turn = turns.begin();
    if (turn !== undefined) await turn;
    const beganMs = performance.now();
    try {
      return this.#read(prefix, request);
    } finally {
      turns.spent(performance.now() - beganMs);
    }
  };

  #read(prefix: string, request: ReadRequest) {
    return guarded(this.#store, () => {
      const { after, channel, inParts = false } = request;
      const bounds = this.#bounds(prefix, channel);
      const entries = Stored.entriesPrefix(prefix, channel);
      const kept = inParts ? this.#large.find(entries, after, bounds) : undefined;
      if (kept !== undefined) return answerRead(bounds, request, [kept]);
      const answer = answerRead(bounds, request, this.#batchesAfter(prefix, channel, after));
      if (inParts) this.#large.keep(entries, answer);
      return answer;
    });
  }

  *#batchesAfter(prefix: string, channel: Channel, after: Position | undefined): Iterable<RecordBatch> {
    const entries = Stored.entriesPrefix(prefix, channel);
    const from = after === undefined ? entries : Stored.entryKey(prefix, channel, after.epoch, after.offset + 1);
    for (const [key, value] of this.#store.range(from, rangeEnd(entries))) {
      const place = Stored.entryPlace(key);
      yield* decodeEntry(value, place.epoch, place.lastOffset);
    }
  }

  readonly seek: Log["seek"] = async (partition, channel, timeMs) => {
    const prefix = Stored.partitionPrefix(partition);
    const bounds = guarded(this.#store, () => this.#bounds(prefix, channel));
    return seekByTime(bounds, timeMs, async (at) => {
      const before = { epoch: at.epoch, offset: offset(at.offset - 1) };
      return guarded(this.#store, () => holderOf(this.#batchesAfter(prefix, channel, before), at.offset));
    });
  };

  readonly describe: Log["describe"] = async (partition) => {
    const channels = this.channels(Stored.partitionPrefix(partition));
    return channels.size === 0 ? undefined : channels;
  };

  readonly readCheckpoints: Log["readCheckpoints"] = async (partition) => {
    const prefix = Stored.checkpointsPrefix(Stored.partitionPrefix(partition));
    return guarded(this.#store, () => new Map(valuesBelow(this.#store, prefix)));
  };

  channels(prefix: string): Map<Channel, ChannelBounds> {
    return guarded(this.#store, () => {
      const found = valuesBelow(this.#store, Stored.channelsPrefix(prefix));
      return new Map(Array.from(found, ([name, value]) => [name as Channel, Stored.decodeChannel(value)]));
    });
  }

  #bounds(prefix: string, channel: Channel): ChannelBounds {
    const bytes = this.#store.get(Stored.channelKey(prefix, channel));
    return bytes === undefined ? EMPTY_BOUNDS : Stored.decodeChannel(bytes);
  }

  /** The stored verdicts of the events that a batch holds. */
  verdicts(prefix: string, { producerId, sequences }: AppendBatch): StoredVerdict[] {
    const verdicts = Stored.verdictsPrefix(prefix, producerId);
    const from = verdicts + Stored.sequenceText(firstSequence(sequences));
    const to = verdicts + Stored.sequenceText(lastSequence(sequences));
    return guarded(this.#store, () =>
      Array.from(this.#store.range(from, `${to}\0`), ([, value]) => Stored.decodeVerdict(value)),
    );
  }

  /** The partition's state as stored, for its owner; undefined where the partition was never claimed. */
  state(prefix: string): PartitionState | undefined {
    return guarded(this.#store, () => {
      const bytes = this.#store.get(Stored.fenceKey(prefix));
      if (bytes === undefined) return undefined;
      const fence = Stored.decodeFence(bytes);
      const found = valuesBelow(this.#store, Stored.chainsPrefix(prefix));
      const chains = Array.from(found, ([name, value]) => [name, Stored.decodeChain(value)] as const);
      const channels = this.channels(prefix);
      return { ...fence, epoch: epoch(fence.epoch), channels, chains: new Map(chains), places: placeCountsOf(chains) };
    });
  }
}
