/**
 * The memory that a node sets aside for appends under way, shared among its connections (E19): a connection gets a
 * fraction of what is free, so that few connections get all they can use and many still get some.
 */
import { OverloadedError } from "../../protocols/errors.ts";

/** Share of the free memory that one connection may take. */
const SHARE = 16;
const CONNECTION_BYTES_MIN = 65_536;

export interface CreditGrant {
  readonly creditBytes: number;
  release(): void;
}

export class CreditPool {
  readonly #totalBytes: number;
  readonly #connectionBytesMax: number;
  #freeBytes: number;

  /** @param connectionBytesMax most that one connection is given */
  constructor(totalBytes: number, connectionBytesMax: number) {
    this.#totalBytes = totalBytes;
    this.#connectionBytesMax = connectionBytesMax;
    this.#freeBytes = totalBytes;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Throws `OverloadedError` `TOO_MANY_CONNECTIONS` when not even the least grant is left. */
  take(): CreditGrant {
    if (this.#freeBytes < CONNECTION_BYTES_MIN) {
      throw new OverloadedError(
        "TOO_MANY_CONNECTIONS",
        `Cannot welcome a connection as ${CONNECTION_BYTES_MIN} bytes of append memory must be free: current value is ${this.#freeBytes} of ${this.#totalBytes}`,
        5_000,
      );
    }
    const share = Math.floor(this.#freeBytes / SHARE);
    const creditBytes = Math.min(this.#connectionBytesMax, Math.max(CONNECTION_BYTES_MIN, share));
    this.#freeBytes -= creditBytes;
    let isHeld = true;
    return {
      creditBytes,
      release: () => {
        if (isHeld) this.#freeBytes += creditBytes;
        isHeld = false;
      },
    };
  }
}
