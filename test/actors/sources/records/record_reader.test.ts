import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  canBeWhole,
  type ReadOptions,
  recordCutter,
  recordReader,
} from "../../../../actors/sources/records/record_reader.ts";
import { type Encoding, shapeOf } from "../../../../actors/sources/records/text_shape.ts";

const encode = (text: string) => new TextEncoder().encode(text);

type Read = (readonly [position: number, line: number, value: unknown])[];

/** The records of bytes that come in these chunks and then end. */
async function read(
  options: ReadOptions,
  bytes: Uint8Array,
  { encoding, recordBytesMax = 1_000, cuts = [] }: Settings = {},
): Promise<Read> {
  const shape = shapeOf(bytes, encoding, true);
  assert.ok(shape);
  const reader = await recordReader(options, shape.encoding);
  const { cutter } = recordCutter(options, shape, recordBytesMax, { offset: shape.markBytes });
  const records = [];
  let at = shape.markBytes;
  for (const cut of cuts) {
    records.push(...cutter.push(bytes.subarray(at, at + cut)));
    at += cut;
  }
  records.push(...cutter.push(bytes.subarray(at)), ...cutter.finish());
  const items = await reader.read(records);
  return items.map(({ item, position, line }) => [position, line, item.kind === "event" ? item.event : item.reason]);
}

interface Settings {
  readonly encoding?: Encoding;
  readonly recordBytesMax?: number;
  readonly cuts?: readonly number[];
}

const values = async (options: ReadOptions, text: string | Uint8Array, settings?: Settings): Promise<unknown[]> =>
  (await read(options, typeof text === "string" ? encode(text) : text, settings)).map(([, , value]) => value);

const lines: ReadOptions = { format: "lines" };
const csv: ReadOptions = { format: "csv" };

test("R1: however bytes are cut into chunks, the records, their places and their lines are the same", async () => {
  const text = fc.string({
    unit: fc.constantFrom("a", "é", "\n", "\r", "\r\n", '"', ",", ',"', '",', '"a\nb",', "{", "}", "[", "]", ":"),
    maxLength: 60,
  });
  const format = fc.constantFrom<ReadOptions>(
    lines,
    { format: "ndjson" },
    { format: "json" },
    { format: "csv", columns: ["a", "b"] },
    { format: "csv", columns: ["a"], delimiter: "aé" },
  );
  const encoding = fc.constantFrom<Encoding>("utf-8", "latin1", "utf-16le", "utf-16be");
  const longest = fc.constantFrom(4, 6, 10, 1_000);
  type Case = [content: string, cuts: number[], options: ReadOptions, name: Encoding, max: number];
  // A record that is too long, whose quotes are at fault after its beginning was dropped.
  const columns: ReadOptions = { format: "csv", columns: ["a", "b"] };
  const onceFailed: Case[] = [
    ['aaé,"\r\n', [2, 3, 1], columns, "utf-8", 4],
    ['"a\nb",,","', [2, 4, 2], columns, "utf-8", 6],
  ];
  await fc.assert(
    fc.asyncProperty(
      text,
      fc.array(fc.nat(9)),
      format,
      encoding,
      longest,
      async (content, cuts, options, name, max) => {
        const little = Buffer.from(content, "utf16le");
        const bytes = name === "utf-16le" ? little : name === "utf-16be" ? little.swap16() : encode(content);
        const whole = await read(options, bytes, { encoding: name, recordBytesMax: max });
        assert.equal(await read(options, bytes, { encoding: name, recordBytesMax: max, cuts }), whole);
      },
    ),
    { numRuns: 400, examples: onceFailed },
  );
});

test("no byte is left out: the records and their line breaks make up the whole text", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "\n", "\r\n", '"', ",", "\r"), maxLength: 60 });
  fc.assert(
    fc.property(text, fc.boolean(), (content, isCsv) => {
      const options: ReadOptions = isCsv ? csv : lines;
      const { cutter } = recordCutter(options, { encoding: "utf-8", markBytes: 0 }, 1_000, { offset: 0 });
      const records = [...cutter.push(encode(content)), ...cutter.finish()];
      const found = records.map(({ bytes }) => new TextDecoder().decode(bytes)).join("");
      assert.is(found.replace(/[\r\n]/g, ""), content.replace(/[\r\n]/g, ""));
      for (const { position, bytes } of records) {
        assert.equal(encode(content).slice(position, position + bytes.length), Uint8Array.from(bytes));
      }
    }),
  );
});

