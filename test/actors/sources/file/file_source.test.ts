import { execFileSync } from "node:child_process";
import {
  appendFile,
  copyFile,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { FileSourceOptions } from "../../../../actors/sources/file/file_source.ts";
import type { SourcePosition } from "../../../../actors/sources/source.ts";
import { eventually } from "../../../support/processes/running_node.ts";
import { type Given, Life, lines, numbered, texts, withFolder } from "./file_life.ts";

/** Waits for the time of `count` looks: a source that cuts a line too early has cut the line by then. */
async function quietLooks(path: string, count: number): Promise<void> {
  const endMs = performance.now() + count * 10;
  await eventually(async () => (performance.now() > endMs && (await readFile(path)).length > 0 ? true : undefined));
}

test("the source waits for a file that does not exist yet, and for the end of a line", () =>
  withFolder(async (path) => {
    const life = await Life.begin({ path, format: "lines" });
    const coming = life.take(2);
    await writeFile(path, "one\ntwo\nthr");
    assert.equal(texts(await coming), ["one", "two"]);
    const third = life.take(1);
    await appendFile(path, "ee\n");
    assert.equal(await third, [{ text: "three", term: 1, position: 8 }]);
    await life.end();
  }));

test("after a restart reading goes on at the stored place, with the same sequences", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 5));
    const first = await Life.begin({ path, format: "lines" });
    await first.take(5);
    const stored = first.resume;
    await appendFile(path, lines(5, 8));
    const seen = await first.take(3);
    await first.end();
    const second = await Life.begin({ path, format: "lines" }, stored);
    assert.equal(await second.take(3), seen);
    await second.end();
  }));

test("F2: a rotated file is read to its end, its last line too, before the next; generations count up", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 3));
    const life = await Life.begin({ path, format: "lines", lastLineAfterMs: 30 });
    await life.take(3);
    await appendFile(path, lines(3, 5));
    await rename(path, `${path}.1`);
    await writeFile(path, lines(6, 8));
    await appendFile(`${path}.1`, "line 5");
    const given = await life.take(5);
    assert.equal(texts(given), numbered(3, 8));
    assert.equal(
      given.map(({ term }) => term),
      [1, 1, 1, 2, 2],
    );
    assert.is(given[3]?.position, 0);
    await life.end();
  }));

test("S1, S3: rotations between two lives lose no line: the file last read is found by its inode, then those after it", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 3));
    const first = await Life.begin({ path, format: "lines" });
    await first.take(3);
    const { resume } = first;
    await first.end();
    await appendFile(path, lines(3, 5));
    await rename(path, `${path}.1`);
    await writeFile(path, lines(5, 7));
    await rename(`${path}.1`, `${path}.2`);
    await rename(path, `${path}.1`);
    await writeFile(path, lines(7, 9));
    await rename(`${path}.2`, `${path}.3`);
    await rename(`${path}.1`, `${path}.2`);
    await rename(path, `${path}.1`);
    await writeFile(path, lines(9, 11));
    await writeFile(`${path}.bak`, "not a rotated file\n");
    const second = await Life.begin({ path, format: "lines" }, resume);
    const given = await second.take(8);
    assert.equal(texts(given), numbered(3, 11));
    assert.equal(
      given.map(({ term }) => term),
      [1, 1, 2, 2, 3, 3, 4, 4],
    );
    await second.end();
  }));

for (const isRunning of [true, false]) {
  test(`F3: a truncated file is a new generation, ${isRunning ? "while it is followed" : "also when longer than before at the next start"}`, () =>
    withFolder(async (path) => {
      await writeFile(path, lines(0, 3));
      const first = await Life.begin({ path, format: "lines" });
      await first.take(3);
      const { resume } = first;
      if (!isRunning) await first.end();
      await truncate(path, 0);
      await appendFile(path, lines(100, isRunning ? 101 : 110));
      const life = isRunning ? first : await Life.begin({ path, format: "lines" }, resume);
      const [given] = await life.take(1);
      assert.equal(given, { text: "line 100", term: 2, position: 0 });
      await life.end();
    }));
}

test("F1: a generation's number is stored before its first line is given out", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 1));
    const life = await Life.begin({ path, format: "lines" });
    assert.equal(await life.next(), []);
    assert.is(life.resume?.generation, 1);
    await life.take(1);
    await rename(path, `${path}.1`);
    await writeFile(path, lines(1, 2));
    assert.equal(await life.next(), []);
    assert.equal([life.resume?.generation, life.resume?.offset], [2, 0]);
    await life.end();
  }));

