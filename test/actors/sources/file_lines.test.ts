import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { lineReader } from "../../../actors/sources/file_formats.ts";
import { LineCutter } from "../../../actors/sources/file_lines.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

test("however a file is cut into chunks, its lines and their places are the same", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "é", "\n", "\r\n", '"', ",") });
  fc.assert(
    fc.property(text, fc.array(fc.nat(20)), fc.boolean(), (content, cuts, isQuoted) => {
      const bytes = encode(content);
      const whole = new LineCutter(0, 1_000, isQuoted);
      const pieces = new LineCutter(0, 1_000, isQuoted);
      const expected = [whole.push(bytes), whole.finish()].flat();
      const found = [];
      let at = 0;
      for (const cut of cuts) {
        found.push(...pieces.push(bytes.slice(at, at + cut)));
        at = Math.min(bytes.length, at + cut);
      }
      found.push(...pieces.push(bytes.slice(at)), pieces.finish());
      assert.equal(
        found.map((line) => line && [line.position, decode(line.bytes)]),
        expected.map((line) => line && [line.position, decode(line.bytes)]),
      );
      if (!isQuoted) {
        const lines = expected.flatMap((line) => (line === undefined ? [] : [decode(line.bytes)]));
        const split = content.split("\n").map((line) => line.replace(/\r$/, ""));
        if (content.endsWith("\n") || content === "") split.pop();
        assert.equal(lines, split);
      }
    }),
  );
});

test("of a line that is too long only its beginning is held, and the next one is whole", () => {
  const cutter = new LineCutter(100, 10_000, false);
  for (let chunk = 0; chunk < 50; chunk += 1) assert.equal(cutter.push(encode("x".repeat(10_000))), []);
  const [long, short] = cutter.push(encode("x\nshort\n"));
  assert.is(long?.tooLongBytes, 500_001);
  assert.is(long?.position, 100);
  assert.ok((long?.bytes.length ?? Infinity) <= 10_000);
  assert.is(decode(short?.bytes ?? new Uint8Array()), "short");
  assert.is(short?.position, 100 + 500_002);
});

test("a quote that is never closed costs no more than the longest line allowed", () => {
  const cutter = new LineCutter(0, 100, true);
  const lines = cutter.push(encode(`a,"open\n${"b,c\n".repeat(100)}`));
  assert.ok((lines[0]?.tooLongBytes ?? 0) > 100);
  assert.is(decode(lines.at(-1)?.bytes ?? new Uint8Array()), "b,c");
});

async function read(format: "ndjson" | "csv" | "lines", text: string | Uint8Array, more: object = {}) {
  const cutter = new LineCutter(0, 1_000, format === "csv");
  const lines = [cutter.push(typeof text === "string" ? encode(text) : text), cutter.finish()].flat();
  const reader = await lineReader({ format, ...more }, undefined);
  const items = await reader.read(lines.flatMap((line) => line ?? []));
  return items.map(({ item, position }) => [position, item.kind === "event" ? item.event : item.reason]);
}

test("CSV: the first record names the columns; line breaks and commas between quotes belong to their field", async () => {
  assert.equal(await read("csv", 'name,n\n"a, ""b""\nc",5\n\nd,-0.5\n', { numbers: true }), [
    [7, { name: 'a, "b"\nc', n: 5 }],
    [23, { name: "d", n: -0.5 }],
  ]);
  assert.equal(await read("csv", "x;1\ny;2;3\nz;4\n", { delimiter: ";", columns: ["a", "b"] }), [
    [0, { a: "x", b: "1" }],
    [4, "must have 2 columns: has 3"],
    [10, { a: "z", b: "4" }],
  ]);
});

test("CSV: a record that can not be read does not take its neighbours with it", async () => {
  const rows = await read("csv", 'a,b\nc"d,e\nf,g\n', { columns: ["x", "y"] });
  assert.equal(rows[0], [0, { x: "a", y: "b" }]);
  assert.is(typeof rows[1]?.[1], "string");
});

test("a line that is no JSON, no map or no UTF-8 keeps its place and says why", async () => {
  const bytes = new Uint8Array([...encode('{"a":1}\n[1]\n{bad\n'), 0x7b, 0xff, 0x7d, 0x0a, ...encode('\n{"b":2}')]);
  const found = await read("ndjson", bytes);
  assert.equal(found[0], [0, { a: 1 }]);
  assert.match(String(found[1]?.[1]), /must be a map/);
  assert.match(String(found[2]?.[1]), /JSON/);
  assert.match(String(found[3]?.[1]), /UTF-8/);
  assert.equal(found[4], [22, { b: 2 }]);
  assert.match(String((await read("ndjson", `${"[".repeat(500)}`))[0]?.[1]), /levels/);
});

test.run();
