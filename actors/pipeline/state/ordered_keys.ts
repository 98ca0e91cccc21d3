/**
 * Keys in ascending order of UTF-16 code units, for scans. The keys lie in sorted chunks: a key is found by two binary
 * searches, and its insertion moves a chunk's part only.
 */
const CHUNK_KEYS_MAX = 512;

export class OrderedKeys {
  /** None of the chunks is empty. */
  readonly #chunks: string[][] = [];
  /** Where the last answer of `after` lies, as scans ask for one key behind the other. */
  #chunk = 0;
  #index = 0;

  constructor(keys: Iterable<string>) {
    const sorted = Array.from(keys).sort();
    const half = CHUNK_KEYS_MAX / 2;
    for (let at = 0; at < sorted.length; at += half) this.#chunks.push(sorted.slice(at, at + half));
  }

  get chunkCount(): number {
    return this.#chunks.length;
  }

  add(key: string): void {
    const at = Math.max(0, this.#chunkOf(key));
    const chunk = this.#chunks[at];
    if (chunk === undefined) {
      this.#chunks.push([key]);
      return;
    }
    chunk.splice(lowerBound(chunk, key), 0, key);
    if (chunk.length > CHUNK_KEYS_MAX) this.#chunks.splice(at + 1, 0, chunk.splice(CHUNK_KEYS_MAX / 2));
  }

  remove(key: string): void {
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    const index = lowerBound(chunk, key);
    if (chunk[index] !== key) return;
    chunk.splice(index, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
    else {
      this.#join(at);
      if (at > 0) this.#join(at - 1);
    }
  }

  /** Joins a chunk with the next one where both are small, so that few keys lie in few chunks. */
  #join(at: number): void {
    const [chunk, following] = [this.#chunks[at], this.#chunks[at + 1]];
    if (chunk === undefined || following === undefined) return;
    if (chunk.length + following.length >= CHUNK_KEYS_MAX / 2) return;
    chunk.push(...following);
    this.#chunks.splice(at + 1, 1);
  }

  /** The first key that is not below `key`. */
  from(key: string): string | undefined {
    const at = Math.max(0, this.#chunkOf(key));
    return this.#take(at, lowerBound(this.#chunks[at] ?? [], key));
  }

  /** The first key above `key`, which need not be present any more. */
  after(key: string): string | undefined {
    if (this.#chunks[this.#chunk]?.[this.#index] === key) return this.#take(this.#chunk, this.#index + 1);
    const found = this.from(key);
    return found === key ? this.#take(this.#chunk, this.#index + 1) : found;
  }

  #take(chunk: number, index: number): string | undefined {
    const isBehind = index >= (this.#chunks[chunk]?.length ?? 0);
    this.#chunk = isBehind ? chunk + 1 : chunk;
    this.#index = isBehind ? 0 : index;
    return this.#chunks[this.#chunk]?.[this.#index];
  }

  /** The last chunk that begins at or below `key`; -1 where `key` is below all. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#chunks[middle]?.[0] ?? "") <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** The index of the first key that is not below `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