test("from the end: lines already in the file are left out, except the one being written", () =>
  withFolder(async (path) => {
    await writeFile(path, `${lines(0, 3)}line `);
    const life = await Life.begin({ path, format: "lines", from: "end" });
    assert.equal(await life.next(), []);
    const coming = life.take(1);
    await appendFile(path, "3\n");
    assert.equal(texts(await coming), ["line 3"]);
    await life.end();
  }));

test("a CSV file that is resumed keeps its columns", () =>
  withFolder(async (path) => {
    await writeFile(path, "line,n\na,1\n");
    const first = await Life.begin({ path, format: "csv" });
    assert.equal(texts(await first.take(1)), ["a"]);
    await first.end();
    await appendFile(path, "b,2\n");
    const second = await Life.begin({ path, format: "csv" }, first.resume);
    assert.equal(texts(await second.take(1)), ["b"]);
    await second.end();
  }));

/** The lines of a source that read the first lines, ended, and began again after `meanwhile`. */
async function overRestart(
  before: string,
  meanwhile: (path: string) => Promise<void>,
  count: number,
  options: Partial<FileSourceOptions> = {},
): Promise<{ readonly given: readonly Given[]; readonly logged: readonly string[] }> {
  let found: { given: readonly Given[]; logged: readonly string[] } = { given: [], logged: [] };
  await withFolder(async (path) => {
    await writeFile(path, before);
    const first = await Life.begin({ path, format: "lines", ...options });
    const seen = await first.take(before.split("\n").length - 1);
    await first.end();
    await meanwhile(path);
    const second = await Life.begin({ path, format: "lines", ...options }, first.resume);
    const given = await second.take(count);
    // No line comes twice, and no other line comes.
    await appendFile(path, "the end\n");
    const [last] = await second.take(1);
    assert.is(last?.text, "the end");
    assert.ok(seen.every(({ term, position }) => !given.some((one) => one.term === term && one.position === position)));
    found = { given, logged: second.logged };
    await second.end();
  });
  return found;
}

const ROTATIONS: readonly (readonly [string, (path: string) => Promise<void>])[] = [
  ["renamed with a number", (path) => rename(path, `${path}.1`)],
  ["renamed with a date before its ending", (path) => rename(path, path.replace(".log", "-20261201.log"))],
  ["renamed to a name of no pattern", (path) => rename(path, join(dirname(path), "what was before"))],
  [
    "moved to a folder below",
    async (path) => {
      await mkdir(join(dirname(path), "old"));
      await rename(path, join(dirname(path), "old", "app.log.1"));
    },
  ],
  [
    "copied and truncated",
    async (path) => {
      await copyFile(path, `${path}.1`);
      await truncate(path, 0);
    },
  ],
  [
    "compressed with gzip",
    async (path) => {
      await writeFile(`${path}.1.gz`, gzipSync(await readFile(path)));
      await unlink(path);
    },
  ],
  [
    "compressed with Zstandard",
    async (path) => {
      execFileSync("zstd", ["-q", "--rm", path, "-o", `${path}-20261201.zst`]);
    },
  ],
];

const hasZstd = (() => {
  try {
    execFileSync("zstd", ["--version"]);
    return true;
  } catch {
    return false; // not on this machine
  }
})();

for (const [name, rotate] of ROTATIONS.filter(([one]) => hasZstd || !one.includes("Zstandard"))) {
  test(`S2: a file that was ${name} between two lives is read on where it was left, then the new one`, async () => {
    const { given } = await overRestart(
      lines(0, 3),
      async (path) => {
        await appendFile(path, lines(3, 5));
        await rotate(path);
        await writeFile(path, lines(5, 7));
      },
      4,
    );
    assert.equal(texts(given), numbered(3, 7));
    assert.equal(
      given.map(({ term }) => term),
      [1, 1, 2, 2],
    );
  });

  test(`F2: a file that is ${name} while it is followed loses and repeats no line`, () =>
    withFolder(async (path) => {
      await writeFile(path, lines(0, 3));
      const life = await Life.begin({ path, format: "lines", everyMs: 30 });
      await life.take(3);
      await appendFile(path, lines(3, 5));
      await rotate(path);
      await writeFile(path, lines(5, 7));
      await appendFile(path, lines(7, 9));
      const given = await life.take(6);
      assert.equal(texts(given), numbered(3, 9));
      await life.end();
    }));
}

