import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isUtf8 } from "../../../protocols/values/utf8.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isReadable(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Bytes at the edges of what a sequence may hold. */
const edge = fc.constantFrom(
  ...[
    0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xee, 0xef, 0xf0, 0xf4, 0xf5,
    0xff,
  ],
);

test("bytes are UTF-8 exactly where a strict decoder reads them", () => {
  const bytes = fc.oneof(
    fc.array(edge, { maxLength: 6 }).map((list) => Uint8Array.from(list)),
    fc.uint8Array({ maxLength: 8 }),
    fc.string({ unit: "binary", maxLength: 8 }).map((text) => new TextEncoder().encode(text)),
  );
  fc.assert(
    fc.property(bytes, (data) => assert.is(isUtf8(data, 0, data.length), isReadable(data))),
    { numRuns: 20_000 },
  );
});

test("only the bytes of the range are judged: a character that its end cuts is none", () => {
  const text = new TextEncoder().encode("aé€");
  assert.ok(isUtf8(text, 0, text.length));
  assert.ok(isUtf8(text, 1, 3));
  assert.not(isUtf8(text, 0, 2));
  assert.not(isUtf8(text, 2, 3));
});

test.run();