test("L1: lines end with LF, CR LF, or with CR if the first line does; a lone CR elsewhere is part of its line", async () => {
  const of = async (text: string) => (await values(lines, text)).map((value) => (value as { line: string }).line);
  assert.equal(await of("a\nb\r\n\nc"), ["a", "b", "", "c"]);
  assert.equal(await of("a\rb\r\rc\r\nd\ne"), ["a", "b", "", "c", "d", "e"]);
  assert.equal(await of("a\nb\rc\n"), ["a", "b\rc"]);
  assert.equal(await of("a\r"), ["a"]);
  assert.equal(await values(csv, 'x,y\r1,"2\r3"\r4,5\r'), [
    { x: "1", y: "2\r3" },
    { x: "4", y: "5" },
  ]);
});

test("L2: CSV: the first record names the columns; line breaks and commas between quotes belong to their field", async () => {
  assert.equal(await read({ ...csv, values: "numbers" }, encode('name,n\n"a, ""b""\nc",5\n\nd,-0.5\n')), [
    [7, 2, { name: 'a, "b"\nc', n: 5 }],
    [23, 5, { name: "d", n: -0.5 }],
  ]);
  assert.equal(await read({ ...csv, delimiter: ";", columns: ["a", "b"] }, encode("x;1\ny;2;3\nz;4\n")), [
    [0, 1, { a: "x", b: "1" }],
    [4, 2, "must have 2 columns: has 3"],
    [10, 3, { a: "z", b: "4" }],
  ]);
});

test("L3: CSV: a quote at fault costs its record alone", async () => {
  const fault = async (record: string) => {
    const [first, ...rest] = await values({ ...csv, columns: ["a", "b"] }, `${record}\nc,d\n"e","f"\n`);
    assert.is(typeof first, "string", record);
    assert.equal(
      rest,
      [
        { a: "c", b: "d" },
        { a: "e", b: "f" },
      ],
      record,
    );
    return String(first);
  };
  assert.match(await fault('3" pipe,b'), /within a field/);
  assert.match(await fault('a,b"'), /within a field/);
  assert.match(await fault('a, "b"'), /within a field/);
  assert.match(await fault('"a"x,b'), /text follows a closing quote/);
  assert.match(await fault('"a" ,b'), /text follows a closing quote/);
  assert.match(await fault('a,"b'), /text follows a closing quote/);
  assert.match(await fault('"""a,b'), /text follows a closing quote/);
});

test("L3: CSV: a quote that is never closed costs one line, at the end and in a text longer than a record may be", async () => {
  const columns = { ...csv, columns: ["a", "b"] };
  const [first, ...rest] = await values(columns, 'a,"open\nb,c\nd,e');
  assert.match(String(first), /never closed/);
  assert.equal(rest, [
    { a: "b", b: "c" },
    { a: "d", b: "e" },
  ]);
  const many = await values(columns, `a,"open\n${"b,c\n".repeat(100)}`, { recordBytesMax: 100 });
  assert.is(many.length, 101);
  assert.match(String(many[0]), /not closed within the longest record/);
  assert.equal(many[1], { a: "b", b: "c" });
  const last = await values(columns, 'a,b\nc,"d"');
  assert.equal(last[1], { a: "c", b: "d" });
});

test("CSV: each column gets a name of its own", async () => {
  const row = async (header: string, count: number) =>
    Object.keys((await values(csv, `${header}\n${Array(count).fill("x").join(",")}\n`))[0] as object);
  assert.equal(await row("id,name,name", 3), ["id", "name", "name_2"]);
  assert.equal(await row("name,name,name_2,name", 4), ["name", "name_3", "name_2", "name_4"]);
  assert.equal(await row("a,,", 3), ["a", "column_2", "column_3"]);
  assert.equal(await row("column_2,", 2), ["column_2", "column_2_2"]);
});

