/**
 * A memory that all requests of a kind share: bodies that arrive (`http_body.ts`), answers that are taken
 * (`http_answers.ts`). Decides by byte counts alone whether a request gets more, and which other request gives way. A
 * client that sends or reads slowly keeps no other client out, and a request that is repeated gains nothing.
 *
 *   H1. All requests together hold at most `bytesMax`.
 *   H2. A request of at most `smallBytesMax` takes memory of a reserve that is closed to larger ones. A request that
 *       finds the reserve full, or grows beyond `smallBytesMax`, counts as large.
 *   H3. A client's large requests hold at most `CLIENT_SHARE` times the free memory besides the reserve, so one client
 *       gets three quarters ("dynamic queue length thresholds", Choudhury and Hahne, 1998).
 *   H4. A request without room displaces one of the client that holds most, and of that client's largest connection. It
 *       must hold more than the asker would then: as a client, or as a connection of the asker's client. Else the asker
 *       is refused.
 *   H5. A large request of which no byte moved for `stillMs` gives way to any other.
 *   H6. Spare memory, such as for inflating, displaces no request, and a client gets at most half of it.
 *   H7. Only requests that wait for their client give way.
 */
import { OverloadedError } from "../../../protocols/errors.ts";

/** One client's requests may hold this many times the free memory: a quarter of all stays free. */
const CLIENT_SHARE = 3;
/** The same for spare memory: half stays free. */
const SPARE_SHARE = 1;

/** The same for bodies and for answers. */
export const MEMORY_LIMITS = {
  /** The part of `bytesMax` for small requests alone: room for 64 of them. */
  reserveBytes: 4_194_304,
  smallBytesMax: 65_536,
  /** Milliseconds without a byte after which a request gives way to others (H5). */
  stillMs: 5_000,
  /** The time that a client is told to wait where all requests together take too much. */
  retryAfterMs: 1_000,
} as const;

interface MemoryTerms extends Readonly<Record<keyof typeof MEMORY_LIMITS, number>> {
  readonly bytesMax: number;
  /** The words of a refusal: the things that hold memory, and the action that needs it. */
  readonly things: string;
  readonly action: string;
}

export interface Holder {
  /** The token's subject, or the peer's address on a node without authentication. */
  readonly client: string;
  readonly connection: object;
}

export interface Hold {
  /** Takes `bytes` more. Throws `OverloadedError` where no room is free and no request gives way (H4). */
  take(bytes: number): void;
  /** Takes `bytes` more of the spare memory (H6). Throws `OverloadedError`. */
  takeSpare(bytes: number): void;
  /** The request waits for its client from now on, and may have to give way (H7). */
  waits(): void;
  /** The client has sent or taken some bytes of the request (H5). */
  moves(): void;
  /** The request no longer waits for its client, and gives way to no other. */
  settles(): void;
  /** Holds exactly `bytes` from now on: takes the missing ones, as `take` does, or gives the rest back. */
  resize(bytes: number): void;
  /** Gives all memory back. Later calls do nothing. */
  release(): void;
}

export class HttpMemory {
  readonly #terms: MemoryTerms;
  readonly #nowMs: () => number;
  readonly #parts = new Set<Part>();
  readonly #clients = new Map<string, ClientUse>();
  #smallBytes = 0;
  #largeBytes = 0;

  constructor(terms: MemoryTerms, nowMs: () => number = () => performance.now()) {
    this.#terms = terms;
    this.#nowMs = nowMs;
  }

  get usedBytes(): number {
    return this.#smallBytes + this.#largeBytes;
  }

