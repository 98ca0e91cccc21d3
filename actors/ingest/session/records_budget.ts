/**
 * The memory that a node gives to records on their way to subscribers: read from the log, and not yet handed to the network. A
 * subscriber that reads nothing costs no more than its connection's share, whatever credit it gave (E19) and whatever the size
 * of the stored batches.
 *   B1. What one connection has under way, but for one large record (B3), stays below its share, and what all have stays below
 *       the node's. What was sent counts by its size on the wire.
 *   B2. A connection with nothing under way may always read a little, beside the shares: nobody waits for a subscriber that does
 *       not read.
 *   B3. A batch larger than its room is sent in parts, of one record at least (cut_batches.ts). A record that is larger than the
 *       least read, and finds no share, takes turns in a room that all connections have together (records_line.ts).
 *   B4. That room is waited for in line, and the line moves: a connection that takes nothing of what it was sent is ended when
 *       others wait.
 */
import { RecordsLine } from "./records_line.ts";

export const RECORDS_LIMITS = {
  /** Bytes under way to one connection. */
  connectionBytesMax: 1_048_576,
  /** Bytes under way to all connections of a node, the least reads (B2) and large records (B3) not counted. */
  nodeBytesMax: 33_554_432,
  /** The least read of a connection with nothing under way. */
  readBytesMin: 32_768,
  /** Bytes under way to all connections of a node of records beyond the least read and the shares (B3). */
  largeBytesMax: 16_777_216,
  /** How long a connection may take nothing of what it was sent before it is ended for others that wait (B4). */
  undisturbedMs: 5_000,
  /** Reads under way of one connection: each is a call to the log. */
  readsMax: 16,
} as const;

export type RecordsLimits = { readonly [Name in keyof typeof RECORDS_LIMITS]: number };

/** Room for one read, from its begin until what it brought has left this process. */
export interface RecordsRoom {
  readonly bytes: number;
  /** Makes it as large as a read that brought more than was asked for, where the shares allow that (B1). */
  growInShare(sizeBytes: number): boolean;
  /** Makes it as large as a record needs; false where there is no room (B3). */
  grow(sizeBytes: number): boolean;
  /** What was read was sent, at this size on the wire: that counts from now on. */
  sent(wireBytes: number, nowMs: number): void;
  /** Free again. Does nothing after the first time. */
  give(): void;
}

/** What a connection is told. */
export interface RecordsListener {
  /** There is room for the large record that it waits for: it should read now. */
  onRoom(): void;
  /** It has taken nothing for long, and others wait: it should end (B4). */
  onGiveWay(): void;
}

/** One connection's part. */
export interface RecordsGrant {
  /** Whom to tell of what concerns this connection. */
  listen(listener: RecordsListener): void;
  /**
   * Room for a read of up to `wantedBytes`; undefined where there is none now.
   *
   * @param leastBytes of the record that is next, where it is known to be large: nothing less is of use
   */
  take(wantedBytes: number, leastBytes?: number): RecordsRoom | undefined;
  /** Whether a `take` was refused for what this connection has under way since this was last asked. */
  wasRefused(): boolean;
  /** Whether it waits in line for room (B4). */
  isWaiting(): boolean;
  /** It has read what it wants of the room that `onRoom` told of: the rest is for others. */
  settle(): void;
  /** It has waited for long: a connection that takes nothing gives way to it (B4). */
  press(nowMs: number): void;
  /** The connection is gone, and what it had under way with it. */
  release(): void;
}

/** What a room is part of: the shares, the room of large records, or a connection's least read. */
type Pool = "shared" | "large" | "least";

export class RecordsBudget {
  readonly #limits: RecordsLimits;
  readonly #usedBytes: Record<Pool, number> = { shared: 0, large: 0, least: 0 };
  readonly #line = new RecordsLine<Grant>();

  constructor(limits: RecordsLimits = RECORDS_LIMITS) {
    this.#limits = limits;
  }

  /** Bytes taken of the shares by all connections. */
  get usedBytes(): number {
    return this.#usedBytes.shared;
  }

  /** Bytes of large records, taken by all connections. */
  get largeBytes(): number {
    return this.#usedBytes.large;
  }

