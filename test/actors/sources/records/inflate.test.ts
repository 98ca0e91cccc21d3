import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Compression, compressionOf, inflate } from "../../../../actors/sources/records/inflate.ts";

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function inflated(bytes: Uint8Array, compression: Compression, size = 700, max?: number) {
  const parts: Uint8Array[] = [];
  try {
    for await (const part of inflate(chunks(bytes, size), compression, max)) parts.push(part);
    return { bytes: Buffer.concat(parts), reason: undefined };
  } catch (error) {
    return { bytes: Buffer.concat(parts), reason: (error as Error).message };
  }
}

/** Frames of Zstandard with one block that is not compressed. */
function zstd(text: string): Uint8Array {
  const content = Buffer.from(text);
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(content.length, 5);
  header.writeUIntLE((content.length << 3) | 1, 9, 3);
  return Buffer.concat([header, content]);
}

test("compression is known by its whole magic number", () => {
  assert.is(compressionOf(Uint8Array.of(0x1f)), undefined);
  assert.is(compressionOf(Uint8Array.of(0x1f), true), "none");
  assert.is(compressionOf(Uint8Array.of(0x1f, 0x8b)), "gzip");
  assert.is(compressionOf(Uint8Array.of(0x28, 0xb5, 0x2f)), undefined);
  assert.is(compressionOf(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd)), "zstd");
  assert.is(compressionOf(Buffer.from("(a)")), "none");
});

test("all members of gzip and all frames of Zstandard are inflated", async () => {
  const text = randomBytes(50_000);
  const gzip = Buffer.concat([gzipSync(text.subarray(0, 20_000)), gzipSync(text.subarray(20_000))]);
  assert.equal(await inflated(gzip, "gzip"), { bytes: text, reason: undefined });
  const frames = Buffer.concat([zstd("one\n"), zstd("two\n")]);
  assert.equal(await inflated(frames, "zstd", 3), { bytes: Buffer.from("one\ntwo\n"), reason: undefined });
});

test("bytes before damage are given out, then the error names the damage", async () => {
  const text = randomBytes(100_000);
  const gzip = gzipSync(text);
  const cut = await inflated(gzip.subarray(0, 60_000), "gzip");
  assert.match(cut.reason ?? "", /Cannot inflate gzip to its end.*60000 compressed/);
  assert.ok(cut.bytes.length > 40_000);
  assert.equal(cut.bytes, text.subarray(0, cut.bytes.length));
  const frames = Buffer.concat([zstd("one\n"), zstd("two\n").subarray(0, 9)]);
  const half = await inflated(frames, "zstd");
  assert.equal(half.bytes, Buffer.from("one\n"));
  assert.match(half.reason ?? "", /Cannot inflate zstd to its end/);
  assert.match(
    (await inflated(Buffer.concat([gzip, Buffer.from("garbage")]), "gzip")).reason ?? "",
    /incorrect header/,
  );
});

test("a file that inflates without end is stopped at the bound", async () => {
  const found = await inflated(gzipSync(Buffer.alloc(50_000_000)), "gzip", 700, 1_000_000);
  assert.match(found.reason ?? "", /more than 1000000 bytes/);
  assert.ok(found.bytes.length < 3_000_000);
});

test.run();
