/**
 * Checks LMDB's data file before the library maps it. The library trusts the file's first pages: a page number beyond the
 * end of the file, or of no valid page, crashes the process without an error. Decides whether the file can be opened; leaves
 * the contents of entries to their checksums (record_batch.ts).
 *   F1. Both meta pages are those of LMDB, have the version that the library writes, and agree on the size of pages.
 *   F2. The root pages that the newest meta page names lie in the file, and are pages of a tree.
 *   F3. A file that ends before its last page is accepted only where no page of the trees is missing, because LMDB may
 *       leave free pages at the end unwritten.
 *   F4. A missing or empty file is a new one, unless the folder remembers the log that the file held.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { endianness } from "node:os";
import { join } from "node:path";
import { UnavailableError } from "../../../protocols/errors.ts";
import { rememberedStore, STORE_ID_FILE } from "../remembered_store.ts";

/** The file's name in the data folder. */
const DATA_FILE = "data.mdb";

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const META_PAGES = 2;
const META_BYTES = 168;
const [PAGE_BYTES_MIN, PAGE_BYTES_MAX] = [512, 65_536];
const PAGE_RANGE = `${PAGE_BYTES_MIN} to ${PAGE_BYTES_MAX} bytes`;
/** Offsets of fields in a page (`MDB_page_header`, 64 bits), in a meta page (`MDB_meta`) and in a tree's node (`MDB_node`). */
const PAGE = { number: 0, flags: 18, lower: 20, header: 24 } as const;
const META = { magic: 24, version: 28, pageBytes: 48, roots: [88, 136], lastPage: 144, transaction: 152 } as const;
const NODE = { flags: 4, keyBytes: 6, header: 8 } as const;
const [BRANCH_PAGE, LEAF_PAGE, META_PAGE] = [1, 2, 8];
/** Flag of a node whose data is the number of its own pages. */
const BIG_DATA = 1;
/** The root of an empty tree. */
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

interface DataFile {
  readonly path: string;
  readonly descriptor: number;
  readonly sizeBytes: number;
}

type Meta = ReturnType<typeof metaOf>;

/**
 * Throws `UnavailableError`: `STORE_CORRUPT` where the folder's data file cannot be opened safely, `STORE_LOST` where it is
 * missing or empty though the folder remembers its log. The pages are checked on 64-bit little-endian machines only.
 */
export function checkDataFile(folder: string): void {
  const path = join(folder, DATA_FILE);
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    refuseIfRemembered(folder, "there is no such file");
    return;
  }
  try {
    const sizeBytes = fstatSync(descriptor).size;
    if (sizeBytes === 0) refuseIfRemembered(folder, "the file is empty");
    else if (endianness() === "LE" && !["arm", "ia32"].includes(process.arch)) check({ path, descriptor, sizeBytes });
  } finally {
    closeSync(descriptor);
  }
}

/** F4: throws where the folder remembers a log. */
function refuseIfRemembered(folder: string, found: string): void {
  const remembered = rememberedStore(folder);
  if (remembered !== undefined) throw lostLog(folder, remembered, found);
}

/** The error for a folder whose data file does not hold the log that the folder remembers. `found` tells what is there. */
export const lostLog = (folder: string, remembered: string, found: string): UnavailableError =>
  new UnavailableError(
    "STORE_LOST",
    `Cannot open ${join(folder, DATA_FILE)} as it must hold log ${remembered}, which ${join(folder, STORE_ID_FILE)} remembers: ${found}. Bring the file back (a volume that is not mounted, a copy); or move the folder away, or run headrace recover --accept-loss, to begin with an empty log, and fill that from a backup (headrace restore)`,
  );

function check(file: DataFile): void {
  const first = metaOf(file, 0, 0);
  const metas = [first, metaOf(file, 1, first.pageBytes)];
  const newest = metas.reduce((left, right) => (right.transaction > left.transaction ? right : left));
  const roots = newest.roots.filter((root) => root !== NO_PAGE);
  for (const root of roots) pageOf(file, newest, root); // F2
  if ((newest.lastPage + 1n) * BigInt(newest.pageBytes) <= BigInt(file.sizeBytes)) return;
  for (const root of roots) walk(file, newest, root); // F3
}

