/**
 * Walks over an encoded batch and copies values as told: records as plain maps, or as records into an array that keeps
 * these. `slice_events.ts` and `copy_events.ts` decide which values.
 */
import { InvariantError } from "../errors.ts";

/** The keys of a record in the batch: the start of their array, of each key, and the end of the last. */
interface Definition {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly keyStarts: readonly number[];
  readonly end: number;
}

/** The beginning of an event, with the definitions before it: a walk can begin here. */
export interface Place {
  readonly index: number;
  readonly at: number;
  /** Place of the newest definition of each id. */
  readonly definedAt: ReadonlyMap<number, number>;
}

/** By token: bytes that follow it, where the value has a fixed size. Tokens before 202 are values by themselves. */
const FIXED_BYTES = new Uint8Array(256);
FIXED_BYTES.set([4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17], 202);
/** Tokens whose length follows in 1, 2 or 4 bytes, and the bytes that come with them besides the length. */
const SIZED: Readonly<Record<number, readonly [lengthBytes: number, extraBytes: number]>> = {
  ...{ 196: [1, 0], 197: [2, 0], 198: [4, 0] },
  ...{ 199: [1, 1], 200: [2, 1], 201: [4, 1] },
  ...{ 217: [1, 0], 218: [2, 0], 219: [4, 0] },
};

/** The first size of the buffer in bytes: most events fit, and a larger event grows it. */
const SLICE_BYTES = 512;
/** Up to this many bytes are copied one by one, as a call costs more than a few bytes. */
const COPIED_SINGLY_MAX = 24;

class ByteWriter {
  private buffer = new Uint8Array(SLICE_BYTES);
  private length = 0;

  clear(): void {
    this.length = 0;
  }

  write(from: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.ensure(length);
    if (length > COPIED_SINGLY_MAX) this.buffer.set(from.subarray(start, end), this.length);
    else for (let index = 0; index < length; index++) this.buffer[this.length + index] = from[start + index] as number;
    this.length += length;
  }

  writeByte(byte: number): void {
    this.ensure(1);
    this.buffer[this.length++] = byte;
  }

  writeMapHeader(count: number): void {
    this.ensure(5);
    if (count < 16) this.buffer[this.length++] = 0x80 | count;
    else {
      this.buffer[this.length++] = 0xdf;
      for (let shift = 24; shift >= 0; shift -= 8) this.buffer[this.length++] = (count >>> shift) & 0xff;
    }
  }

  bytes(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }

  private ensure(moreBytes: number): void {
    const end = this.length + moreBytes;
    if (end <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(end, this.buffer.length * 2));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }
}

/**
 * An array under way, of events of several batches, that keeps their records: each definition lies in the array before its
 * first use (E11), and only there, as long as the id means the same.
 */
export class RecordArray {
  readonly out = new ByteWriter();
  /** How many definitions the array holds. */
  definitions = 0;
  /** By id, the definition in force at the end of the array. */
  private readonly inForce = new Map<number, Definition>();

  constructor(count: number) {
    this.out.writeByte(0xdd);
    for (let shift = 24; shift >= 0; shift -= 8) this.out.writeByte((count >>> shift) & 0xff);
  }

  isInForce(id: number, definition: Definition): boolean {
    return this.inForce.get(id) === definition;
  }

  /** Writes the head of a record: its id, with the definition where the id means something else so far. */
  begin(id: number, definition: Definition): void {
    const known = this.inForce.get(id);
    this.inForce.set(id, definition);
    if (known === undefined || !hasSameKeys(known, definition)) {
      this.definitions += 1;
      this.out.writeByte(0xd4);
      this.out.writeByte(0x72);
      this.out.writeByte(id);
      this.out.write(definition.bytes, definition.start, definition.end);
    } else this.out.writeByte(id);
  }
}

function hasSameKeys(left: Definition, right: Definition): boolean {
  const length = left.end - left.start;
  if (right.end - right.start !== length) return false;
  for (let index = 0; index < length; index++) {
    if (left.bytes[left.start + index] !== right.bytes[right.start + index]) return false;
  }
  return true;
}

export class EventWalk {
  private readonly bytes: Uint8Array;
  private readonly definitions = new Map<number, Definition>();
  private definedAt = new Map<number, number>();
  /** True where a place shares `definedAt`: the next definition then goes to a copy. */
  private isShared = false;
  private at = 0;
  private readonly out: ByteWriter;
  /** Where copies go that keep records as they are. */
  private readonly array: RecordArray | undefined;
  private isCopying = false;
  /** Beginning and end of bytes that are to be copied: neighbouring bytes are copied in one call. */
  private runStart = 0;
  private runEnd = 0;

  constructor(bytes: Uint8Array, array?: RecordArray) {
    this.bytes = bytes;
    this.array = array;
    this.out = array?.out ?? new ByteWriter();
  }

  get position(): number {
    return this.at;
  }

  /** The place of the event `index`, which begins here. */
  place(index: number): Place {
    this.isShared = true;
    return { index, at: this.at, definedAt: this.definedAt };
  }

