/**
 * Inflates gzip (all members) and Zstandard (all frames), which are known by their magic numbers and not by the file's
 * name. Bytes inflated before a fault are given out before the error.
 */
import { createGunzip } from "node:zlib";
import { loadDriver } from "../../../deps.ts";
import { RejectedError } from "../../../protocols/errors.ts";

export type Compression = "none" | "gzip" | "zstd";

const MAGIC: readonly (readonly [Compression, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
];

/** How many first bytes decide for certain. */
export const MAGIC_BYTES = 4;

/** The compression of a file with these first bytes. Undefined while they may be the beginning of a magic number. */
export function compressionOf(first: Uint8Array, isEnd = false): Compression | undefined {
  for (const [compression, magic] of MAGIC) {
    if (!magic.slice(0, first.length).every((byte, at) => first[at] === byte)) continue;
    if (first.length >= magic.length) return compression;
    if (!isEnd) return undefined;
  }
  return "none";
}

/** Most bytes that a file may inflate to: 1 TiB. */
export const INFLATED_BYTES_MAX = 1_099_511_627_776;

/** Compressed bytes inflated at once. Zstandard makes at most 32,768 bytes of each, gzip 1,032. */
const SLICE_BYTES = 1_024;

/** Throws `RejectedError` if the bytes are damaged or cut short, or inflate to more than `inflatedBytesMax`. */
export async function* inflate(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  inflatedBytesMax: number = INFLATED_BYTES_MAX,
): AsyncGenerator<Uint8Array> {
  if (compression === "none") {
    yield* chunks;
    return;
  }
  const held: Uint8Array[] = [];
  let compressedBytes = 0;
  let inflatedBytes = 0;
  const hold: Hold = (bytes) => {
    held.push(bytes);
    inflatedBytes += bytes.length;
  };
  const inflater = compression === "gzip" ? gunzipper(hold) : await unzstd(hold);
  try {
    for await (const slice of slices(chunks)) {
      compressedBytes += slice.length;
      await inflater.write(slice);
      yield* held.splice(0);
      if (inflatedBytes > inflatedBytesMax) throw new Error(`it holds more than ${inflatedBytesMax} bytes`);
    }
    await inflater.end();
    yield* held.splice(0);
  } catch (error) {
    yield* held.splice(0);
    const { message } = error as Error;
    throw new RejectedError(
      "MALFORMED_EVENT",
      `Cannot inflate ${compression} to its end as it must be whole: after ${compressedBytes} compressed and ${inflatedBytes} inflated bytes: ${message}`,
      { cause: error },
    );
  } finally {
    inflater.close();
  }
}

async function* slices(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += SLICE_BYTES) yield chunk.subarray(at, at + SLICE_BYTES);
  }
}

type Hold = (bytes: Uint8Array) => void;

interface Inflater {
  write(slice: Uint8Array): Promise<void>;
  end(): Promise<void>;
  close(): void;
}

function gunzipper(hold: Hold): Inflater {
  const gunzip = createGunzip().on("data", hold);
  const failed = new Promise<never>((_resolve, reject) => gunzip.once("error", reject));
  failed.catch(() => undefined); // the call under way throws it, or the next one
  return {
    write: (slice) => Promise.race([failed, new Promise<void>((resolve) => gunzip.write(slice, () => resolve()))]),
    end: () => Promise.race([failed, new Promise<void>((resolve) => gunzip.once("end", resolve).end())]),
    close: () => gunzip.destroy(),
  };
}

async function unzstd(hold: Hold): Promise<Inflater> {
  const { Decompress } = await loadDriver("fzstd");
  // The decompressor reuses its buffers, so bytes that are given out are copied.
  const decompress = new Decompress((chunk) => hold(chunk.slice()));
  return {
    write: async (slice) => decompress.push(slice.slice()),
    end: async () => decompress.push(new Uint8Array(0), true),
    close: () => undefined,
  };
}