test("CSV: if the names of the columns cannot be read, every record is set aside with that reason", async () => {
  const bytes = Buffer.concat([encode("a,"), Uint8Array.of(0xe9), encode("\n1,2\n3,4\n")]);
  const found = await values(csv, bytes);
  assert.is(found.length, 3);
  for (const reason of found)
    assert.match(String(reason), /names the columns cannot be read: must be UTF-8: byte 0xe9 at column 3/);
});

test("CSV: one column whose name holds another delimiter gets a warning", async () => {
  const told: string[] = [];
  await values({ ...csv, warn: (reason) => void told.push(reason) }, "id;name\n1;a\n");
  assert.is(told.length, 1);
  assert.match(told[0] ?? "", /one column.*";"/);
});

test("CSV: a text becomes a number only if it reads back the same", async () => {
  const texts = "007 1.10 1e5 -0 0x10 1_000 9007199254740993 51.123456789012345678 NaN Infinity 1. .5 +1 12e3".split(
    " ",
  );
  for (const text of texts) {
    assert.equal(await values({ ...csv, columns: ["n"], values: "numbers" }, `${text}\n`), [{ n: text }], text);
    assert.equal(await values({ ...csv, columns: ["n"], values: "all" }, `${text}\n`), [{ n: text }], text);
  }
  for (const text of ["0", "5", "-12", "0.1", "-1.5", "9007199254740991"]) {
    assert.equal(await values({ ...csv, columns: ["n"], values: "numbers" }, `${text}\n`), [{ n: Number(text) }], text);
  }
  assert.equal(await values({ ...csv, values: "all" }, "a,b,c\n,true,TRUE\n"), [{ b: true, c: "TRUE" }]);
});

test("JSON: an invalid record keeps its place, with the reason; integers are exact; a repeated key is refused", async () => {
  const bytes = Buffer.concat([
    encode('{"a":1}\n[1]\n{bad\n'),
    Uint8Array.of(0x7b, 0xff, 0x7d, 0x0a),
    encode('\n{"b":9007199254740993}'),
  ]);
  const found = await read({ format: "ndjson" }, bytes);
  assert.equal(found[0], [0, 1, { a: 1 }]);
  assert.match(String(found[1]?.[2]), /must be a map/);
  assert.match(String(found[2]?.[2]), /JSON/);
  assert.match(String(found[3]?.[2]), /UTF-8: byte 0xff at column 2/);
  assert.equal(found[4], [22, 6, { b: 9007199254740993n }]);
  assert.match(String((await values({ format: "ndjson" }, '{"a":1,"a":2}'))[0]), /key twice/);
  assert.match(String((await values({ format: "ndjson" }, '{"$int":"5"}'))[0]), /must be a map/);
  assert.match(String((await values({ format: "ndjson" }, '{"$bytes":"AA=="}'))[0]), /must be a map/);
  assert.match(String((await values({ format: "ndjson" }, '{"a":"\\ud800"}'))[0]), /half/);
  assert.equal(await values({ format: "ndjson" }, '{"a":"\\ud83d\\ude00"}'), [{ a: "\u{1f600}" }]);
  assert.match(String((await values({ format: "ndjson" }, "[".repeat(500)))[0]), /levels/);
});

test("J1: JSON: elements of an array and values that follow each other are read in any layout; an open string costs one line", async () => {
  const json: ReadOptions = { format: "json" };
  assert.equal(await read(json, encode('[\n {"n": 1, "text": "a ] , \\" b"},\n{"n":2,"deep":{"list":[1,[2]]}} ]\n')), [
    [3, 2, { n: 1, text: 'a ] , " b' }],
    [35, 3, { n: 2, deep: { list: [1, [2]] } }],
  ]);
  assert.equal(await values(json, '{"a":1}{"a":2}\n{\n"a":3}'), [{ a: 1 }, { a: 2 }, { a: 3 }]);
  const [broken, whole] = await values(json, '[{"a":"open},\n{"a":2}]');
  assert.match(String(broken), /must end on its line/);
  assert.equal(whole, { a: 2 });
});