  resume({ at, definedAt }: Place): void {
    this.at = at;
    this.definedAt = definedAt as Map<number, number>;
    this.isShared = true;
  }

  startCopy(): void {
    this.out.clear();
    this.isCopying = true;
    this.runStart = this.runEnd = this.at;
  }

  /** Walks over the next value, and puts it at the end of the walk's array of records if `isWanted`. */
  add(isWanted: boolean): void {
    if (isWanted !== this.isCopying) {
      this.writeRun();
      this.isCopying = isWanted;
    }
    this.value();
  }

  /** The array has all that was added. */
  endAdding(): void {
    this.writeRun();
  }

  takeCopy(): Uint8Array {
    this.writeRun();
    this.isCopying = false;
    return this.out.bytes();
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
    const definition = token >= 0x40 && token < 0x80 ? this.definitionOf(token) : undefined;
    if (definition !== undefined) this.reference(token, definition);
    else if (token === 0xd4 && this.byte(this.at + 1) === 0x72) this.record(this.byte(this.at + 2), this.define());
    else if (token >= 0x80 && token < 0x90) this.container(1, (token & 0x0f) * 2);
    else if (token >= 0x90 && token < 0xa0) this.container(1, token & 0x0f);
    else if (token === 0xdc || token === 0xdd) this.sizedContainer(token === 0xdc ? 2 : 4, 1);
    else if (token === 0xde || token === 0xdf) this.sizedContainer(token === 0xde ? 2 : 4, 2);
    else if (token >= 0x40 && token < 0x80) this.integer();
    else this.copy(this.scalarBytes(token));
  }

  /** An integer of 64 to 127 is named as one: its byte may be the id of a record in an array of several batches. */
  private integer(): void {
    if (this.isCopying && this.array !== undefined) {
      this.writeRun();
      this.out.writeByte(0xcc);
    }
    this.copy(1);
  }

  private scalarBytes(token: number): number {
    if (token >= 0xa0 && token < 0xc0) return 1 + (token & 0x1f);
    const sized = SIZED[token];
    if (sized !== undefined) return 1 + sized[0] + sized[1] + this.unsigned(this.at + 1, sized[0]);
    return 1 + (FIXED_BYTES[token] as number);
  }

  private sizedContainer(lengthBytes: number, valuesEach: number): void {
    this.container(1 + lengthBytes, this.unsigned(this.at + 1, lengthBytes) * valuesEach);
  }

  private container(headerBytes: number, values: number): void {
    this.copy(headerBytes);
    for (let index = 0; index < values; index++) this.value();
  }

  private definitionOf(id: number): Definition | undefined {
    const known = this.definitions.get(id);
    const definedAt = known === undefined ? this.definedAt.get(id) : undefined;
    if (definedAt === undefined) return known;
    // An earlier walk has read this definition, and this walk began at a place behind it.
    const { at } = this;
    this.at = definedAt;
    const definition = this.readDefinition(id);
    this.at = at;
    return definition;
  }

  /** Reads a definition, which is not copied: its records are written as maps. */
  private define(): Definition {
    const id = this.byte(this.at + 2);
    if (this.isShared) this.definedAt = new Map(this.definedAt);
    this.isShared = false;
    this.definedAt.set(id, this.at);
    return this.readDefinition(id);
  }

  private readDefinition(id: number): Definition {
    this.at += 3;
    const start = this.at;
    const count = this.arrayHeader();
    const keyStarts: number[] = [];
    for (let index = 0; index < count; index++) {
      keyStarts.push(this.at);
      this.at += this.scalarBytes(this.byte(this.at));
    }
    const definition = { bytes: this.bytes, start, keyStarts, end: this.at };
    this.definitions.set(id, definition);
    return definition;
  }

  private reference(id: number, definition: Definition): void {
    if (!this.isCopying || this.array?.isInForce(id, definition) === true) {
      this.copy(1); // the commonest case: the record joins the run of bytes
      this.fields(definition);
    } else {
      this.at += 1;
      this.record(id, definition);
    }
  }

  private record(id: number, definition: Definition): void {
    if (this.isCopying) {
      this.writeRun();
      if (this.array === undefined) this.out.writeMapHeader(definition.keyStarts.length);
      else this.array.begin(id, definition);
    }
    this.fields(definition);
  }

  private fields({ keyStarts, end }: Definition): void {
    const count = keyStarts.length;
    const isWithKeys = this.isCopying && this.array === undefined;
    for (let index = 0; index < count; index++) {
      if (isWithKeys) {
        this.writeRun();
        this.out.write(this.bytes, keyStarts[index] as number, keyStarts[index + 1] ?? end);
      }
      this.value();
    }
  }

  private copy(length: number): void {
    if (this.isCopying) {
      if (this.runEnd !== this.at) {
        this.writeRun();
        this.runStart = this.at;
      }
      this.runEnd = this.at + length;
    }
    this.at += length;
  }

  private writeRun(): void {
    if (this.runEnd > this.runStart) this.out.write(this.bytes, this.runStart, this.runEnd);
    this.runStart = this.runEnd = 0;
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
