/** The newest records of the followed stream, newest first. */
import { reasonOf } from "../protocols/errors.ts";
import type { Consumer } from "../protocols/mod.ts";
import { Changes } from "./changes.ts";
import { followTail, type Tail, type TailRecord } from "./tail.ts";

export class RecordList {
  readonly changes = new Changes();
  records: readonly TailRecord[] = [];
  skipped = 0;
  /** The reason why following ended; undefined while it goes on. */
  problem: string | undefined;
  readonly #lengthMax: number;
  readonly #ending = new AbortController();

  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  follow(consumer: Consumer, { stream, channel, starts }: Pick<Tail, "stream" | "channel" | "starts">): void {
    const { signal } = this.#ending;
    const tail: Tail = {
      stream,
      channel,
      starts,
      signal,
      onRecords: (records) => this.#add(records),
      onSkipped: (count) => {
        this.skipped += count;
        this.changes.announce();
      },
    };
    followTail(consumer, tail).catch((error: unknown) => {
      this.problem = reasonOf(error);
      this.changes.announce();
    });
  }

  stop(): void {
    this.#ending.abort();
  }

  #add(records: readonly TailRecord[]): void {
    if (records.length === 0) return;
    const newest = records.slice(-this.#lengthMax);
    this.records = [...newest.toReversed(), ...this.records].slice(0, this.#lengthMax);
    this.changes.announce();
  }
}
