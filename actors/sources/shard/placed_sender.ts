/**
 * Sends the items of a shard that are known by their position (source I2). The chains of the log remove items that are read
 * twice (E3).
 *   T1. Terms and positions ascend within a life. An item that does not ascend ends the life before it is sent: a chain
 *       would take it for a repetition, and the item would be lost.
 *   T2. A message's own key chooses the partition where the stream declares no key, the same for each reading.
 */
import type { Producer, SendOptions } from "../../../protocols/client/producer/producer.ts";
import { InvariantError } from "../../../protocols/errors.ts";
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";
import type { PlacedItem, SourceItem } from "../source.ts";
import { eventOf, type MessageFields, type PartitionChoice } from "./item_events.ts";

export interface PlacedSenderOptions {
  readonly name: string;
  readonly producer: Pick<Producer, "send">;
  readonly fields: MessageFields;
  readonly choice: PartitionChoice | undefined;
}

export class PlacedSender {
  readonly #options: PlacedSenderOptions;
  #last: Sequence | undefined;

  constructor(options: PlacedSenderOptions) {
    this.#options = options;
  }

  /** Resolves once every item is in the producer's buffer. */
  async send(items: readonly PlacedItem[], signal: AbortSignal): Promise<void> {
    const { producer, fields } = this.#options;
    for (const { item, term, position } of items) {
      const sequence = [term, position, 0] as const;
      this.#checkAscent(sequence);
      await producer.send(eventOf(item, fields), this.#optionsOf(item, sequence, signal));
    }
  }

  #optionsOf(item: SourceItem, sequence: Sequence, signal: AbortSignal): SendOptions {
    if (item.kind !== "event" || (item.key === undefined && item.traceparent === undefined))
      return { sequence, signal };
    const partition = this.#options.choice?.byMessageKey(item); // T2
    return {
      sequence,
      signal,
      ...(partition === undefined ? {} : { partition }),
      ...(item.traceparent === undefined ? {} : { traceparent: item.traceparent }),
    };
  }

  /** T1 */
  #checkAscent(sequence: Sequence): void {
    const last = this.#last;
    if (last !== undefined && compareSequences(sequence, last) <= 0) {
      const places = `${sequence[0]}/${sequence[1]} after ${last[0]}/${last[1]}`;
      throw new InvariantError(
        `Cannot send an item of ${this.#options.name} as its term and position must ascend: current value is ${places}`,
      );
    }
    this.#last = sequence;
  }
}
