import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { UnreadableInput } from "../../../../protocols/mod.ts";
import { DataError } from "../../../../scripts/console/exit_codes.ts";
import { type InputOptions, readInput } from "../../../../scripts/console/records/read_input.ts";

interface Read {
  readonly events: unknown[];
  readonly lines: number[];
  readonly remarks: string[];
  readonly error: Error | undefined;
}

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(
  name: string,
  content: string | Uint8Array,
  options: Partial<InputOptions> & { readonly chunkBytes?: number } = {},
): Promise<Read> {
  const found: Read = { events: [], lines: [], remarks: [], error: undefined };
  const { chunkBytes = 10_000, ...rest } = options;
  const remark = (line: string) => void found.remarks.push(line);
  try {
    const input = chunks(Buffer.from(content), chunkBytes);
    for await (const { event, line } of readInput(input, {
      name,
      isText: false,
      onBytes: () => undefined,
      remark,
      ...rest,
    })) {
      found.events.push(event instanceof UnreadableInput ? event.reason : event);
      found.lines.push(line);
    }
    return found;
  } catch (error) {
    return { ...found, error: error as Error };
  }
}

test("one remark tells how an input is read and why: by the option, its ending or its beginning", async () => {
  const remark = async (name: string, content: string | Uint8Array, options: Partial<InputOptions> = {}) =>
    (await read(name, content, options)).remarks[0];
  assert.match((await remark("a.csv", "a\n1\n")) ?? "", /^reading a.csv: utf-8, as csv: its name ends in .csv$/);
  assert.match((await remark("a.txt", "a\n1\n", { format: "csv" })) ?? "", /as csv: --format says so/);
  assert.match((await remark("a.txt", "a;b\n1;2\n", { delimiter: ";" })) ?? "", /as csv: --delimiter is given/);
  assert.match((await remark("a.ndjson", '{"a":1}\n', { delimiter: ";" })) ?? "", /as ndjson/);
  assert.match(
    (await remark("a.json.gz", gzipSync("[]"))) ?? "",
    /inflated from gzip, utf-8, as json: its name ends in .json/,
  );
  for (const [text, format] of [
    ['{"a":1}\n{"a":2}\n', "ndjson"],
    ['{\n  "a": 1\n}\n', "json"],
    ['[{"a":1}]', "json"],
    [" [\n { } ]", "json"],
    ["[Tue Dec 01] started", "lines"],
    ["[1] 12345", "lines"],
    ["[{thread-1}] started", "lines"],
    ["{thread-1} started", "lines"],
    ["", "lines"],
  ] as const) {
    assert.match((await remark("stdin", text)) ?? "", new RegExp(`as ${format}: it begins`), text);
  }
});

test("bytes outside the encoding are set aside alone, with file, line and column", async () => {
  const content = Buffer.from("name,city\nAnn,Oslo\nZoë,Köln\nEve,Rome\n", "latin1");
  const found = await read("in.csv", content);
  assert.equal(found.events, [
    { name: "Ann", city: "Oslo" },
    "in.csv:3: must be UTF-8: byte 0xeb at column 3 is none; its encoding may be named",
    { name: "Eve", city: "Rome" },
  ]);
  assert.equal((await read("in.csv", content, { encoding: "latin1" })).events[1], { name: "Zoë", city: "Köln" });
});

test("a text of two bytes a character is refused unless its encoding is named or it has a byte order mark", async () => {
  const wide = Buffer.from("a,b\n1,2\n", "utf16le");
  const refused = await read("in.csv", wide);
  assert.instance(refused.error, DataError);
  assert.match(refused.error?.message ?? "", /Cannot read in.csv as every second byte is 0.*--encoding utf-16le/);
  assert.equal(refused.events, []);
  assert.equal((await read("in.csv", wide, { encoding: "utf-16le" })).events, [{ a: 1, b: 2 }]);
  const marked = Buffer.from("\ufeffa,b\n1,2\n", "utf16le").swap16();
  for (const chunkBytes of [1, 3, 1_000]) {
    assert.equal((await read("in.csv", marked, { chunkBytes })).events, [{ a: 1, b: 2 }], String(chunkBytes));
  }
});

test("a header that cannot be read refuses the input before any event", async () => {
  const found = await read("in.csv", Buffer.from("naïve,b\n1,2\n", "latin1"));
  assert.instance(found.error, DataError);
  assert.match(
    found.error?.message ?? "",
    /Cannot read in.csv as the line that names the columns.*byte 0xef at column 3/,
  );
  assert.equal(found.events, []);
});

test("records before the damage of a compressed input are read, the cut record is set aside, and the damage is reported", async () => {
  const content = Array.from({ length: 5_000 }, (_, n) => `{"n":${n},"r":"${Math.sin(n)}"}\n`).join("");
  const whole = gzipSync(content);
  const found = await read("in.ndjson.gz", whole.subarray(0, whole.length >> 1), { chunkBytes: 999 });
  assert.match(found.error?.message ?? "", /Cannot read in.ndjson.gz to its end: Cannot inflate gzip/);
  assert.ok(found.events.length > 1_000);
  assert.match(String(found.events.at(-1)), /the input is cut short or damaged here/);
  assert.equal(found.events[0], { n: 0, r: String(Math.sin(0)) });
});