  open(): RecordsGrant {
    return new Grant({ limits: this.#limits, usedBytes: this.#usedBytes, line: this.#line });
  }
}

interface Node {
  readonly limits: RecordsLimits;
  readonly usedBytes: Record<Pool, number>;
  readonly line: RecordsLine<Grant>;
}

class Grant implements RecordsGrant {
  readonly #node: Node;
  readonly #rooms = new Set<Room>();
  #listener: RecordsListener | undefined;
  #isRefused = false;
  /** Kept for it since its turn in line has come. */
  #reserved: Room | undefined;
  #isReleased = false;

  constructor(node: Node) {
    this.#node = node;
  }

  listen(listener: RecordsListener): void {
    this.#listener = listener;
  }

  take(wantedBytes: number, leastBytes = 0): RecordsRoom | undefined {
    const { connectionBytesMax, readBytesMin, readsMax } = this.#node.limits;
    if (this.#isReleased) return undefined;
    const reserved = this.#reserved;
    if (reserved !== undefined && reserved.bytes >= leastBytes) {
      this.#reserved = undefined;
      return reserved;
    }
    const bytes = Math.min(Math.max(wantedBytes, leastBytes), connectionBytesMax);
    if (bytes >= leastBytes && this.#rooms.size < readsMax && this.hasShare(bytes)) return this.#room("shared", bytes);
    if (this.#rooms.size > 0) {
      this.#isRefused = true;
      return undefined;
    }
    if (leastBytes <= readBytesMin) return this.#room("least", Math.min(wantedBytes, readBytesMin));
    if (this.#node.line.isEmpty && this.hasLarge(leastBytes)) return this.#room("large", leastBytes);
    this.#node.line.join(this, leastBytes);
    return undefined;
  }

  wasRefused(): boolean {
    const was = this.#isRefused;
    this.#isRefused = false;
    return was;
  }

  isWaiting(): boolean {
    return this.#node.line.has(this);
  }

  settle(): void {
    const unused = this.#reserved;
    this.#reserved = undefined;
    unused?.give();
  }

  press(nowMs: number): void {
    if (this.isWaiting()) this.#node.line.giveWay(nowMs - this.#node.limits.undisturbedMs);
  }

  release(): void {
    this.#isReleased = true;
    this.#reserved = undefined;
    this.#node.line.leave(this);
    for (const room of [...this.#rooms]) room.give();
  }

  /** Its turn in line has come: keeps room for the record that it waits for. False where there is none. */
  reserve(leastBytes: number): boolean {
    const isShared = leastBytes <= this.#node.limits.connectionBytesMax && this.hasShare(leastBytes);
    if (!isShared && !this.hasLarge(leastBytes)) return false;
    this.#reserved = this.#room(isShared ? "shared" : "large", leastBytes);
    this.#listener?.onRoom();
    return true;
  }

  giveWay(): void {
    this.#listener?.onGiveWay();
  }

  /** Whether so many bytes more fit both shares (B1). */
  hasShare(moreBytes: number): boolean {
    const { connectionBytesMax, nodeBytesMax } = this.#node.limits;
    let ownBytes = moreBytes;
    for (const room of this.#rooms) ownBytes += room.bytes;
    return ownBytes <= connectionBytesMax && this.#node.usedBytes.shared + moreBytes <= nodeBytesMax;
  }

  /** Whether so many bytes more fit the room of large records. One fits always, where there is no other. */
  hasLarge(moreBytes: number): boolean {
    const usedBytes = this.#node.usedBytes.large;
    return usedBytes === 0 || usedBytes + moreBytes <= this.#node.limits.largeBytesMax;
  }

  get isAlone(): boolean {
    return this.#rooms.size === 1;
  }

  #room(pool: Pool, bytes: number): Room {
    const room = new Room(this, this.#node, pool, bytes, () => this.#rooms.delete(room));
    this.#rooms.add(room);
    return room;
  }
}

class Room implements RecordsRoom {
  readonly #grant: Grant;
  readonly #node: Node;
  readonly #onGiven: () => void;
  #pool: Pool;
  #bytes = 0;
  /** Bytes on the wire beyond those of a least read, which count with the large records. */
  #beyondBytes = 0;
  #isGiven = false;

  constructor(grant: Grant, node: Node, pool: Pool, bytes: number, onGiven: () => void) {
    this.#grant = grant;
    this.#node = node;
    this.#onGiven = onGiven;
    this.#pool = pool;
    this.#count(pool, bytes);
  }

  get bytes(): number {
    return this.#bytes;
  }

  growInShare(sizeBytes: number): boolean {
    const moreBytes = sizeBytes - this.#bytes;
    if (moreBytes <= 0) return true;
    if (this.#isGiven) return false;
    const fromShare = this.#pool === "shared" ? moreBytes : sizeBytes;
    // A least read's own bytes are among those of its connection already.
    if (!this.#grant.hasShare(moreBytes)) return false;
    if (this.#node.usedBytes.shared + fromShare > this.#node.limits.nodeBytesMax) return false;
    this.#count("shared", sizeBytes);
    return true;
  }

  grow(sizeBytes: number): boolean {
    if (this.growInShare(sizeBytes)) return true;
    if (this.#isGiven || !this.#grant.isAlone || !this.#node.line.isEmpty || !this.#grant.hasLarge(sizeBytes))
      return false;
    this.#count("large", sizeBytes);
    return true;
  }

  sent(wireBytes: number, nowMs: number): void {
    if (this.#isGiven) return;
    this.#count(this.#pool, wireBytes);
    if (this.#pool === "least") {
      this.#beyondBytes = Math.max(0, wireBytes - this.#node.limits.readBytesMin);
      this.#node.usedBytes.large += this.#beyondBytes;
    }
    if (this.#pool !== "least" || this.#beyondBytes > 0) this.#node.line.hold(this, this.#grant, nowMs);
    this.#node.line.serve();
  }

  give(): void {
    if (this.#isGiven) return;
    this.#isGiven = true;
    this.#node.usedBytes[this.#pool] -= this.#bytes;
    this.#node.usedBytes.large -= this.#beyondBytes;
    this.#node.line.given(this);
    this.#onGiven();
    this.#node.line.serve();
  }

  #count(pool: Pool, bytes: number): void {
    this.#node.usedBytes[this.#pool] -= this.#bytes;
    this.#pool = pool;
    this.#bytes = bytes;
    this.#node.usedBytes[pool] += bytes;
  }
}
