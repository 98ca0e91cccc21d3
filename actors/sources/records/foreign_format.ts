/**
 * Knows formats that hold no text (archives, tables, documents, programs) by their first bytes, so that these are never
 * cut into lines. No text is mistaken for them: each magic number has a byte that no text begins with, or is long.
 */

interface Magic {
  readonly name: string;
  readonly bytes: readonly number[];
}

const magic = (name: string, first: string | readonly number[], ...more: readonly number[]): Magic => ({
  name,
  bytes: [...(typeof first === "string" ? Buffer.from(first, "latin1") : first), ...more],
});

const ZIP = "a zip archive (xlsx, docx and jar files are such)";
const BZIP2_BLOCK = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];

const MAGIC: readonly Magic[] = [
  magic(ZIP, "PK", 3, 4),
  magic(ZIP, "PK", 5, 6),
  magic(ZIP, "PK", 7, 8),
  ...Array.from({ length: 9 }, (_, at) => magic("bzip2", `BZh${at + 1}`, ...BZIP2_BLOCK)),
  magic("xz", [0xfd], 0x37, 0x7a, 0x58, 0x5a, 0x00),
  magic("a 7z archive", "7z", 0xbc, 0xaf, 0x27, 0x1c),
  magic("a rar archive", "Rar!", 0x1a, 0x07),
  magic("lz4", [0x04, 0x22, 0x4d, 0x18]),
  magic("lzip", "LZIP", 0x01),
  magic("snappy", [0xff, 0x06, 0x00, 0x00], ...Buffer.from("sNaPpY")),
  magic("compress (.Z)", [0x1f, 0x9d]),
  magic("Parquet", "PAR1", 0x15),
  magic("Avro", "Obj", 0x01),
  magic("Arrow", "ARROW1", 0x00, 0x00),
  magic("HDF5", [0x89], ...Buffer.from("HDF\r\n\u001a\n")),
  magic("an SQLite database", "SQLite format 3", 0x00),
  magic("PDF", "%PDF-"),
  magic("an Office document of the old kind (xls, doc)", [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]),
  magic("an ELF program", [0x7f], ...Buffer.from("ELF")),
  magic("a PNG picture", [0x89], ...Buffer.from("PNG\r\n")),
  magic("a JPEG picture", [0xff, 0xd8, 0xff]),
];

/** A tar archive has its magic number behind the first name, at byte 257. */
const TAR = { at: 257, bytes: Buffer.from("ustar") };

/** How many first bytes decide for certain. */
export const FOREIGN_BYTES = TAR.at + TAR.bytes.length;

/** The format that these first bytes belong to. `none` for possible text; undefined while more bytes must decide. */
export function foreignFormatOf(first: Uint8Array, isEnd = false): string | undefined {
  let isOpen = false;
  for (const { name, bytes } of MAGIC) {
    if (!bytes.slice(0, first.length).every((byte, at) => first[at] === byte)) continue;
    if (first.length >= bytes.length) return name;
    isOpen = true;
  }
  const isTar = TAR.bytes.every((byte, at) => first[TAR.at + at] === byte);
  if (isTar) return "a tar archive";
  return isOpen && !isEnd ? undefined : "none";
}

export const foreignReason = (format: string): string =>
  `it must be text, plain or within gzip or Zstandard: its first bytes are those of ${format}`;