test("an open JSON list is reported as cut short, after its events", async () => {
  const found = await read("in.json", '[{"a":1},\n{"a":2}');
  assert.equal(found.events, [{ a: 1 }, { a: 2 }]);
  assert.match(found.error?.message ?? "", /must be closed/);
});

test("one column whose name holds another delimiter gets a remark", async () => {
  for (const delimiter of [";", "\t", "|"]) {
    const { remarks } = await read("in.csv", `id${delimiter}name\n1${delimiter}a\n`);
    assert.ok(
      remarks.some((one) => one.includes(`in.csv: CSV has one column and its name holds ${JSON.stringify(delimiter)}`)),
    );
  }
});

test("a record that is too long is set aside with its length, and the next is read", async () => {
  const found = await read("in.ndjson", `{"a":1}\n${"x".repeat(17_000_000)}\n{"a":2}\n`, { chunkBytes: 65_536 });
  assert.equal([found.events[0], found.events[2]], [{ a: 1 }, { a: 2 }]);
  assert.match(String(found.events[1]), /in.ndjson:2: EVENT_TOO_LARGE: a record of 17000000 bytes.*first 4096/);
});

test("an integer beyond 64 bits and loose base64 are set aside by their paths, a float with an exponent is read", async () => {
  const { events } = await read(
    "a.ndjson",
    '{"a":[18446744073709551616]}\n{"a":1.8446744073709552e+19}\n{"x":{"$bytes":"AAE"}}\n',
  );
  assert.match(
    String(events[0]),
    /as \/a\/0 must be an integer of 64 bits, or be written with an exponent: current value is 18446744073709551616/,
  );
  assert.equal(events[1], { a: 2 ** 64 });
  assert.match(String(events[2]), /as \/x\/\$bytes must hold base64 of RFC 4648 with padding/);
});

test("plain lines that are blank are lines", async () => {
  assert.equal((await read("a.log", "a\n\nb\n")).events, [{ line: "a" }, { line: "" }, { line: "b" }]);
});

test("a file of a format that holds no text is refused by its first bytes, also within gzip and in small chunks", async () => {
  const tar = Buffer.alloc(512);
  tar.write("name.csv");
  tar.write("ustar", 257);
  for (const [bytes, format] of [
    [Buffer.from("PK\u0003\u0004rest of it"), "a zip archive"],
    [Buffer.from("BZh91AY&SY and so on"), "bzip2"],
    [Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00]), "xz"],
    [Buffer.from("PAR1\u0015\u0004"), "Parquet"],
    [Buffer.from("SQLite format 3\0 and so on"), "an SQLite database"],
    [tar, "a tar archive"],
  ] as const) {
    for (const content of [bytes, gzipSync(bytes)]) {
      for (const chunkBytes of format === "a tar archive" ? [10_000] : [1, 10_000]) {
        const { events, error } = await read("in.csv", content, { chunkBytes });
        assert.equal(events, []);
        assert.ok(error instanceof DataError);
        assert.match(error.message, new RegExp(`^Cannot read in.csv as it must be text.*${format}`));
      }
    }
  }
  for (const text of ["PK\n", "BZh9 is a name\n", "PAR1 2\n", "SQLite format 3\n", "%PDF\n"]) {
    const { events, error } = await read("in.log", text, { chunkBytes: 1 });
    assert.equal([events, error], [[{ line: text.trimEnd() }], undefined]);
  }
});

test("a name that ends in .tsv is CSV with tabs, and the remark says so; --delimiter wins", async () => {
  const found = await read("a.tsv", "a\tb\n1\t2\n");
  assert.equal(found.events, [{ a: 1, b: 2 }]);
  assert.match(found.remarks[0] ?? "", /as csv: its name ends in .tsv, a tab between two values$/);
  assert.equal((await read("a.tsv.gz", gzipSync("a\tb\n1\t2\n"))).events, [{ a: 1, b: 2 }]);
  assert.equal((await read("a.tsv", "a;b\n1;2\n", { delimiter: ";" })).events, [{ a: 1, b: 2 }]);
});

test("Excel's first line sep=; names the delimiter, is no record, and gets a remark", async () => {
  const text = "sep=;\r\na;b\r\n1;2\r\n";
  for (const content of [text, `\ufeff${text}`, Buffer.from(`\ufeff${text}`, "utf16le"), text.replaceAll("\r", "")]) {
    for (const chunkBytes of [1, 10_000]) {
      const { events, lines, remarks } = await read("a.csv", content, { chunkBytes });
      assert.equal([events, lines], [[{ a: 1, b: 2 }], [3]]);
      assert.match(remarks[1] ?? "", /a.csv: its first line says sep=;: ";" stands between two values/);
    }
  }
  const given = await read("a.csv", "sep=;\na|b\n1|2\n", { delimiter: "|" });
  assert.equal(given.events, [{ a: 1, b: 2 }]);
  assert.match(given.remarks[1] ?? "", /--delimiter is given/);
  assert.equal((await read("a.csv", "sep=x,b\n1,2\n")).events, [{ "sep=x": 1, b: 2 }]);
  assert.equal((await read("a.log", "sep=;\n")).events, [{ line: "sep=;" }]);
});

test.run();
