/**
 * The further streams of a pipeline that reads several: the same partition of each, on this node or another one. Tells their
 * owners how far the pipeline has read, as retention waits for the pipeline there too.
 */

import type { InputProgress } from "../../actors/pipeline/outbox/outbox_messages.ts";
import type { OtherInput } from "../../actors/pipeline/outbox_actor.ts";
import type { Event } from "../../protocols/event.ts";
import { offset, type PartitionId } from "../../protocols/position.ts";
import type { DirectoryEntry, NodeDirectory } from "./stream_directory.ts";

export interface FurtherStream {
  readonly stream: string;
  timeOf(event: Event, appendedAtMs: number): number;
}

export class FurtherInputs {
  readonly inputs: readonly OtherInput[];
  readonly #entries: readonly (DirectoryEntry | undefined)[];
  readonly #consumer: string;
  #told: readonly InputProgress[] = [];
  #reached: readonly InputProgress[] = [];

  constructor(
    streams: readonly FurtherStream[],
    partition: PartitionId,
    consumer: string,
    directory: Pick<NodeDirectory, "partition">,
  ) {
    this.#consumer = consumer;
    this.#entries = streams.map(({ stream }) => directory.partition(stream, partition));
    this.inputs = streams.map(({ stream, timeOf }, at): OtherInput => {
      const entry = this.#entries[at];
      return {
        partition: { stream, partition },
        view: () => entry?.view,
        timeOf,
        onAdvance: (listener) => this.#follow(at, listener),
      };
    });
  }

  /** The outputs of these records are stored, though the progress may not be. */
  reached(others: readonly InputProgress[]): void {
    this.#reached = others;
  }

  /** Records committed that the pipeline has not read, in streams whose owner is known. */
  unread(): number {
    return this.#entries.reduce((sum, entry, at) => {
      const nextOffset = (this.#reached[at]?.covered?.offset ?? -1) + 1;
      return sum + Math.max(0, (entry?.view?.committedOffset("records") ?? 0) - nextOffset);
    }, 0);
  }

  /** The pipeline has stored its progress. */
  covered(others: readonly InputProgress[]): void {
    this.#told = others;
    this.#reached = others;
    for (const at of others.keys()) this.#tell(at);
  }

  #tell(at: number): void {
    const covered = this.#told[at]?.covered;
    if (covered === undefined) return;
    this.#entries[at]?.reference?.tell({
      type: "consumer_at",
      consumer: this.#consumer,
      channel: "records",
      offset: offset(covered.offset + 1),
    });
  }

  /** Follows whichever owner the partition has. */
  #follow(at: number, listener: () => void): { stop(): void } {
    const entry = this.#entries[at];
    let following = entry?.view?.onAdvance("records", listener, "values");
    let view = entry?.view;
    const changes = entry?.onChange(() => {
      if (entry.view === view) return;
      following?.stop();
      view = entry.view;
      following = view?.onAdvance("records", listener, "values");
      this.#tell(at); // a new owner does not know how far the pipeline has read
      listener();
    });
    return {
      stop: () => {
        following?.stop();
        changes?.stop();
      },
    };
  }
}