test("S4: a file that was read and is compressed twice later is not read again under its new names", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 2));
    const life = await Life.begin({ path, format: "lines" });
    await life.take(2);
    await rename(path, `${path}.1`);
    await writeFile(path, lines(2, 4));
    assert.equal(texts(await life.take(2)), numbered(2, 4));
    await writeFile(`${path}.2.gz`, gzipSync(await readFile(`${path}.1`)));
    await unlink(`${path}.1`);
    await rename(path, `${path}.1`);
    await writeFile(path, lines(4, 6));
    assert.equal(texts(await life.take(2)), numbered(4, 6));
    await life.end();
  }));

test("S3: two rotations within one look lose no line", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 2));
    const life = await Life.begin({ path, format: "lines", everyMs: 50 });
    await life.take(2);
    await rename(path, `${path}.2`);
    await writeFile(`${path}.1`, lines(2, 4));
    await utimes(`${path}.1`, Date.now() / 1_000 + 1, Date.now() / 1_000 + 1);
    await writeFile(path, lines(4, 6));
    assert.equal(texts(await life.take(4)), numbered(2, 6));
    await life.end();
  }));

test("F3: a missing file is reported with the number of its unread bytes, and files rotated since are read", async () => {
  let resume: SourcePosition | undefined;
  await withFolder(async (path) => {
    await writeFile(path, lines(0, 40_000));
    const first = await Life.begin({ path, format: "lines" });
    await first.next();
    await first.next(); // one chunk of two
    resume = first.resume;
    await first.end();
    assert.ok(Number(resume?.sizeBytes) > Number(resume?.offset));
    await writeFile(`${path}.1`, "between\n");
    await utimes(`${path}.1`, Date.now() / 1_000 + 1, Date.now() / 1_000 + 1);
    await unlink(path);
    await writeFile(path, "after\n");
    const second = await Life.begin({ path, format: "lines" }, resume);
    assert.equal(texts(await second.take(2)), ["between", "after"]);
    assert.ok(second.logged.some((one) => one.includes("are lost")));
    await second.end();
  });
});

test("if a file vanished between two lives, the log says that bytes after the last look cannot be known", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 3));
    const first = await Life.begin({ path, format: "lines" });
    await first.take(3);
    await first.end();
    await appendFile(path, lines(3, 5));
    await writeFile(`${path}.new`, "after\n");
    await rename(`${path}.new`, path);
    const second = await Life.begin({ path, format: "lines" }, first.resume);
    assert.equal(texts(await second.take(1)), ["after"]);
    const told = second.logged.find((one) => one.includes("is gone or was written anew")) ?? "";
    assert.match(told, /^error: .*21 bytes that were seen are read; whether more was written .* cannot be known/);
    await second.end();
  }));

test("if a file is missing, the log names the unreadable files beside it, which may hold its rest", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 3));
    const first = await Life.begin({ path, format: "lines" });
    await first.take(3);
    await first.end();
    await writeFile(`${path}.1.xz`, Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00]));
    await writeFile(`${path}.new`, "after\n");
    await rename(`${path}.new`, path);
    const second = await Life.begin({ path, format: "lines" }, first.resume);
    assert.equal(texts(await second.take(1)), ["after"]);
    assert.equal(second.unreadable, [`${path}.1.xz`]);
    await second.end();
  }));

for (const [name, before, after] of [
  ["the same size", "one\ntwo\n", "six\nten\n"],
  ["a greater size", "one\ntwo\n", "six\nseven\n"],
  ["a smaller size", "one\ntwo\n", "six\n"],
] as const) {
  test(`F3, file text T1: a file rewritten to ${name} with its time unchanged is a new generation`, () =>
    withFolder(async (path) => {
      await writeFile(path, before);
      await utimes(path, 1_000, 1_000);
      const life = await Life.begin({ path, format: "lines" });
      await life.take(2);
      await writeFile(path, after);
      await utimes(path, 1_000, 1_000);
      const [given] = await life.take(1);
      assert.equal(given, { text: "six", term: 2, position: 0 });
      await life.end();
    }));
}

