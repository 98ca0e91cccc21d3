/** The stored pages of a shard's message ids, in the log's metadata: `source/<name>/ids/<page modulo the ring>`. */
import { createHash } from "node:crypto";
import type { Event } from "../../../protocols/event.ts";
import { decodeTrustedEvents, encodeEvents } from "../../../protocols/values/event_codec.ts";
import { ID_LIMITS, type IdPage } from "./remembered_ids.ts";
import { runElsewhere, type SourceStore } from "./resume_point.ts";

/** Bytes of an id's hash. Two ids with one hash are as unlikely as a fault of the memory. */
const HASH_BYTES = 16;
/** Pages that are read at one time. The ring is filled from its first place on, so most reads find its end early. */
const READ_TOGETHER = 8;

/** The hash by which an id is remembered, as `HASH_BYTES` characters of latin1. */
export const hashOfId = (id: string): string =>
  createHash("sha256").update(id).digest().toString("latin1", 0, HASH_BYTES);

export class IdStore {
  readonly #log: SourceStore;
  readonly #name: string;
  readonly #versions = new Map<number, number>();

  /** @param name `<source>`, or `<source>/<shard>` */
  constructor(log: SourceStore, name: string) {
    this.#log = log;
    this.#name = name;
  }

  async read(): Promise<readonly IdPage[]> {
    const pages: IdPage[] = [];
    for (let from = 0; from < ID_LIMITS.pages; from += READ_TOGETHER) {
      const places = Array.from({ length: READ_TOGETHER }, (_, at) => from + at);
      const found = await Promise.all(places.map((place) => this.#read(place)));
      pages.push(...found.filter((page) => page !== undefined));
      if (found.includes(undefined)) break;
    }
    return pages;
  }

  async #read(place: number): Promise<IdPage | undefined> {
    const found = await this.#log.readMetadata(this.#key(place));
    if (found === undefined) return undefined;
    this.#versions.set(place, found.version);
    return decodePage(decodeTrustedEvents(found.value)[0] ?? {});
  }

  /** Rejects where another node has written the page since it was read. Calls must not overlap. */
  async write(page: IdPage): Promise<void> {
    const place = page.number % ID_LIMITS.pages;
    const value = encodeEvents([encodePage(page)], { asRecords: false });
    const written = await this.#log.writeMetadata(this.#key(place), value, this.#versions.get(place) ?? 0);
    if (written === undefined) throw runElsewhere(this.#name, "message ids");
    this.#versions.set(place, written);
  }

  #key(place: number): string {
    return `source/${this.#name}/ids/${place}`;
  }
}

const encodePage = ({ ids, partitions, doubtful, ...page }: IdPage): Event => ({
  ...page,
  partitions: [...partitions],
  doubtful: [...doubtful],
  ids: Uint8Array.from(Buffer.from(ids.join(""), "latin1")),
});

function decodePage({ number, term, atMs, settledBefore, first, partitions, doubtful, ids }: Event): IdPage {
  const text = Buffer.from(ids as Uint8Array).toString("latin1");
  const count = text.length / HASH_BYTES;
  return {
    ...{ number: Number(number), term: Number(term), atMs: Number(atMs), settledBefore: Number(settledBefore) },
    ...{ first: Number(first), partitions: partitions as readonly number[], doubtful: doubtful as readonly number[] },
    ids: Array.from({ length: count }, (_, at) => text.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES)),
  };
}
