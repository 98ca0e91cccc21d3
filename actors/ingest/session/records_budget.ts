/**
 * The memory that a node gives to records on their way to subscribers: read from the log, and not yet handed to the
 * network. A subscriber that reads nothing costs no more than its connection's share, whatever credit it gave (E19) and
 * whatever the size of the stored batches.
 *
 *   B1. The bytes under way to one connection stay below its share, but for one large record (B3). The bytes under way
 *       to all connections stay below the node's share. Records that were sent count by their size on the wire.
 *   B2. A connection with nothing under way may always read `readBytesMin`, besides the shares. So no connection waits
 *       for a subscriber that does not read.
 *   B3. A batch larger than its room is sent in parts, of one record at least (`cut_batches.ts`). A record larger than
 *       the least read, without room in a share, takes its turn in a room that all connections have together
 *       (`records_line.ts`).
 *   B4. Connections wait for that room in line, and the line moves: a connection that takes none of the records sent to
 *       it is ended where others wait.
 */
import { RecordsLine } from "./records_line.ts";

export const RECORDS_LIMITS = {
  connectionBytesMax: 1_048_576,
  /** Bytes under way to all connections of a node, the least reads (B2) and large records (B3) not counted. */
  nodeBytesMax: 33_554_432,
  readBytesMin: 32_768,
  /** Bytes under way to all connections of a node in large records, beyond the least reads and the shares (B3). */
  largeBytesMax: 16_777_216,
  /** Milliseconds after which a connection that takes no record sent to it is ended for others that wait (B4). */
  undisturbedMs: 5_000,
  /** Reads under way of one connection: each is a call to the log. */
  readsMax: 16,
} as const;

export type RecordsLimits = { readonly [Name in keyof typeof RECORDS_LIMITS]: number };

/** Room for one read, from its beginning until its records have left this process. */
export type RecordsRoom = Pick<Room, keyof Room>;

/** The part of one connection in the budget. */
export type RecordsGrant = Omit<Grant, "reserve" | "giveWay" | "hasShare" | "hasLarge" | "isAlone">;

interface RecordsListener {
  /** Room is kept for the large record that the connection waits for: it should read now. */
  onRoom(): void;
  /** The connection has taken nothing for `undisturbedMs`, and others wait: it should end (B4). */
  onGiveWay(): void;
}

/** The memory that a room is taken from: the shares, the room of large records, or a connection's least read. */
type Pool = "shared" | "large" | "least";

export class RecordsBudget {
  readonly #node: Node;

  constructor(limits: RecordsLimits = RECORDS_LIMITS) {
    this.#node = { limits, usedBytes: { shared: 0, large: 0, least: 0 }, line: new RecordsLine() };
  }

  /** Bytes taken of the shares by all connections. */
  get usedBytes(): number {
    return this.#node.usedBytes.shared;
  }

  get largeBytes(): number {
    return this.#node.usedBytes.large;
  }

  open(): RecordsGrant {
    return new Grant(this.#node);
  }
}

interface Node {
  readonly limits: RecordsLimits;
  readonly usedBytes: Record<Pool, number>;
  readonly line: RecordsLine<Grant>;
}

class Grant {
  readonly #node: Node;
  readonly #rooms = new Set<Room>();
  #listener: RecordsListener | undefined;
  #isRefused = false;
  /** The room kept for this connection since its turn in line has come. */
  #reserved: Room | undefined;
  #isReleased = false;

  constructor(node: Node) {
    this.#node = node;
  }

  listen(listener: RecordsListener): void {
    this.#listener = listener;
  }

  /**
   * Room for a read of up to `wantedBytes`; undefined where none is free now.
   *
   * @param leastBytes size of the next record, where it is known to be large: less room is of no use
   */
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

  /** Whether a `take` was refused since the last call, because of this connection's own records under way. */
  wasRefused(): boolean {
    const was = this.#isRefused;
    this.#isRefused = false;
    return was;
  }

  isWaiting(): boolean {
    return this.#node.line.has(this);
  }

  /** The connection has read after `onRoom`: the rest of the room kept for it goes to others. */
  settle(): void {
    const unused = this.#reserved;
    this.#reserved = undefined;
    unused?.give();
  }

  /** The connection has waited for long: one that takes nothing gives way to it (B4). */
  press(nowMs: number): void {
    if (this.isWaiting()) this.#node.line.giveWay(nowMs - this.#node.limits.undisturbedMs);
  }

  /** The connection is gone: its room is free. */
  release(): void {
    this.#isReleased = true;
    this.#reserved = undefined;
    this.#node.line.leave(this);
    for (const room of [...this.#rooms]) room.give();
  }

  /** The connection's turn in line has come: keeps room for its record. False where that much is not free. */
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

  /** Whether `moreBytes` fit both shares (B1). */
  hasShare(moreBytes: number): boolean {
    const { connectionBytesMax, nodeBytesMax } = this.#node.limits;
    let ownBytes = moreBytes;
    for (const room of this.#rooms) ownBytes += room.bytes;
    return ownBytes <= connectionBytesMax && this.#node.usedBytes.shared + moreBytes <= nodeBytesMax;
  }

  /** Whether `moreBytes` fit the room of large records. A lone record always fits. */
  hasLarge(moreBytes: number): boolean {
    const usedBytes = this.#node.usedBytes.large;
    return usedBytes === 0 || usedBytes + moreBytes <= this.#node.limits.largeBytesMax;
  }

  get isAlone(): boolean {
    return this.#rooms.size === 1;
  }

  #room(pool: Pool, bytes: number): Room {
    const room: Room = new Room(this, this.#node, pool, bytes, () => this.#rooms.delete(room));
    this.#rooms.add(room);
    return room;
  }
}

class Room {
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

  /** Grows to `sizeBytes`, for a read that brought more than was asked for, where the shares allow it (B1). */
  growInShare(sizeBytes: number): boolean {
    const moreBytes = sizeBytes - this.#bytes;
    if (moreBytes <= 0) return true;
    if (this.#isGiven) return false;
    const fromShare = this.#pool === "shared" ? moreBytes : sizeBytes;
    if (!this.#grant.hasShare(moreBytes)) return false; // a least read's own bytes are in its connection's already
    if (this.#node.usedBytes.shared + fromShare > this.#node.limits.nodeBytesMax) return false;
    this.#count("shared", sizeBytes);
    return true;
  }

  /** Grows to `sizeBytes`, for one large record; false where that much is not free (B3). */
  grow(sizeBytes: number): boolean {
    if (this.growInShare(sizeBytes)) return true;
    if (this.#isGiven || !this.#grant.isAlone || !this.#node.line.isEmpty || !this.#grant.hasLarge(sizeBytes))
      return false;
    this.#count("large", sizeBytes);
    return true;
  }

  /** The records were sent: from now on the room counts their size on the wire. */
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

  /** Free again. Does nothing after the first time. */
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