test("a held line of a file that is rewritten comes as it was, and is not joined with the new bytes", () =>
  withFolder(async (path) => {
    await writeFile(path, "one\nhalf");
    const life = await Life.begin({ path, format: "lines" });
    await life.take(1);
    const coming = life.take(3);
    await writeFile(path, "six\nother half\n");
    assert.equal(texts(await coming), ["half", "six", "other half"]);
    await life.end();
  }));

test("F7: a file that is replaced by a longer one with the same beginning is read on, if enough of it was read", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 200));
    const life = await Life.begin({ path, format: "lines" });
    await life.take(200);
    await writeFile(`${path}.new`, lines(0, 202));
    await rename(`${path}.new`, path);
    assert.equal(texts(await life.take(2)), numbered(200, 202));
    await life.end();
  }));

for (const isRunning of [true, false]) {
  test(`F7: a short file that is replaced at its path by a longer one with the same beginning is read on, ${isRunning ? "while it is followed" : "after a restart"}`, () =>
    withFolder(async (path) => {
      await writeFile(path, lines(0, 3));
      const first = await Life.begin({ path, format: "lines" });
      await first.take(3);
      if (!isRunning) await first.end();
      await writeFile(`${path}.new`, lines(0, 5));
      await rename(`${path}.new`, path);
      const life = isRunning ? first : await Life.begin({ path, format: "lines" }, first.resume);
      assert.equal(texts(await life.take(2)), numbered(3, 5));
      assert.is(life.resume?.generation, 1);
      await life.end();
    }));
}

test("a short file that is replaced at its path by one with another beginning is read from its beginning", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 3));
    const life = await Life.begin({ path, format: "lines" });
    await life.take(3);
    await writeFile(`${path}.new`, `${lines(0, 2)}line other\n${lines(3, 5)}`);
    await rename(`${path}.new`, path);
    assert.equal(texts(await life.take(5)), ["line 0", "line 1", "line other", "line 3", "line 4"]);
    await life.end();
  }));

test("F5, F8: a last line without a line break comes after the stated wait, and bytes that follow come once", () =>
  withFolder(async (path) => {
    await writeFile(path, "one\nthr");
    const life = await Life.begin({ path, format: "lines", lastLineAfterMs: 50 });
    assert.equal(texts(await life.take(2)), ["one", "thr"]);
    await appendFile(path, "ee\nfour");
    assert.equal(await life.take(2), [
      { text: "ee", term: 1, position: 7 },
      { text: "four", term: 1, position: 10 },
    ]);
    await appendFile(path, "\nfive\n");
    assert.equal(await life.take(1), [{ text: "five", term: 1, position: 15 }]);
    await life.end();
  }));

test("F5: half a value of JSON, half a quoted field and half a character are never ended by the clock", async () => {
  for (const [format, half, rest, expected] of [
    ["ndjson", '{"line":"a"}\n{"line":"b', 'c"}\n', ["a", "bc"]],
    ["ndjson", '{"line":"a"}\n{"line":"b","n":{"m":1}', "}\n", ["a", "b"]],
    ["csv", 'line,n\na,1\n"b\n', 'c",2\n', ["a", "b\nc"]],
    ["lines", Buffer.concat([Buffer.from("a\nb"), Buffer.from([0xc3])]), Buffer.from([0xbc, 0x0a]), ["a", "bü"]],
  ] as const) {
    await withFolder(async (path) => {
      await writeFile(path, half);
      const life = await Life.begin({ path, format, lastLineAfterMs: 20 });
      assert.equal(texts(await life.take(1)), ["a"]);
      const coming = life.take(1);
      await quietLooks(path, 10);
      assert.is(life.resume?.lineEndsAt, undefined);
      await appendFile(path, rest);
      assert.equal(texts(await coming), expected.slice(1));
      await life.end();
    });
  }
});

test("F5: half a value of JSON is given out as it is once its file is rotated", () =>
  withFolder(async (path) => {
    await writeFile(path, '{"line":"a"}\n{"line":"b');
    const life = await Life.begin({ path, format: "ndjson", lastLineAfterMs: 20 });
    await life.take(1);
    await rename(path, `${path}.1`);
    await writeFile(path, '{"line":"c"}\n');
    assert.equal(texts(await life.take(2)), ["malformed", "c"]);
    await life.end();
  }));

