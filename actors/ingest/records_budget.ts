/**
 * The memory that a node gives to records on their way to subscribers: read from the log, and not yet handed to the network. A
 * subscriber that reads nothing costs no more than its connection's share, whatever credit it gave (E19).
 *   B1. What one connection has under way stays below its share, and what all have stays below the node's.
 *   B2. A connection with nothing under way may always read a little: nobody waits for a subscriber that does not read.
 *   B3. A read that brought more than its room (a batch comes whole) counts by its size. Beyond the shares it is kept only where it
 *       is alone: the others are given up, and made again one at a time.
 */

export const RECORDS_LIMITS = {
  /** Bytes under way to one connection. */
  connectionBytesMax: 1_048_576,
  /** Bytes under way to all connections of a node, the least reads (B2) not counted. */
  nodeBytesMax: 67_108_864,
  /** The least read of a connection with nothing under way. */
  readBytesMin: 32_768,
  /** Reads under way of one connection: each is a call to the log. */
  readsMax: 16,
} as const;

type Limits = { readonly [Name in keyof typeof RECORDS_LIMITS]: number };

/** One connection's part. */
export interface RecordsGrant {
  /** Room for a read of up to `wantedBytes`, which must be given back; 0 where there is none now. */
  take(wantedBytes: number): number;
  /** Whether a `take` was answered with 0 since this was last asked. */
  wasRefused(): boolean;
  /** Room for what a read has brought, instead of the `takenBytes` that were taken for it; 0 where there is none (B3). */
  grow(takenBytes: number, sizeBytes: number): number;
  /** Gives back what one `take` or `grow` answered. */
  give(bytes: number): void;
  /** The connection is gone, and what it had under way with it. */
  release(): void;
}

export class RecordsBudget {
  readonly #limits: Limits;
  #usedBytes = 0;

  constructor(limits: Limits = RECORDS_LIMITS) {
    this.#limits = limits;
  }

  /** Bytes taken by all connections, the least reads not counted. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  open(): RecordsGrant {
    const { connectionBytesMax, nodeBytesMax, readBytesMin, readsMax } = this.#limits;
    let reads = 0;
    let sharedBytes = 0;
    /** The least read, where one is under way: it is no part of the node's budget. */
    let ownBytes = 0;
    let isRefused = false;
    return {
      take: (wantedBytes) => {
        const bytes = Math.min(wantedBytes, connectionBytesMax);
        const isWithin = reads < readsMax && sharedBytes + ownBytes + bytes <= connectionBytesMax;
        if (isWithin && this.#usedBytes + bytes <= nodeBytesMax) {
          reads += 1;
          sharedBytes += bytes;
          this.#usedBytes += bytes;
          return bytes;
        }
        if (reads > 0) {
          isRefused = true;
          return 0;
        }
        reads = 1;
        ownBytes = Math.min(wantedBytes, readBytesMin);
        return ownBytes;
      },
      grow: (takenBytes, sizeBytes) => {
        const isOwn = ownBytes > 0 && takenBytes === ownBytes;
        const moreBytes = sizeBytes - takenBytes;
        const isWithin = sharedBytes + ownBytes + moreBytes <= connectionBytesMax;
        if (!isOwn && isWithin && this.#usedBytes + moreBytes <= nodeBytesMax) {
          sharedBytes += moreBytes;
          this.#usedBytes += moreBytes;
          return sizeBytes;
        }
        if (reads > 1) return 0;
        if (!isOwn) {
          sharedBytes -= takenBytes;
          this.#usedBytes -= takenBytes;
        }
        ownBytes = sizeBytes;
        return sizeBytes;
      },
      wasRefused: () => {
        const was = isRefused;
        isRefused = false;
        return was;
      },
      give: (bytes) => {
        reads -= 1;
        if (ownBytes > 0 && bytes === ownBytes) {
          ownBytes = 0;
          return;
        }
        sharedBytes -= bytes;
        this.#usedBytes -= bytes;
      },
      release: () => {
        this.#usedBytes -= sharedBytes;
        sharedBytes = 0;
        ownBytes = 0;
        reads = readsMax;
      },
    };
  }
}