/** F1: reads a meta page, and throws where it is not valid. */
function metaOf(file: DataFile, index: number, at: number) {
  const what = `meta page ${index}`;
  if (at + META_BYTES > file.sizeBytes) throw cutShort(file, what);
  const bytes = bytesAt(file, at, META_BYTES);
  const [flags, magic] = [bytes.readUInt16LE(PAGE.flags), bytes.readUInt32LE(META.magic)];
  if ((flags & META_PAGE) === 0 || magic !== MAGIC)
    throw corrupt(file, `${what} must begin with the mark of LMDB`, `flags ${flags} and mark 0x${magic.toString(16)}`);
  const version = bytes.readUInt32LE(META.version) & 0xffff;
  if (version !== DATA_VERSION) throw corrupt(file, `${what} must have the version ${DATA_VERSION}`, String(version));
  const pageBytes = bytes.readUInt32LE(META.pageBytes);
  const isPower = (pageBytes & (pageBytes - 1)) === 0;
  if (!isPower || pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX || (index > 0 && pageBytes !== at))
    throw corrupt(file, `${what} must have pages of ${PAGE_RANGE}, as the other`, String(pageBytes));
  return {
    pageBytes,
    roots: META.roots.map((place) => bytes.readBigUInt64LE(place)),
    lastPage: bytes.readBigUInt64LE(META.lastPage),
    transaction: bytes.readBigUInt64LE(META.transaction),
  };
}

/** Reads a page of a tree, and throws where it is not valid. */
function pageOf(file: DataFile, { pageBytes, lastPage }: Meta, page: bigint): Buffer {
  if (page < META_PAGES || page > lastPage)
    throw corrupt(file, `a page of a tree must be one of ${META_PAGES} to ${lastPage}`, String(page));
  requirePages(file, pageBytes, page, 1n);
  const bytes = bytesAt(file, Number(page) * pageBytes, pageBytes);
  const [found, flags] = [bytes.readBigUInt64LE(PAGE.number), bytes.readUInt16LE(PAGE.flags)];
  if (found !== page || (flags & (BRANCH_PAGE | LEAF_PAGE)) === 0)
    throw corrupt(file, `page ${page} must be one of a tree`, `number ${found} and flags ${flags}`);
  return bytes;
}

/** Reads every page of a tree, and throws where one is missing or not valid. */
function walk(file: DataFile, meta: Meta, root: bigint): void {
  const waiting = [root];
  const seen = new Set<bigint>();
  for (let page = waiting.pop(); page !== undefined; page = waiting.pop()) {
    if (seen.has(page)) throw corrupt(file, `page ${page} must be named once by its tree`, "twice");
    seen.add(page);
    const bytes = pageOf(file, meta, page);
    const isBranch = (bytes.readUInt16LE(PAGE.flags) & BRANCH_PAGE) !== 0;
    const nodes = bytes.readUInt16LE(PAGE.lower) >> 1;
    for (let index = 0; index < nodes; index += 1) {
      const pointer = PAGE.header + 2 * index;
      const at = pointer + 2 > bytes.length ? bytes.length : bytes.readUInt16LE(pointer) + PAGE.header;
      if (at + NODE.header > bytes.length)
        throw corrupt(file, `the nodes of page ${page} must lie in it`, `one at ${at}`);
      if (isBranch) waiting.push(BigInt(bytes.readUInt32LE(at)) | (BigInt(bytes.readUInt16LE(at + NODE.flags)) << 32n));
      else requireData(file, meta, bytes, at, page);
    }
  }
}

/** Throws where a node's data lies in pages of its own, and one of these is missing. `MDB_ovpage` names the pages. */
function requireData(file: DataFile, { pageBytes }: Meta, bytes: Buffer, at: number, page: bigint): void {
  if ((bytes.readUInt16LE(at + NODE.flags) & BIG_DATA) === 0) return;
  const place = at + NODE.header + bytes.readUInt16LE(at + NODE.keyBytes);
  if (place + 24 > bytes.length) throw corrupt(file, `the nodes of page ${page} must lie in it`, `one at ${at}`);
  requirePages(file, pageBytes, bytes.readBigUInt64LE(place), bytes.readBigUInt64LE(place + 16));
}

function requirePages(file: DataFile, pageBytes: number, page: bigint, count: bigint): void {
  if ((page + count) * BigInt(pageBytes) > BigInt(file.sizeBytes)) throw cutShort(file, `page ${page + count - 1n}`);
}

function bytesAt({ descriptor }: DataFile, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  readSync(descriptor, bytes, 0, length, at);
  return bytes;
}

const cutShort = (file: DataFile, what: string): UnavailableError =>
  corrupt(file, `it must hold ${what}`, `${file.sizeBytes} bytes, as if cut short`);

const corrupt = ({ path }: DataFile, must: string, current: string): UnavailableError =>
  new UnavailableError(
    "STORE_CORRUPT",
    `Cannot open ${path} as ${must}: current value is ${current}. Move the folder away to begin with an empty log, and fill that from a backup (headrace restore)`,
  );