test("R2: the beginning of a too long record is kept with its length, and the next record is whole", async () => {
  const long = "x".repeat(500_000);
  const cuts = Array(60).fill(10_000);
  const found = await read(lines, encode(`${long}\nshort\n`), { recordBytesMax: 10_000, cuts });
  assert.match(String(found[0]?.[2]), /EVENT_TOO_LARGE: a record of 500000 bytes.*its first 4096 are kept/);
  assert.equal(found[1], [500_001, 2, { line: "short" }]);
  const [huge] = await values({ format: "ndjson" }, `{"a":"${"x".repeat(1_100_000)}"}`, { recordBytesMax: 4_000_000 });
  assert.match(String(huge), /EVENT_TOO_LARGE: an event of/);
});

test("a byte order mark at the beginning is no part of the text, and one within the text stays", async () => {
  const text = '\ufeff"a",b\n1,\ufeff2\n';
  for (const [encoding, bytes] of [
    ["utf-8", encode(text)],
    ["utf-16le", Buffer.from(text, "utf16le")],
    ["utf-16be", Buffer.from(text, "utf16le").swap16()],
  ] as const) {
    assert.equal(await values(csv, bytes), [{ a: "1", b: "\ufeff2" }], encoding);
  }
});

test("bytes beyond ASCII are read in the named encoding, and never replaced", async () => {
  const bytes = Uint8Array.of(0x80, 0xe9, 0x0a);
  assert.equal(await values(lines, bytes, { encoding: "latin1" }), [{ line: "\u0080é" }]);
  assert.equal(await values(lines, bytes, { encoding: "windows-1252" }), [{ line: "€é" }]);
  assert.match(String((await values(lines, bytes))[0]), /must be UTF-8: byte 0x80 at column 1/);
  const half = Uint8Array.of(0x61, 0, 0, 0xd8, 0x0a, 0);
  assert.match(String((await values(lines, half, { encoding: "utf-16le" }))[0]), /column 2 is half a character/);
  assert.equal(await values(lines, Uint8Array.of(0x61, 0, 0x62, 0x0a)), [{ line: "a\0b" }]);
});

test("R3: after a record that was ended before its line break, the rest of the line is a record, and a line break alone is none", () => {
  for (const [first, then, expected] of [
    ["three", "\nfour\n", ["three", "four"]],
    ["three", "\r\nfour\n", ["three", "four"]],
    ["three\r", "\nfour\n", ["three", "four"]],
    ["thr", "ee\n\nfour\n", ["thr", "ee", "", "four"]],
  ] as const) {
    const { cutter } = recordCutter(lines, { encoding: "utf-8", markBytes: 0 }, 1_000, { offset: 0 });
    const records = [
      cutter.push(encode("one\n")),
      cutter.push(encode(first)),
      cutter.finish(),
      cutter.push(encode(then)),
    ];
    const texts = records.flat().map(({ bytes }) => new TextDecoder().decode(bytes));
    assert.equal(texts, ["one", ...expected], first);
  }
});

test("a last line of NDJSON is whole only if it is a value that no byte can continue; half a character is never an end", () => {
  const whole = (text: string | Uint8Array, format: "ndjson" | "csv" | "lines" = "ndjson") =>
    canBeWhole(Buffer.from(text), format, "utf-8");
  for (const text of ['{"a":1}', ' {"a":[1]} ', "[]", "true", '"a"', ""]) assert.ok(whole(text), text);
  for (const text of ["{", '{"a":"b', '{"a":1', '{"a":1}{', "12", "tru", "{a:1}"]) assert.not.ok(whole(text), text);
  assert.ok(whole("half a li", "lines"));
  assert.not.ok(whole(Uint8Array.of(0x61, 0xe2, 0x82), "lines"));
  assert.ok(whole(Uint8Array.of(0xff, 0x61), "lines"), "a byte that is no UTF-8 waits for nothing");
});

test.run();
