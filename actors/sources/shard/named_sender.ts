/**
 * Sends the items of a shard that are known by their message's id (source I3): new ones alone, each once its id is stored.
 * `remembered_ids.ts` decides.
 *   N1. A life opens the shard's chain in every partition before it reads the stored ids. From then on an earlier life,
 *       on whichever node, can append nothing, so the chains tell for good what it had stored (remembered ids D2).
 *   N2. The ids of a batch are stored before its first item is sent.
 *   N3. The log forgets a chain without items after a minute, and its fence with it (E5). So where an earlier life may
 *       still hold an item for such a chain, the chain is opened again and again, until this life has sent to it.
 *   N4. Once ids were read the chains are opened again, which fails where a later life has opened them. The ids may be of
 *       items that the later life has sent since the first opening: a correction by the first answers would forget them.
 */
import type { Producer } from "../../../protocols/client/producer/producer.ts";
import { InvariantError } from "../../../protocols/errors.ts";
import type { NamedItem } from "../source.ts";
import { hashOfId, IdStore } from "./id_store.ts";
import { eventOf, type MessageFields, type PartitionChoice } from "./item_events.ts";
import { RememberedIds } from "./remembered_ids.ts";
import type { SourceStore } from "./resume_point.ts";

/** Most items of one batch: with the batches under way, well within the ids that are remembered (remembered ids D5). */
const BATCH_ITEMS_MAX = 4_096;
const ID_CHARACTERS_MAX = 256;

export interface NamedSenderOptions {
  readonly name: string;
  readonly stream: string;
  readonly producer: Pick<Producer, "send" | "open">;
  readonly log: SourceStore;
  readonly fields: MessageFields;
  readonly choice: PartitionChoice;
  nowMs(): number;
}

export class NamedSender {
  readonly #options: NamedSenderOptions;
  readonly #store: IdStore;
  readonly #ids: RememberedIds;
  /** Partitions whose chain has no item and is to be kept (N3). */
  readonly #kept: Set<number>;

  private constructor(options: NamedSenderOptions, store: IdStore, ids: RememberedIds, kept: Set<number>) {
    this.#options = options;
    this.#store = store;
    this.#ids = ids;
    this.#kept = kept;
  }

  static async open(options: NamedSenderOptions): Promise<NamedSender> {
    const { producer, stream, choice, log, name } = options;
    const partitions = Array.from({ length: choice.partitions }, (_, partition) => partition);
    const openAll = () => Promise.all(partitions.map((partition) => producer.open(stream, partition)));
    const first = await openAll(); // N1
    const store = new IdStore(log, name);
    const stored = await store.read();
    const opened = stored.length === 0 ? first : await openAll(); // N4
    const ids = new RememberedIds(
      stored,
      opened.map(({ lastSequence }) => lastSequence),
    );
    for (const page of ids.corrections) await store.write(page);
    const empty = partitions.filter((partition) => opened[partition]?.lastSequence === undefined);
    return new NamedSender(options, store, ids, new Set(empty.filter((partition) => ids.doubtful.has(partition))));
  }

  /** Resolves once every new item is in the producer's buffer. Answers what `settle` takes. */
  async send(items: readonly NamedItem[], signal: AbortSignal): Promise<number> {
    const { producer, fields, choice } = this.#options;
    this.#check(items);
    const { fresh, pages } = this.#ids.take(
      items.map(({ messageId }) => hashOfId(messageId)),
      (index) => this.#partitionOf(items[index], choice),
      this.#options.nowMs(),
    );
    for (const page of pages) await this.#store.write(page); // N2
    for (const { index, partition, sequence } of fresh) {
      const item = items[index]?.item;
      if (item === undefined) continue;
      const traceparent = item.kind === "event" ? item.traceparent : undefined;
      const options = { partition, sequence, signal, ...(traceparent === undefined ? {} : { traceparent }) };
      await producer.send(eventOf(item, fields), options);
      this.#kept.delete(partition);
    }
    return this.#ids.newestPage;
  }

  /** N3. To be called several times a minute. */
  keep(): void {
    const { producer, stream } = this.#options;
    for (const partition of this.#kept) producer.open(stream, partition).catch(() => undefined); // the producer has ended
  }

  /** All items that were sent until `send` had answered `mark` are in the log, or set aside. */
  settle(mark: number): void {
    this.#ids.settle(mark);
  }

  #partitionOf(named: NamedItem | undefined, choice: PartitionChoice): number {
    return named === undefined ? 0 : choice.of(named.item, named.messageId);
  }

  #check(items: readonly NamedItem[]): void {
    const { name } = this.#options;
    if (items.length > BATCH_ITEMS_MAX) {
      throw new InvariantError(
        `Cannot send a batch of ${name} as it must have at most ${BATCH_ITEMS_MAX} items: current value is ${items.length}`,
      );
    }
    const wrong = items.find(({ messageId }) => {
      return typeof messageId !== "string" || messageId === "" || messageId.length > ID_CHARACTERS_MAX;
    });
    if (wrong === undefined) return;
    throw new InvariantError(
      `Cannot send an item of ${name} as its messageId must have 1 to ${ID_CHARACTERS_MAX} characters: current value is ${String(wrong.messageId).slice(0, 300)}`,
    );
  }
}