test("F5: a whole value of JSON and a closed row without a line break come after the stated wait", async () => {
  for (const [format, text] of [
    ["ndjson", '{"line":"a"}'],
    ["csv", 'line,n\n"a",1'],
  ] as const) {
    await withFolder(async (path) => {
      await writeFile(path, text);
      const life = await Life.begin({ path, format, lastLineAfterMs: 20 });
      assert.equal(texts(await life.take(1)), ["a"]);
      await life.end();
    });
  }
});

test("with lastLineAfterMs: never, half a line waits for its rest", () =>
  withFolder(async (path) => {
    await writeFile(path, "one\ntw");
    const life = await Life.begin({ path, format: "lines", lastLineAfterMs: "never" });
    await life.take(1);
    const coming = life.take(1);
    await quietLooks(path, 10);
    await appendFile(path, "o\n");
    assert.equal(texts(await coming), ["two"]);
    await life.end();
  }));

test("one warning for each file names the option after the clock has ended a line whose rest came later", () =>
  withFolder(async (path) => {
    await writeFile(path, "on");
    const life = await Life.begin({ path, format: "lines", lastLineAfterMs: 20 });
    await life.take(1);
    await appendFile(path, "\ntw");
    await life.take(1);
    assert.ok(!life.logged.some((one) => one.includes("lastLineAfterMs")));
    await appendFile(path, "o\nth");
    await life.take(2);
    await appendFile(path, "ree\n");
    await life.take(1);
    assert.is(life.logged.filter((one) => one.includes("lastLineAfterMs")).length, 1);
    await life.end();
  }));

test("F8: the place where a last line was ended is stored before the line is given out: a restart ends it there too", () =>
  withFolder(async (path) => {
    await writeFile(path, "one\nthr");
    const first = await Life.begin({ path, format: "lines", lastLineAfterMs: 50 });
    await first.take(1);
    while (first.resume?.lineEndsAt === undefined) assert.equal(await first.next(), []);
    const { resume } = first;
    assert.equal([resume.offset, resume.lineEndsAt], [4, 7]);
    await first.end();
    await appendFile(path, "ee\n");
    const second = await Life.begin({ path, format: "lines" }, resume);
    assert.equal(await second.take(2), [
      { text: "thr", term: 1, position: 4 },
      { text: "ee", term: 1, position: 7 },
    ]);
    await second.end();
    const third = await Life.begin({ path, format: "lines" }, second.resume);
    await appendFile(path, "four\n");
    assert.equal(texts(await third.take(1)), ["four"]);
    await third.end();
  }));

test("reading goes on from a place that an older release stored, also in a copy", async () => {
  const old = ({ generation, inode, offset, mark }: SourcePosition) =>
    ({ generation, inode, offset, mark }) as SourcePosition;
  for (const isCopied of [false, true]) {
    await withFolder(async (path) => {
      await writeFile(path, lines(0, 2));
      const first = await Life.begin({ path, format: "lines" });
      await first.take(2);
      await first.end();
      assert.ok(first.resume);
      await appendFile(path, lines(2, 3));
      if (isCopied) await copyFile(path, `${path}.1`);
      if (isCopied) await writeFile(path, "");
      const second = await Life.begin({ path, format: "lines" }, old(first.resume));
      assert.equal(texts(await second.take(1)), ["line 2"]);
      await second.end();
    });
  }
});

test("line breaks of CR, byte order marks and encodings are kept in mind over a restart", () =>
  withFolder(async (path) => {
    for (const [bytes, more, options, expected] of [
      ["a\rb\r", "c\r", {}, ["a", "b", "c"]],
      ["\ufeffa\nb\n", "c\n", {}, ["a", "b", "c"]],
      [Buffer.from("\ufeffa\nb\n", "utf16le"), Buffer.from("c\n", "utf16le"), {}, ["a", "b", "c"]],
      [
        Buffer.from("ü\nb\n", "utf16le").swap16(),
        Buffer.from("ö\n", "utf16le").swap16(),
        { encoding: "utf-16be" },
        ["ü", "b", "ö"],
      ],
      [Buffer.from("ü\nb\n", "latin1"), Buffer.from("ö\n", "latin1"), { encoding: "latin1" }, ["ü", "b", "ö"]],
    ] as const) {
      await writeFile(path, bytes);
      const first = await Life.begin({ path, format: "lines", ...options });
      const given = await first.take(2);
      await first.end();
      await appendFile(path, more);
      const second = await Life.begin({ path, format: "lines", ...options }, first.resume);
      given.push(...(await second.take(1)));
      await second.end();
      assert.equal(texts(given), expected);
    }
  }));

