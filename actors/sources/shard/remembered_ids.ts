/**
 * Decides which messages of a shard are new, by their ids, and which place each new one gets. Leaves storing and sending
 * to `named_sender.ts`. Ids lie in pages, in a ring, so that one small write stores the ids of a batch.
 *   D1. A new id gets a partition and the next sequence of the shard. Its page must be stored before its item is sent.
 *   D2. After a restart the chains tell the fate of each id that was not known to be settled: an item is in the log
 *       exactly if the chain of its partition has reached its sequence. The ids of all others are forgotten, in the
 *       store too, before the new life sends anything.
 *   D3. Each life counts in a term above all earlier ones. So the chains take its items in whatever order they come.
 *   D4. A remembered id is not sent again.
 *   D5. The newest `ID_LIMITS.pages` pages are remembered, for `ID_LIMITS.windowMs` by the clock. That is far more than the
 *       ids without acknowledgement: batches under way are bounded by the source's actor.
 */
import { invariant } from "../../../protocols/errors.ts";
import { compareSequences, type Sequence } from "../../../protocols/sequence.ts";
import { SHORT_LIVED_PRODUCERS } from "../../log/log.ts";

export const ID_LIMITS = {
  pages: 64,
  /** Ids of one page: 16 KiB, which are written again with each batch until the page is full. */
  pageIds: 1_024,
  /** As of the keys of HTTP requests (E5), and two hours more: a clock may be set back an hour, and then ahead an hour (E24). */
  windowMs: SHORT_LIVED_PRODUCERS.windowMs + 2 * 3_600_000,
} as const;

/** A page of ids as it is stored. `number` counts pages from 0; the page lies at `number` modulo `ID_LIMITS.pages`. */
export interface IdPage {
  readonly number: number;
  readonly term: number;
  /** When the newest id was added, in ms since 1970. */
  readonly atMs: number;
  /** All ids of pages before this number are known to be settled. */
  readonly settledBefore: number;
  /** Hashes of the ids. */
  readonly ids: readonly string[];
  /** The position of the first id's sequence. Those of the others follow on. */
  readonly first: number;
  /** The partition of each id's item; empty where all are known to be settled. */
  readonly partitions: readonly number[];
  /** Partitions of ids that were forgotten (D2): a life that stands still may yet send their items there. */
  readonly doubtful: readonly number[];
}

/** The place that an item gets, by its index in the batch. */
export interface NewItem {
  readonly index: number;
  readonly partition: number;
  readonly sequence: Sequence;
}

export interface TakenIds {
  readonly fresh: readonly NewItem[];
  /** The pages to store before any of the items is sent (D1), in this order. */
  readonly pages: readonly IdPage[];
}

type OpenPage = { -readonly [Key in keyof IdPage]: IdPage[Key] } & { ids: string[]; partitions: number[] };

export class RememberedIds {
  /** Pages to store before anything is sent: they leave out the ids of items that are not in the log (D2). */
  readonly corrections: readonly IdPage[];
  /** Partitions for which an earlier life may still hold an item that it never sent. */
  readonly doubtful: ReadonlySet<number>;
  readonly #term: number;
  readonly #pages: IdPage[];
  readonly #pageOf = new Map<string, number>();
  #settledBefore: number;
  #next = 0;
  #open: OpenPage | undefined;

  /** @param stored the stored pages in any order @param lasts the last sequence of the shard's chain in each partition */
  constructor(stored: readonly IdPage[], lasts: readonly (Sequence | undefined)[]) {
    const pages = [...stored].sort((left, right) => left.number - right.number);
    this.#settledBefore = Math.max(0, ...pages.map((page) => page.settledBefore));
    this.#term = 1 + Math.max(0, ...pages.map(({ term }) => term), ...lasts.map((last) => last?.[0] ?? 0)); // D3
    this.#pages = pages.map((page) => this.#corrected(page, lasts));
    this.corrections = this.#pages.filter((page, at) => page !== pages[at]);
    this.doubtful = new Set(this.#pages.flatMap(({ doubtful }) => doubtful));
    for (const page of this.#pages) for (const id of page.ids) this.#pageOf.set(id, page.number);
    this.#settledBefore = (this.#pages.at(-1)?.number ?? -1) + 1;
  }

  /** D2 */
  #corrected(page: IdPage, lasts: readonly (Sequence | undefined)[]): IdPage {
    if (page.partitions.length === 0 || page.number < this.#settledBefore) return page;
    const isStored = (at: number): boolean => {
      const sequence: Sequence = [page.term, page.first + at, 0];
      return compareSequences(sequence, lasts[page.partitions[at] ?? 0]) <= 0;
    };
    const forgotten = page.partitions.filter((_partition, at) => !isStored(at));
    const doubtful = [...new Set([...page.doubtful, ...forgotten])];
    return { ...page, ids: page.ids.filter((_id, at) => isStored(at)), partitions: [], doubtful };
  }

  /** Takes the ids of a batch, each with the partition that its item goes to if it is new (D1, D4). */
  take(ids: readonly string[], partitionOf: (index: number) => number, nowMs: number): TakenIds {
    this.#forgetOld(nowMs);
    const fresh: NewItem[] = [];
    const touched = new Set<OpenPage>();
    for (const [index, id] of ids.entries()) {
      if (this.#pageOf.has(id)) continue;
      const page = this.#pageWithRoom(nowMs);
      const partition = partitionOf(index);
      fresh.push({ index, partition, sequence: [this.#term, this.#next, 0] });
      this.#next += 1;
      page.ids.push(id);
      page.partitions.push(partition);
      page.atMs = nowMs;
      this.#pageOf.set(id, page.number);
      touched.add(page);
    }
    const pages = [...touched].map((page) => ({ ...page, settledBefore: this.#settledBefore }));
    return { fresh, pages };
  }

  /** The number of the newest page: once all items sent so far are settled, `settle` takes it. */
  get newestPage(): number {
    return this.#open?.number ?? this.#settledBefore;
  }

  /** Every item that was placed before page `newest` is in the log, or set aside. */
  settle(newest: number): void {
    this.#settledBefore = Math.max(this.#settledBefore, newest);
  }

  #pageWithRoom(nowMs: number): OpenPage {
    const open = this.#open;
    if (open !== undefined && open.ids.length < ID_LIMITS.pageIds) return open;
    // The pages before may all be forgotten. A number of theirs would say that this page's items are settled.
    const number = (this.#pages.at(-1)?.number ?? this.#settledBefore - 1) + 1;
    while (number - (this.#pages[0]?.number ?? number) >= ID_LIMITS.pages) this.#forget(); // D5
    const page: OpenPage = {
      ...{ number, term: this.#term, atMs: nowMs, settledBefore: 0 },
      ...{ ids: [], first: this.#next, partitions: [], doubtful: [] },
    };
    this.#pages.push(page);
    this.#open = page;
    return page;
  }

  #forgetOld(nowMs: number): void {
    while (this.#pages.length > 0 && nowMs - (this.#pages[0]?.atMs ?? nowMs) > ID_LIMITS.windowMs) {
      if ((this.#pages[0]?.number ?? 0) >= this.#settledBefore) return;
      this.#forget();
    }
  }

  #forget(): void {
    const page = this.#pages.shift();
    if (page === undefined) return;
    invariant(
      page.number < this.#settledBefore,
      `Cannot forget a page of ids as its items must be settled: current value is page ${page.number} of ${this.#settledBefore}`,
    );
    for (const id of page.ids) if (this.#pageOf.get(id) === page.number) this.#pageOf.delete(id);
  }
}
