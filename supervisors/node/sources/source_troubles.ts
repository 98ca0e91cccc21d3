/** Sources that cannot read now, each with the code of its reason, for `/readyz` and `/metrics`. */

export interface SourceTrouble {
  readonly source: string;
  /** The operating system's error code, such as EACCES, or a source's own. */
  readonly code: string;
}

/** Codes of one source that the metric keeps apart. Further ones count as `OTHER`: a user's source may make any text. */
const CODES_MAX = 50;

/** Earlier codes are kept, so that their metric returns to 0 instead of vanishing. */
export class SourceTroubles {
  /** By source, then by shard. A source without shards has one entry, under an empty name. */
  readonly #now = new Map<string, Map<string, string>>();
  readonly #seen = new Map<string, Set<string>>();

  tell(source: string, given: string | undefined, shard = ""): void {
    const codes = this.#now.get(source) ?? new Map<string, string>();
    if (given === undefined) codes.delete(shard);
    else {
      const seen = this.#seen.get(source) ?? new Set();
      const code = seen.has(given) || seen.size < CODES_MAX ? given : "OTHER";
      codes.set(shard, code);
      this.#seen.set(source, seen.add(code));
    }
    this.#now.set(source, codes);
  }

  /** Each source once for each code, however many of its shards have it. */
  now(): readonly SourceTrouble[] {
    return [...this.#now].flatMap(([source, codes]) => [...new Set(codes.values())].map((code) => ({ source, code })));
  }

  *readings(): Iterable<readonly [value: number, labels: { source: string; code: string }]> {
    for (const [source, seen] of this.#seen) {
      const now = new Set(this.#now.get(source)?.values());
      for (const code of seen) yield [now.has(code) ? 1 : 0, { source, code }];
    }
  }
}