test("a compressed file is read as the bytes that it inflates to, and so are members added later", () =>
  withFolder(async (path) => {
    await writeFile(path, gzipSync(lines(0, 2)));
    const first = await Life.begin({ path, format: "lines" });
    assert.equal(texts(await first.take(2)), numbered(0, 2));
    await appendFile(path, gzipSync(lines(2, 4)));
    assert.equal(texts(await first.take(2)), numbered(2, 4));
    await first.end();
    await appendFile(path, gzipSync(lines(4, 5)));
    const second = await Life.begin({ path, format: "lines" }, first.resume);
    assert.equal(texts(await second.take(1)), ["line 4"]);
    await second.end();
  }));

test("file text T2: zero bytes at the beginning, which a writer leaves after its file was emptied, are skipped and reported", () =>
  withFolder(async (path) => {
    await writeFile(path, Buffer.concat([Buffer.alloc(300_000), Buffer.from("one\n")]));
    const life = await Life.begin({ path, format: "lines" });
    assert.equal(await life.take(1), [{ text: "one", term: 1, position: 300_000 }]);
    assert.ok(life.logged.some((one) => one.includes("300000 zero bytes")));
    await appendFile(path, "two\n");
    assert.equal(texts(await life.take(1)), ["two"]);
    await life.end();
  }));

for (const [errno, make] of [
  ["EISDIR", (path: string) => mkdir(path)],
  ["ESPIPE", async (path: string) => void execFileSync("mkfifo", [path])],
  ["ELOOP", (path: string) => symlink(path, path)],
  ["ENOENT", (path: string) => symlink(`${path}.nowhere`, path)],
] as const) {
  test(`F6: a path that cannot be read (${errno}) is reported once, reading begins once it can, and a stop does not wait`, () =>
    withFolder(async (path) => {
      await make(path);
      const life = await Life.begin({ path, format: "lines" });
      await life.until(() => life.logged.includes(`trouble: ${errno}`));
      await life.end();
      assert.is(life.logged.filter((one) => one.startsWith("trouble")).length, 1);
      await rm(path, { recursive: true });
      await writeFile(path, "one\n");
      const again = await Life.begin({ path, format: "lines" });
      assert.equal(texts(await again.take(1)), ["one"]);
      await again.end();
    }));
}

for (const isCompressed of [false, true]) {
  test(`a file that holds no text${isCompressed ? " within gzip" : ""} is reported once, and text in its place is read`, () =>
    withFolder(async (path) => {
      const zip = Buffer.from("PK\u0003\u0004 and what follows\n");
      await writeFile(path, isCompressed ? gzipSync(zip) : zip);
      const life = await Life.begin({ path, format: "lines" });
      const coming = life.take(1);
      await eventually(async () => (life.logged.includes("trouble: EFTYPE") ? true : undefined));
      await writeFile(`${path}.new`, "one\n");
      await rename(`${path}.new`, path);
      assert.equal(texts(await coming), ["one"]);
      assert.equal(
        life.logged.filter((one) => one.startsWith("trouble")),
        ["trouble: EFTYPE", "trouble: undefined"],
      );
      await life.end();
    }));
}

test("a path that looks like a pattern names one file, and gets a warning at the start", () =>
  withFolder(async (path) => {
    const literal = join(dirname(path), "*.log");
    await writeFile(literal, "one\n");
    const life = await Life.begin({ path: literal, format: "lines" });
    assert.equal(texts(await life.take(1)), ["one"]);
    assert.match(life.logged[0] ?? "", /holds \* and is taken literally/);
    await life.end();
  }));

test("F6: a file in the place of a folder above (ENOTDIR) is reported, and so is its end", () =>
  withFolder(async (path) => {
    await writeFile(path, "");
    const below = join(path, "app.log");
    const life = await Life.begin({ path: below, format: "lines" });
    const coming = life.take(1);
    await eventually(async () => (life.logged.includes("trouble: ENOTDIR") ? true : undefined));
    await rm(path);
    await mkdir(path);
    await writeFile(below, "one\n");
    assert.equal(texts(await coming), ["one"]);
    assert.ok(life.logged.includes("trouble: undefined"));
    await life.end();
  }));

test.run();
