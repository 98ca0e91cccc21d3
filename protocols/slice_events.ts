/**
 * Cuts single events out of an encoded batch, byte for byte, for the dead letters: what was sent is kept, even where it
 * can not be decoded. Records become plain maps on the way, so that each slice decodes by itself (E11). Takes batches
 * that `scanEvents` has let through.
 */
import { InvariantError } from "./errors.ts";

/** Where the keys of a record lie in the batch: `[start, end)` of all of them together, and each one's start. */
interface Definition {
  readonly keyStarts: readonly number[];
  readonly end: number;
}

/** The events from `firstIndex` on, one by one as they are asked for: what is not asked for costs nothing. */
export function* slicesFrom(bytes: Uint8Array, firstIndex: number): Iterable<Uint8Array> {
  const walk = new Walk(bytes);
  const count = walk.arrayHeader();
  for (let index = 0; index < count; index++) {
    if (index >= firstIndex) walk.startCopy();
    walk.value();
    if (index >= firstIndex) yield walk.takeCopy();
  }
}

/** The events at `indexes` (ascending), each as one MessagePack value that decodes by itself. */
export function sliceEvents(bytes: Uint8Array, indexes: readonly number[]): Uint8Array[] {
  const walk = new Walk(bytes);
  const slices: Uint8Array[] = [];
  const count = walk.arrayHeader();
  for (let index = 0; index < count && slices.length < indexes.length; index++) {
    const isWanted = indexes[slices.length] === index;
    if (isWanted) walk.startCopy();
    walk.value();
    if (isWanted) slices.push(walk.takeCopy());
  }
  return slices;
}

/** As `sliceEvents`, for one. Throws `RangeError` for an index outside the batch. */
export function sliceEvent(bytes: Uint8Array, index: number): Uint8Array {
  const [slice] = sliceEvents(bytes, [index]);
  if (slice === undefined) {
    throw new RangeError(`Cannot slice an event as its index must be in the batch: current value is ${index}`);
  }
  return slice;
}

/** Bytes that follow the token of a value of fixed size. */
const FIXED_BYTES: Readonly<Record<number, number>> = {
  202: 4,
  203: 8,
  204: 1,
  205: 2,
  206: 4,
  207: 8,
  208: 1,
  209: 2,
  210: 4,
  211: 8,
  212: 2,
  213: 3,
  214: 5,
  215: 9,
  216: 17,
};
/** Tokens whose length follows in 1, 2 or 4 bytes, and what more than the length comes with them. */
const SIZED: Readonly<Record<number, readonly [lengthBytes: number, extraBytes: number]>> = {
  196: [1, 0],
  197: [2, 0],
  198: [4, 0],
  199: [1, 1],
  200: [2, 1],
  201: [4, 1],
  217: [1, 0],
  218: [2, 0],
  219: [4, 0],
};

/** Bytes of most events: a larger one grows its buffer. */
const SLICE_BYTES = 512;

class ByteWriter {
  private buffer = new Uint8Array(SLICE_BYTES);
  private length = 0;

  write(bytes: ArrayLike<number>): void {
    const end = this.length + bytes.length;
    if (end > this.buffer.length) {
      const larger = new Uint8Array(Math.max(end, this.buffer.length * 2));
      larger.set(this.buffer.subarray(0, this.length));
      this.buffer = larger;
    }
    this.buffer.set(bytes, this.length);
    this.length = end;
  }

  bytes(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }
}

class Walk {
  private readonly bytes: Uint8Array;
  private readonly definitions = new Map<number, Definition>();
  private at = 0;
  private out: ByteWriter | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  startCopy(): void {
    this.out = new ByteWriter();
  }

  takeCopy(): Uint8Array {
    const copy = this.out?.bytes() ?? new Uint8Array(0);
    this.out = undefined;
    return copy;
  }

  arrayHeader(): number {
    const token = this.byte(this.at);
    if (token >= 0x90 && token < 0xa0) {
      this.at += 1;
      return token & 0x0f;
    }
    const lengthBytes = token === 0xdc ? 2 : 4;
    const count = this.unsigned(this.at + 1, lengthBytes);
    this.at += 1 + lengthBytes;
    return count;
  }

  value(): void {
    const token = this.byte(this.at);
    const definition = token >= 0x40 && token < 0x80 ? this.definitions.get(token) : undefined;
    if (definition !== undefined) {
      this.at += 1;
      this.record(definition);
    } else if (token === 0xd4 && this.byte(this.at + 1) === 0x72) this.record(this.define());
    else if (token >= 0x80 && token < 0x90) this.container(1, (token & 0x0f) * 2);
    else if (token >= 0x90 && token < 0xa0) this.container(1, token & 0x0f);
    else if (token === 0xdc || token === 0xdd) this.sizedContainer(token === 0xdc ? 2 : 4, 1);
    else if (token === 0xde || token === 0xdf) this.sizedContainer(token === 0xde ? 2 : 4, 2);
    else this.copy(this.scalarBytes(token));
  }

  private scalarBytes(token: number): number {
    if (token >= 0xa0 && token < 0xc0) return 1 + (token & 0x1f);
    const sized = SIZED[token];
    if (sized !== undefined) return 1 + sized[0] + sized[1] + this.unsigned(this.at + 1, sized[0]);
    return 1 + (FIXED_BYTES[token] ?? 0);
  }

  private sizedContainer(lengthBytes: number, valuesEach: number): void {
    this.container(1 + lengthBytes, this.unsigned(this.at + 1, lengthBytes) * valuesEach);
  }

  private container(headerBytes: number, values: number): void {
    this.copy(headerBytes);
    for (let index = 0; index < values; index++) this.value();
  }

  /** Reads a definition, which is written nowhere: its records are. */
  private define(): Definition {
    const id = this.byte(this.at + 2);
    this.at += 3;
    const count = this.arrayHeader();
    const keyStarts: number[] = [];
    for (let index = 0; index < count; index++) {
      keyStarts.push(this.at);
      this.at += this.scalarBytes(this.byte(this.at));
    }
    const definition = { keyStarts, end: this.at };
    this.definitions.set(id, definition);
    return definition;
  }

  private record({ keyStarts, end }: Definition): void {
    const count = keyStarts.length;
    this.write(
      count < 16 ? [0x80 | count] : [0xdf, count >>> 24, (count >>> 16) & 0xff, (count >>> 8) & 0xff, count & 0xff],
    );
    for (let index = 0; index < count; index++) {
      this.write(this.bytes.subarray(keyStarts[index], keyStarts[index + 1] ?? end));
      this.value();
    }
  }

  private copy(length: number): void {
    this.write(this.bytes.subarray(this.at, this.at + length));
    this.at += length;
  }

  private write(bytes: ArrayLike<number>): void {
    this.out?.write(bytes);
  }

  private byte(at: number): number {
    const byte = this.bytes[at];
    if (byte === undefined) throw new InvariantError("Cannot slice events that were not scanned: they end too early");
    return byte;
  }

  private unsigned(at: number, length: number): number {
    let value = 0;
    for (let next = at; next < at + length; next++) value = value * 256 + this.byte(next);
    return value;
  }
}