  /**
   * Begins a request with its first bytes. Throws as `take` does.
   *
   * @param giveWay called once where the request has to give way, as its memory is taken back
   */
  hold(holder: Holder, bytes: number, giveWay: (reason: OverloadedError) => void): Hold {
    const part: Part = { ...holder, bytes: 0, isSmall: true, isWaiting: false, movedAtMs: this.#nowMs(), giveWay };
    this.#parts.add(part);
    const moves = () => {
      part.movedAtMs = this.#nowMs();
    };
    const hold: Hold = {
      take: (more) => {
        this.#take(part, more, false);
        moves();
      },
      takeSpare: (more) => {
        this.#take(part, more, true);
        moves();
      },
      waits: () => {
        part.isWaiting = true;
        moves();
      },
      moves,
      settles: () => {
        part.isWaiting = false;
      },
      resize: (all) => {
        if (!this.#parts.has(part)) return;
        if (all > part.bytes) this.#take(part, all - part.bytes, false);
        else this.#set(part, all, part.isSmall || this.#isRoomInReserve(all));
      },
      release: () => this.#release(part),
    };
    try {
      hold.take(bytes);
    } catch (error) {
      hold.release();
      throw error;
    }
    return hold;
  }

  #take(part: Part, bytes: number, isSpare: boolean): void {
    if (!this.#parts.has(part)) throw this.#spent(part); // the request gave way before
    const all = part.bytes + bytes;
    if (part.isSmall && this.#isRoomInReserve(all, part.bytes)) {
      this.#set(part, all, true);
      return;
    }
    const more = part.isSmall ? all : bytes;
    while (!this.#isRoom(part, more, isSpare ? SPARE_SHARE : CLIENT_SHARE)) {
      const other = isSpare ? undefined : this.#toGiveWay(part, more);
      if (other === undefined) throw this.#spent(part);
      this.#release(other);
      other.giveWay(this.#spent(other));
    }
    this.#set(part, all, false);
  }

  /** H2. Whether a request of `bytes` fits the reserve, in which it holds `heldThere` already. */
  #isRoomInReserve(bytes: number, heldThere = 0): boolean {
    const { reserveBytes, smallBytesMax } = this.#terms;
    return bytes <= smallBytesMax && this.#smallBytes - heldThere + bytes <= reserveBytes;
  }

  /** H1, H3. Whether `more` bytes fit, and leave the client within its share. */
  #isRoom(part: Part, more: number, share: number): boolean {
    const { bytesMax, reserveBytes } = this.#terms;
    const free = bytesMax - reserveBytes - this.#largeBytes - more;
    return free >= 0 && this.#clientBytes(part) + more <= share * free;
  }

  /** H4, then H5: the large request that gives way to `asker`. */
  #toGiveWay(asker: Part, more: number): Part | undefined {
    const stillSinceMs = this.#nowMs() - this.#terms.stillMs;
    let largest: Part | undefined;
    let stillest: Part | undefined;
    for (const part of this.#parts) {
      if (part === asker || part.isSmall || !part.isWaiting) continue;
      if (this.#holdsMore(part, asker, more) && (largest === undefined || this.#compare(part, largest) > 0)) {
        largest = part;
      }
      if (part.movedAtMs <= stillSinceMs && part.movedAtMs < (stillest?.movedAtMs ?? Infinity)) stillest = part;
    }
    return largest ?? stillest;
  }

  #holdsMore(part: Part, asker: Part, more: number): boolean {
    return part.client === asker.client
      ? this.#connectionBytes(part) > this.#connectionBytes(asker) + more
      : this.#clientBytes(part) > this.#clientBytes(asker) + more;
  }

  #compare(a: Part, b: Part): number {
    return (
      this.#clientBytes(a) - this.#clientBytes(b) ||
      this.#connectionBytes(a) - this.#connectionBytes(b) ||
      a.bytes - b.bytes
    );
  }

  #clientBytes({ client }: Part): number {
    return this.#clients.get(client)?.bytes ?? 0;
  }

  #connectionBytes({ client, connection }: Part): number {
    return this.#clients.get(client)?.connections.get(connection) ?? 0;
  }

  #set(part: Part, bytes: number, isSmall: boolean): void {
    const before = part.isSmall ? 0 : part.bytes;
    const after = isSmall ? 0 : bytes;
    this.#smallBytes += (isSmall ? bytes : 0) - (part.isSmall ? part.bytes : 0);
    this.#largeBytes += after - before;
    this.#count(part, after - before);
    part.bytes = bytes;
    part.isSmall = isSmall;
  }

  /** Counts large bytes for the client and its connection, and forgets those that hold none. */
  #count({ client, connection }: Part, change: number): void {
    if (change === 0) return;
    const use = this.#clients.get(client) ?? { bytes: 0, connections: new Map<object, number>() };
    use.bytes += change;
    const ofConnection = (use.connections.get(connection) ?? 0) + change;
    if (ofConnection === 0) use.connections.delete(connection);
    else use.connections.set(connection, ofConnection);
    if (use.bytes === 0) this.#clients.delete(client);
    else this.#clients.set(client, use);
  }

  #release(part: Part): void {
    if (this.#parts.delete(part)) this.#set(part, 0, true);
  }

  #spent(part: Part): OverloadedError {
    const { action, things, bytesMax, retryAfterMs } = this.#terms;
    return new OverloadedError(
      "OUT_OF_CREDIT",
      `Cannot ${action} as ${things} together must stay below ${bytesMax} bytes, and one client's share must be free: ` +
        `current values are ${this.usedBytes} of all and ${this.#clientBytes(part)} of this client`,
      retryAfterMs,
    );
  }
}

interface Part extends Holder {
  bytes: number;
  /** The request's memory is of the reserve (H2). */
  isSmall: boolean;
  isWaiting: boolean;
  movedAtMs: number;
  readonly giveWay: (reason: OverloadedError) => void;
}

interface ClientUse {
  bytes: number;
  readonly connections: Map<object, number>;
}
