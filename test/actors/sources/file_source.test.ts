import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FileSourceOptions, fileSource } from "../../../actors/sources/file_source.ts";
import type { SourcePosition } from "../../../actors/sources/source.ts";

interface Given {
  readonly text: string;
  readonly term: number;
  readonly position: number;
}

/** One life of the source: gives lines out until as many have come as are asked for. */
class Life {
  readonly #stop = new AbortController();
  readonly #reader;
  readonly #batches;
  resume: SourcePosition | undefined;
  readonly logged: string[] = [];

  static async begin(options: FileSourceOptions, resume?: SourcePosition): Promise<Life> {
    const logged: string[] = [];
    const context = {
      name: "file",
      nowMs: () => 0,
      log: (_level: string, message: string) => void logged.push(message),
    };
    return new Life(await fileSource.open({ everyMs: 10, ...options }, context, resume), logged, resume);
  }

  private constructor(
    reader: Awaited<ReturnType<typeof fileSource.open>>,
    logged: string[],
    resume: SourcePosition | undefined,
  ) {
    this.#reader = reader;
    this.#batches = reader.read(this.#stop.signal)[Symbol.asyncIterator]();
    this.logged = logged;
    this.resume = resume;
  }

  async next(): Promise<Given[]> {
    const { value } = await this.#batches.next();
    this.resume = value.resume;
    return value.items.map(({ item, term, position }: (typeof value.items)[number]) => ({
      text: item.kind === "event" ? String(item.event.line) : "malformed",
      term,
      position,
    }));
  }

  async take(count: number): Promise<Given[]> {
    const given: Given[] = [];
    while (given.length < count) given.push(...(await this.next()));
    return given;
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#batches.next();
    await this.#reader.close();
  }
}

async function withFolder(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-file-"));
  try {
    await work(join(folder, "app.log"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `line ${from + index}\n`).join("");
const texts = (given: readonly Given[]) => given.map(({ text }) => text);
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `line ${from + index}`);

test("a file that is not there yet is waited for; a line without its end waits for it", () =>
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

test("after a restart reading goes on where it was stored, with the same sequences", () =>
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

test("a rotated file is read to its end, its last line too, before the next; generations count up", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 3));
    const life = await Life.begin({ path, format: "lines" });
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

test("rotations while nobody looked lose nothing: the file last read is found by its inode, then those after it", () =>
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
    await writeFile(`${path}.bak`, "not a rotated file\n");
    const second = await Life.begin({ path, format: "lines" }, resume);
    const given = await second.take(6);
    assert.equal(texts(given), numbered(3, 9));
    assert.equal(
      given.map(({ term }) => term),
      [1, 1, 2, 2, 3, 3],
    );
    await second.end();
  }));

for (const isRunning of [true, false]) {
  test(`a truncated file is a new generation, ${isRunning ? "while it is followed" : "also when longer than before at the next start"}`, () =>
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

test("a generation's number is stored before its first line is given out", () =>
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

test("from the end: lines that were there are left out, the one being written is not", () =>
  withFolder(async (path) => {
    await writeFile(path, `${lines(0, 3)}line `);
    const life = await Life.begin({ path, format: "lines", from: "end" });
    assert.equal(await life.next(), []);
    const coming = life.take(1);
    await appendFile(path, "3\n");
    assert.equal(texts(await coming), ["line 3"]);
    await life.end();
  }));

test("a CSV file that is resumed still knows its columns", () =>
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

test.run();
