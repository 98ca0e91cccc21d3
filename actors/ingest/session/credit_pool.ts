/**
 * The memory that a node sets aside for appends under way, shared among its connections (E19). Each connection begins
 * with little and gets more as it uses its credit (`credit_window.ts`). So a few busy connections get all that they can
 * use, and thousands of quiet ones cost little.
 *
 *   C1. The credit of all connections together never exceeds the total.
 *   C2. Half of the total is kept for connections to begin with: growth never takes the place of a newcomer.
 *   C3. One connection grows to a sixteenth of the memory free for growth, so that later connections can grow too.
 */
import { OverloadedError } from "../../../protocols/errors.ts";

/** Fraction of the memory free for growth that one connection may hold (C3). */
const GROWTH_SHARE = 16;
/** The least bytes of one connection: with fewer it would send event by event. */
const CONNECTION_BYTES_MIN = 4_096;
/** The most bytes that a connection begins with: its window doubles with each answer. */
const FIRST_BYTES_MAX = 65_536;

interface CreditPoolOptions {
  readonly totalBytes: number;
  /** Connections that the total must suffice for. */
  readonly connectionsMax: number;
  readonly connectionBytesMax: number;
  readonly connectionBytesMin?: number;
}

/** The append credit of one connection. */
export interface CreditGrant {
  readonly creditBytes: number;
  /** Bytes that a new connection begins with. */
  readonly firstBytes: number;
  /** Bytes that the busiest connection should hold now (C3). */
  readonly fairBytes: number;
  /** Takes up to `bytes` more; answers the bytes taken. */
  grow(bytes: number): number;
  shrink(bytes: number): void;
  release(): void;
}

export class CreditPool {
  readonly #options;
  readonly #firstBytes: number;
  #freeBytes: number;
  #connections = 0;

  constructor(options: CreditPoolOptions) {
    this.#options = options;
    const { totalBytes, connectionsMax, connectionBytesMax, connectionBytesMin = CONNECTION_BYTES_MIN } = options;
    const share = Math.floor(totalBytes / 2 / connectionsMax);
    this.#firstBytes = Math.min(connectionBytesMax, FIRST_BYTES_MAX, Math.max(connectionBytesMin, share));
    this.#freeBytes = totalBytes;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Throws `OverloadedError` `TOO_MANY_CONNECTIONS` where less is free than a connection begins with. */
  take(): CreditGrant {
    if (this.#freeBytes < this.#firstBytes) {
      throw new OverloadedError(
        "TOO_MANY_CONNECTIONS",
        `Cannot welcome a connection as ${this.#firstBytes} bytes of append memory must be free: current value is ${this.#freeBytes} of ${this.#options.totalBytes}`,
        5_000,
      );
    }
    this.#freeBytes -= this.#firstBytes;
    this.#connections += 1;
    const pool = this;
    let heldBytes = this.#firstBytes;
    return {
      firstBytes: this.#firstBytes,
      get creditBytes() {
        return heldBytes;
      },
      get fairBytes() {
        return pool.#fairBytes(heldBytes);
      },
      grow(bytes) {
        const grown = Math.max(0, Math.min(bytes, pool.#growableBytes()));
        pool.#freeBytes -= grown;
        heldBytes += grown;
        return grown;
      },
      shrink(bytes) {
        pool.#freeBytes += bytes;
        heldBytes -= bytes;
      },
      release() {
        if (heldBytes > 0) pool.#connections -= 1;
        this.shrink(heldBytes);
      },
    };
  }

  /** C3: the largest window, in bytes, for a connection that holds `heldBytes`. */
  #fairBytes(heldBytes: number): number {
    const grown = heldBytes - this.#firstBytes;
    const share = Math.floor(Math.max(0, this.#growableBytes() + grown) / GROWTH_SHARE);
    return Math.min(this.#options.connectionBytesMax, this.#firstBytes + share);
  }

  /** C2: bytes that are free, and not kept for connections that may still come. */
  #growableBytes(): number {
    const mayCome = Math.max(0, this.#options.connectionsMax - this.#connections);
    const kept = Math.min(mayCome * this.#firstBytes, Math.floor(this.#options.totalBytes / 2));
    return this.#freeBytes - kept;
  }
}
